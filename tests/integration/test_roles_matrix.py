"""Every role, every schema, every right: asked of the server itself, table by table, so a new table is asked about too.

What a role may is written here once; a grant that is missing or too much is a line of difference. Rights to write are
asked as rights, since an attempt that fails on a constraint says nothing. How bi_reader might get round its rights:
tests/dbt/test_what_leaves_the_warehouse.py.
"""

from __future__ import annotations

import psycopg
import pytest

from include.months import Month
from include.settings import Role
from include.warehouse.closure_ledger import month_is_closed
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from include.warehouse.fingerprints import month_fingerprint
from tests.dbt.landed import Signal, land

MONTH = Month(2024, 5)
WRITES = ("insert", "update", "delete", "truncate")
SCHEMAS = ("landing", "ops", "staging", "intermediate", "outbound", "marts", "marts_public", "closed", "public")
OURS = (Role.LOADER, Role.TRANSFORMER, Role.EXPORTER, Role.BI_READER)

#: role → schema → what of it: `all` tables, none, or by name
MAY_READ = {
    Role.LOADER: {"landing": "all", "ops": "all but secrets", "staging": "all", "marts": "all", "marts_public": "all",
                  "closed": "all"},
    Role.TRANSFORMER: {
        "landing": {"signals", "enrichment_results", "ris_outcomes", "ris_attempts", "ris_followups"},
        "ops": "all but secrets", "staging": "all", "intermediate": "all", "outbound": "all", "marts": "all",
        "marts_public": "all", "closed": "all",
    },
    Role.EXPORTER: {"ops": "all but secrets", "staging": "all", "outbound": "all", "marts": "all",
                    "marts_public": "all", "closed": "all", "intermediate": {"int_calls__suppressed"}},
    Role.BI_READER: {"marts": "all", "marts_public": "all", "closed": "all"},
}  # fmt: skip
MAY_USE = {
    Role.LOADER: {"landing", "ops", "staging", "marts", "marts_public", "closed", "public"},
    Role.TRANSFORMER: set(SCHEMAS),
    Role.EXPORTER: {"ops", "staging", "intermediate", "outbound", "marts", "marts_public", "closed", "public"},
    Role.BI_READER: {"marts", "marts_public", "closed"},
}
#: read by nobody but the administrator: the key of ids, and who looked at what
SECRETS = {"id_key", "access_log", "processing_log", "processing_subjects"}
#: role → schemas in which it may write anything at all; the transformer owns what dbt builds
MAY_WRITE = {
    Role.LOADER: {"landing", "ops"},
    Role.TRANSFORMER: {"ops", "staging", "intermediate", "outbound", "marts", "marts_public"},
    Role.EXPORTER: {"ops"},
    Role.BI_READER: set(),
}
#: in the books: who adds and who changes what
OPS_WRITES = {
    Role.LOADER: {
        "insert": {"partners", "deliveries", "months", "repeated_deliveries", "missing_deliveries", "ris_pulls",
                   "gate_results", "contract_problems", "missing_decisions", "alerts", "suppressions",
                   "quarantine_decisions", "alert_notices"},
        "update": {"partners", "deliveries", "months", "repeated_deliveries", "missing_deliveries", "ris_pulls",
                   "alerts", "suppressions"},
        "delete": {"missing_deliveries", "contract_problems"},
    },
    Role.TRANSFORMER: {
        "insert": {"dbt_results", "gate_results", "restatements", "match_reviews", "alerts"},
        "update": {"restatements", "alerts"},
        "delete": {"restatements", "match_reviews"},
    },
    Role.EXPORTER: {
        "insert": {"exchange_ledger", "call_records", "enrichment_requests", "approvals", "closure_batches",
                   "closure_items", "closure_ledger", "gate_results", "restatements", "escalation_decisions", "alerts",
                   "questions", "acknowledgements"},
        "update": {"exchange_ledger", "call_records", "enrichment_requests", "approvals", "closure_batches",
                   "closure_items", "closure_ledger", "restatements", "match_reviews", "alerts", "questions"},
        "delete": set(),
    },
    Role.BI_READER: {"insert": set(), "update": set(), "delete": set()},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def built(warehouse) -> None:
    """A month with a row in every layer, closed, so that every schema has its tables."""
    land(MONTH, [Signal("s1", "Jansen", phone="+31612345678"), Signal("s2", "Bakker", house_number=2)])
    for stage in ("matched", "enriched", "categorised", "closure", "marts"):
        build_stage(stage, MONTH)
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
            " cases_open, cases_excluded, arrears_closed_eur, content_hash)"
            " values (%s, 1, 'b', 'x', 2, 0, 2, 0, 0, %s)",
            (str(MONTH), month_fingerprint(MONTH)),
        )
        connection.execute("select ops.keep_closed_month(%s, 1)", (str(MONTH),))
    assert month_is_closed(MONTH)


def relations_of(schema: str) -> set[str]:
    with connect(Role.ADMIN) as connection:
        return {
            name
            for (name,) in connection.execute(
                "select c.relname from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
                " where n.nspname = %s and c.relkind in ('r', 'v', 'm', 'p', 'f')",
                (schema,),
            )
        }


def permitted(role: Role, schema: str, right: str) -> set[str]:
    """The tables and views of the schema on which the role has the right, as the server sees it (any column counts)."""
    with connect(Role.ADMIN) as connection:
        return {
            name
            for (name,) in connection.execute(
                "select c.relname from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
                " where n.nspname = %(schema)s and c.relkind in ('r', 'v', 'm', 'p', 'f')"
                " and has_schema_privilege(%(role)s, n.oid, 'usage')"
                " and (has_table_privilege(%(role)s, c.oid, %(right)s)"
                " or (%(right)s in ('select', 'insert', 'update')"
                "     and has_any_column_privilege(%(role)s, c.oid, %(right)s)))",
                {"schema": schema, "role": role.value, "right": right},
            )
        }


def expected_to_read(role: Role, schema: str) -> set[str]:
    match MAY_READ[role].get(schema, set()):
        case "all":
            return relations_of(schema)
        case "all but secrets":
            return relations_of(schema) - SECRETS
        case names:
            return set(names)


def test_every_schema_of_the_warehouse_is_asked_about() -> None:
    with connect(Role.ADMIN) as connection:
        found = connection.execute(
            "select nspname::text from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'"
        ).fetchall()
    assert {name for (name,) in found} == set(SCHEMAS)
    for schema in set(SCHEMAS) - {"public"}:
        assert relations_of(schema), f"{schema} is empty: nothing was asked about it"


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("role", OURS)
def test_a_role_reads_what_it_needs_and_nothing_else(role: Role, schema: str) -> None:
    assert permitted(role, schema, "select") == expected_to_read(role, schema)
    with connect(Role.ADMIN) as connection:
        usage = connection.execute("select has_schema_privilege(%s, %s, 'usage')", (role.value, schema)).fetchone()
    assert usage == (schema in MAY_USE[role],)


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("role", OURS)
def test_a_role_writes_where_its_step_writes_and_nowhere_else(role: Role, schema: str) -> None:
    for right in WRITES:
        may = permitted(role, schema, right)
        if schema == "ops":
            assert may == OPS_WRITES[role].get(right, set()), right
        elif schema not in MAY_WRITE[role]:
            assert may == set(), right
    with connect(Role.ADMIN) as connection:
        (creates,) = connection.execute(
            "select has_schema_privilege(%s, %s, 'create')", (role.value, schema)
        ).fetchone()
    owns = role is Role.TRANSFORMER and schema in MAY_WRITE[role] - {"ops"}
    assert creates == owns


@pytest.mark.parametrize("role", OURS)
def test_what_the_server_says_is_what_happens(role: Role) -> None:
    """The matrix above asks; this one does: one table of every schema read, for every role."""
    for schema in set(SCHEMAS) - {"public"}:
        for table in sorted(relations_of(schema)):
            may = table in expected_to_read(role, schema)
            try:
                with connect(role) as connection:
                    connection.execute(f'select 1 from {schema}."{table}" limit 1').fetchall()
                done = True
            except psycopg.errors.InsufficientPrivilege:
                done = False
            assert done == may, f"{role} {'may not' if may else 'may'} read {schema}.{table}"


@pytest.mark.parametrize("role", OURS)
def test_no_role_is_more_than_it_seems(role: Role) -> None:
    with connect(Role.ADMIN) as connection:
        powers = connection.execute(
            "select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
            " from pg_roles where rolname = %s",
            (role.value,),
        ).fetchone()
        member_of = connection.execute(
            "select r.rolname from pg_roles as r"
            " where r.rolname <> %(role)s and pg_has_role(%(role)s, r.oid, 'member')",
            {"role": role.value},
        ).fetchall()
    assert powers == (False, False, False, False, False)
    assert member_of == []


def test_functions_with_their_owners_rights_are_few_and_known() -> None:
    """Each of them is a door; who may open it stands here."""
    with connect(Role.ADMIN) as connection:
        found = connection.execute(
            "select p.oid::regprocedure::text, array(select r.name from unnest(%s::text[]) as r (name)"
            " where has_function_privilege(r.name, p.oid, 'execute') order by 1), p.proconfig is not null"
            " from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace"
            " where p.prosecdef and n.nspname = any(%s) order by 1",
            ([role.value for role in OURS], list(SCHEMAS)),
        ).fetchall()
    doors = {name.split("(")[0]: (set(roles), has_path) for name, roles, has_path in found}
    all_but_bi = {Role.LOADER, Role.TRANSFORMER, Role.EXPORTER}
    assert {name: roles for name, (roles, _) in doors.items()} == {
        "ops.keyed_id": {Role.TRANSFORMER, Role.LOADER},
        "ops.keyed_ids": {Role.TRANSFORMER},
        "ops.signal_key": {Role.LOADER},
        "ops.suppression_keys": all_but_bi,
        "ops.suppression_key": all_but_bi,
        "ops.keep_closed_month": {Role.EXPORTER},
        "ops.log_operation": all_but_bi,
        "ops.data_subjects": set(),
    }
    assert all(has_path for _, has_path in doors.values()), "a search path of the caller would choose what they call"
