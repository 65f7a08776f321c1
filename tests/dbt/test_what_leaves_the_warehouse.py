"""What a reader of numbers can see, and what a reader of published numbers can work out.

One warehouse with every table of a month in it. The publication is attacked as a reader would: with everything that was
published as equations, the least and the most every number that was left out can be (linear programs).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from scipy.optimize import linprog

from include.contracts.registry import all_contracts
from include.contracts.relations import relations
from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.months import Month
from include.settings import DBT_PROJECT_FOLDER, Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.dbt.landed_months import (
    Delivery,
    Signal,
    answer_enrichment,
    deliver_call_list,
    land_deliveries,
    local,
    report_outcomes,
)
from tests.dbt.landed_months import Outcome as RisOutcome

MONTH = Month(2024, 6)
READABLE = ("closed", "marts", "marts_public")
PROMISED = ("marts", "marts_public")
MINIMUM = 10
SEED = 2024


# ---------------------------------------------------------------------------------------------- the month
@pytest.fixture(scope="module")
def built(warehouse: Path, server: Instance) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a warehouse that holds a whole month, the last of a quarter."""
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        land_deliveries(connection, [Delivery("woonbedrijf", "Huur", MONTH, signals_of("2712", 0, 40))])
        land_deliveries(connection, [Delivery("zorgplus", "Zorg", MONTH, signals_of("2713", 20, 45))])
        build_stage("matched", MONTH)
        answer_enrichment(connection, MONTH)
        for stage in ("enriched", "categorised"):
            build_stage(stage, MONTH)
        records = deliver_call_list(connection, MONTH)
        report_outcomes(
            connection,
            [RisOutcome(*record, "needs_no_help", local(MONTH.first_day.replace(day=14), 11)) for record in records],
        )
        for stage in ("closure", "marts"):
            build_stage(stage, MONTH)
        yield connection


def signals_of(pc4: str, first: int, until: int) -> list[Signal]:
    return [
        Signal(
            partner_reference=f"klant-{number}",
            postcode=f"{pc4}AB",
            house_number=number + 1,
            surname=f"Bewoner{number}",
            birth_on=MONTH.first_day.replace(year=1960) + timedelta(days=40 * number),
            signal_on=MONTH.first_day + timedelta(days=2),
            arrears_since_on=MONTH.first_day - timedelta(days=45),
            arrears_eur=Decimal(200),
            phone_1=f"+3162000{number:04d}" if number % 3 else None,
        )
        for number in range(first, until)
    ]


# ---------------------------------------------------------------------------------------------- readers' rights
def relations_of(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    return connection.execute(
        "select nspname::text, relname::text, relkind::text from pg_class join pg_namespace on pg_namespace.oid ="
        " relnamespace where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and nspname not in ('pg_catalog',"
        " 'information_schema') and nspname not like 'pg_toast%' and nspname not like 'pg_temp%' order by 1, 2"
    ).fetchall()


def test_a_bi_reader_reads_every_mart(built: psycopg.Connection) -> None:
    promised = {(one.schema, one.name) for one in relations(*PROMISED)}
    there = {(schema, name) for schema, name, _ in relations_of(built) if schema in PROMISED}

    assert there == promised
    assert len(there) >= 24
    for schema, name in sorted(there):
        with connect(Role.BI_READER) as reader:
            [(count,)] = reader.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name))
            ).fetchall()
            # nothing is over after one month, so nobody can have been reported again or closed without help
            assert count > 0 or name in (
                "kpi_resignal_monthly", "fct_contact_attempts", "fct_followups", "kpi_reach_by_attempt_monthly",
                "rpt_closed_without_help", "rpt_returning_signals",
            ), name  # fmt: skip


def test_a_bi_reader_reads_nothing_else(built: psycopg.Connection) -> None:
    others = [(schema, name, kind) for schema, name, kind in relations_of(built) if schema not in READABLE]
    assert {schema for schema, _, _ in others} == {"landing", "ops", "staging", "intermediate", "outbound"}
    for schema, name, kind in others:
        query = "select last_value from {}" if kind == "S" else "select count(*) from {}"
        with connect(Role.BI_READER) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL(query).format(sql.Identifier(schema, name)))


def test_a_bi_reader_has_no_other_right_on_anything(built: psycopg.Connection) -> None:
    rights = built.execute(
        """
        select nspname || '.' || relname, kind
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as kind
        where relkind in ('r', 'p', 'v', 'm', 'f') and nspname not in ('pg_catalog', 'information_schema')
            and nspname not like 'pg_toast%%'
            and (
                has_table_privilege('bi_reader', pg_class.oid, kind)
                or kind in ('select', 'insert', 'update', 'references')
                and has_any_column_privilege('bi_reader', pg_class.oid, kind)
            )
            and not (nspname = any(%s) and kind = 'select')
        """,
        (list(READABLE),),
    ).fetchall()
    schemas = built.execute(
        "select nspname::text from pg_namespace where has_schema_privilege('bi_reader', oid, 'usage')"
        " and nspname not in ('pg_catalog', 'information_schema') order by 1"
    ).fetchall()
    creates = built.execute(
        "select nspname::text from pg_namespace where has_schema_privilege('bi_reader', oid, 'create')"
    ).fetchall()
    [role] = built.execute(
        "select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,"
        " has_database_privilege('bi_reader', current_database(), 'create'),"
        " has_database_privilege('bi_reader', current_database(), 'temporary'),"
        " exists (select from pg_auth_members where member = pg_roles.oid) from pg_roles where rolname = 'bi_reader'"
    ).fetchall()

    assert rights == []
    assert [name for (name,) in schemas] == list(READABLE)
    assert creates == []
    assert not any(role)


def test_a_bi_reader_can_call_no_function_of_ours(built: psycopg.Connection) -> None:
    """PostgreSQL grants every new function to everybody; a function with its owner's rights would be a way round."""
    callable_ones = built.execute(
        """
        select pg_proc.oid::regprocedure::text
        from pg_proc
        join pg_namespace on pg_namespace.oid = pronamespace
        where has_function_privilege('bi_reader', pg_proc.oid, 'execute')
            and has_schema_privilege('bi_reader', pronamespace, 'usage')
            and (nspname not in ('pg_catalog', 'information_schema') or prosecdef)
        """
    ).fetchall()
    # names of tables and columns, with the caller's own rights
    assert callable_ones == [("closed.monthly_tables(text)",)]


#: what a reader might try after switching its read-only setting off
ESCAPES = {
    "read a file": "select pg_read_file('/etc/hostname')",
    "list files": "select pg_ls_dir('.')",
    "run a program": "copy marts.dim_route to program 'true'",
    "write a file": "copy marts.dim_route to '/tmp/routes.csv'",
    "make a large object": "select lo_create(0)",
    "make a large object with text": "select lo_from_bytea(0, 'x')",
    "import a file": "select lo_import('/etc/hostname')",
    "read through a query in text": "select query_to_xml('select * from landing.signals', true, false, '')",
    "read a table as text": "select table_to_xml('landing.signals', true, false, '')",
    "read a schema as text": "select schema_to_xml('intermediate', true, false, '')",
    "compute an id": "select ops.keyed_id('case', '2712AB|1')",
    "compute many ids": "select id from ops.keyed_ids('case', array['2712AB|1'])",
    "read the key of the ids": "select key from ops.id_key",
    "become somebody else": "set role vs_transformer",
    "become the owner": "set session authorization postgres",
    "read passwords": "select rolpassword from pg_authid",
    "make a temporary table": "create temporary table copied as select * from marts.dim_route",
    "make a table": "create table marts.mine as select * from marts.dim_route",
    "make a function": "create function marts.mine() returns integer language sql as 'select 1'",
    "change a mart": "update marts.kpi_monthly set numerator = 0",
    "change a mart in a block": "do $$ begin delete from marts.kpi_monthly; end $$",
    "lock a mart": "begin; lock table marts.kpi_monthly in access exclusive mode",
    "stop somebody's query": "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
    "change a server setting": "alter system set log_statement = 'all'",
    "load a library": "load 'plpython3'",
    "connect to another server": "create extension dblink schema marts",
    "read files as tables": "create extension file_fdw schema marts",
    "become somebody else by a function": "select set_config('role', 'vs_loader', false)",
    "write a file by a large object": "select lo_export(1, '/dev/shm/bi')",
    "read a file as bytes": "select pg_read_binary_file('PG_VERSION')",
    "write in the log": "select ops.log_operation('0', '0', 'x', 'x', 'x', 'x', 'x', 'done', now(), null, '{}')",
}


@pytest.mark.parametrize("statement", list(ESCAPES.values()), ids=list(ESCAPES))
def test_switching_read_only_off_opens_nothing(built: psycopg.Connection, statement: str) -> None:
    with connect(Role.BI_READER, autocommit=True) as reader:
        reader.execute("select set_config('default_transaction_read_only', 'off', false)")
        assert reader.execute("show transaction_read_only").fetchone() == ("off",)
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile)):
            reader.execute(statement)


def test_other_sessions_and_statistics_show_nothing(built: psycopg.Connection) -> None:
    with connect(Role.BI_READER) as reader:
        queries = reader.execute(
            "select query from pg_stat_activity where usename <> current_user and query <> '<insufficient privilege>'"
        ).fetchall()
        statistics = reader.execute("select distinct schemaname::text from pg_stats where schemaname <> all(%s)", (
            ["pg_catalog", "information_schema", *READABLE],)).fetchall()  # fmt: skip
    assert [query for (query,) in queries if query] == []
    assert statistics == []


def test_a_bi_reader_enters_no_other_database(built: psycopg.Connection, server: Instance) -> None:
    from include.settings import Settings

    dsn, ours = Settings.from_environment().dsn(Role.BI_READER), os.environ["VS_WAREHOUSE_DATABASE"]
    others = [
        name
        for (name,) in built.execute(
            # the template of the test databases and those of other test modules are warehouses too
            "select datname::text from pg_database where datallowconn and datname not like 'warehouse%%'"
            " and datname <> %s",
            (WAREHOUSE_DATABASE,),
        ).fetchall()
    ]
    assert {"airflow", "postgres"} <= set(others)
    for name in others:
        with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{name}"'):
            psycopg.connect(dsn.replace(f"/{ours}", f"/{name}"), connect_timeout=5)


# ---------------------------------------------------------------------------------------------- personal data
#: What is confidential in an exchange about somebody and says, without who it is, nothing about a person any more.
CASE_FACTS = {
    "kind", "result_code", "ddas_result", "route", "signals", "sectors", "arrears_eur", "is_multiple", "is_consecutive",
    "started_on", "ended_on", "part_of_day", "is_reached", "reason", "callback_part_of_day", "signal_on",
    "arrears_since_on", "status", "is_crisis", "is_warm_handover",
}  # fmt: skip


def test_marts_hold_nothing_that_is_confidential_elsewhere() -> None:
    """From the contracts' classification: a personal column of any exchange is in no mart."""
    personal, in_marts = set(), {}
    for contract in all_contracts():
        for table in contract.tables:
            for column in (*table.carried, *table.columns):
                if contract.path.parent.name == "marts":
                    in_marts.setdefault(column.name, set()).add(column.classification)
                elif column.classification in ("confidential", "restricted"):
                    personal.add(column.name)
    assert {"surname", "postcode", "house_number", "phone_1", "birth_on", "bsn_key", "email"} <= personal
    assert set.union(*in_marts.values()) <= {"public", "internal"}
    assert set(in_marts) & personal - CASE_FACTS == set()
    assert set(in_marts) & personal == CASE_FACTS, "a name in CASE_FACTS is in no mart any more"


def test_a_published_table_is_public_and_has_no_key_of_a_case_or_person() -> None:
    published = relations("marts_public")
    assert published
    for relation in published:
        assert {column.classification for column in relation.columns} == {"public"}
        assert not [column.name for column in relation.columns if column.name.endswith(("_id", "_key"))]


def test_the_marts_in_the_warehouse_have_the_columns_of_their_contract_and_no_others(built: psycopg.Connection) -> None:
    there = built.execute(
        "select table_schema || '.' || table_name, array_agg(column_name::text order by 1) from"
        " information_schema.columns where table_schema = any(%s) group by 1",
        (list(PROMISED),),
    ).fetchall()
    promised = {one.full_name: sorted(column.name for column in one.columns) for one in relations(*PROMISED)}
    assert {name: sorted(columns) for name, columns in there} == promised


def test_ids_in_the_marts_cannot_be_computed_from_an_address(built: psycopg.Connection) -> None:
    """What a reader could try: PostgreSQL's own hashes of the address key, the month and the two together."""
    found = built.execute(
        """
        select count(*)
        from intermediate.int_cases as cases
        cross join lateral unnest(array[
            cases.address_key, cases.address_key || '|' || cases.signal_month, 'case' || cases.address_key,
            'case' || cases.address_key || '|' || cases.signal_month
        ]) as guess
        join marts.fct_cases as facts
            on split_part(facts.case_id, '_', 2) in (
                left(md5(guess), 20), left(encode(sha256(convert_to(guess, 'UTF8')), 'hex'), 20)
            )
        """
    ).fetchone()
    same = built.execute(
        "select count(*) from marts.fct_cases where case_id ="
        " (select ops.keyed_id('case', address_key || '|' || signal_month) from intermediate.int_cases limit 1)"
    ).fetchone()
    assert found == (0,)
    assert same == (1,), "with the key it is the id, so the test looks at the right thing"


# ---------------------------------------------------------------------------------------------- publication
@dataclass(frozen=True)
class Published:
    """One published table: what stands in a row (area, category), None where it was left out."""

    subject: str
    cells: dict[tuple[str, str], int | None]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        return [place for place, counted in self.cells.items() if counted is None]


@dataclass(frozen=True)
class Attack:
    """Everything published, as equations over the inner cells."""

    published: Published

    def places(self) -> list[tuple[str, str]]:
        return [place for place in self.published.cells if "all" not in place]

    def row_of(self, place: tuple[str, str]) -> np.ndarray:
        """The sum of inner cells that `place` stands for."""
        area, category = place
        return np.array([float(area in ("all", a) and category in ("all", c)) for a, c in self.places()])

    def range_of(self, place: tuple[str, str]) -> tuple[float, float]:
        known = [(where, counted) for where, counted in self.published.cells.items() if counted is not None]
        if not known:
            return 0.0, float("inf")
        equations = np.array([self.row_of(where) for where, _ in known])
        counts = np.array([float(counted) for _, counted in known])
        least = linprog(self.row_of(place), A_eq=equations, b_eq=counts, method="highs")
        most = linprog(-self.row_of(place), A_eq=equations, b_eq=counts, method="highs")
        assert least.success
        return least.fun, -most.fun if most.success else float("inf")

    def worked_out(self) -> list[tuple[str, str]]:
        """What was left out and can be only one number all the same."""
        return [
            place for place in self.published.left_out
            if (lambda least, most: most - least < 0.5)(*self.range_of(place))
        ]  # fmt: skip


def tables_of(dice: random.Random, how_many: int) -> dict[str, dict[tuple[str, str], int]]:
    """Tables of every size and kind of emptiness; many numbers around the minimum."""
    tables = {}
    for number in range(how_many):
        areas, categories = dice.randint(2, 7), dice.randint(2, 5)
        usual = dice.choice((2, 12, 40))
        tables[f"table_{number:03d}"] = {
            (f"27{11 + area}", f"category_{category}"): dice.choice(
                (0, 0, dice.randint(0, MINIMUM), dice.randint(0, 2 * usual), dice.randint(usual, 5 * usual),
                 dice.randint(MINIMUM - 2, MINIMUM + 1), usual + 30)
            )
            if dice.random() < 0.6
            else usual + MINIMUM
            for area in range(areas)
            for category in range(categories)
        }  # fmt: skip
    tables["nothing_small"] = {(f"27{area}", f"c{c}"): 10 + area + c for area in range(11, 15) for c in range(3)}
    tables["nothing_at_all"] = {(f"27{area}", f"c{c}"): 0 for area in range(11, 15) for c in range(3)}
    tables["one_area"] = {("2711", f"c{c}"): c * 7 for c in range(4)}
    return tables


@pytest.fixture(scope="module")
def random_tables(built: psycopg.Connection) -> tuple[dict[str, dict[tuple[str, str], int]], dict[str, Published]]:
    """Random tables, published by the real model in one build."""
    tables = tables_of(random.Random(SEED), 160)
    month = "2023-12"
    with built.cursor() as cursor:
        cursor.executemany(
            "insert into intermediate.int_small_areas (signal_month, subject, area, category, counted)"
            " values (%s, %s, %s, %s, %s)",
            [(month, subject, *place, count) for subject, cells in tables.items() for place, count in cells.items()],
        )
    run_publication(month)
    published: dict[str, dict[tuple[str, str], int | None]] = {}
    for subject, area, category, counted, is_suppressed in built.execute(
        "select subject, area, category, counted, is_suppressed from marts_public.pub_small_areas"
        " where signal_month = %s",
        (month,),
    ).fetchall():
        assert (counted is None) == is_suppressed
        published.setdefault(subject, {})[area, category] = counted
    return tables, {subject: Published(subject, cells) for subject, cells in published.items()}


def run_publication(month: str) -> None:
    from dbt.cli.main import dbtRunner

    folder = str(DBT_PROJECT_FOLDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VS_MONTH", month)
        answer = dbtRunner().invoke(
            ["run", "--project-dir", folder, "--profiles-dir", folder, "--select", "pub_small_areas"]
            + ["--log-level", "none", "--log-level-file", "none", "--no-version-check"]
        )
    assert answer.success, answer.exception or [result.message for result in answer.result]


def true_count(cells: dict[tuple[str, str], int], place: tuple[str, str]) -> int:
    return sum(count for (a, c), count in cells.items() if place[0] in ("all", a) and place[1] in ("all", c))


def test_nothing_left_out_can_be_worked_out(random_tables: Any) -> None:
    _, published = random_tables
    assert len(published) >= 160
    assert sum(len(table.left_out) for table in published.values()) > 1000
    assert {subject: found for subject, table in published.items() if (found := Attack(table).worked_out())} == {}


def test_what_is_published_is_true_and_large_enough(random_tables: Any) -> None:
    tables, published = random_tables
    for subject, table in published.items():
        for place, counted in table.cells.items():
            assert counted is None or counted == true_count(tables[subject], place) >= MINIMUM, (subject, place)


def test_what_closed_areas_have_together_is_large_enough(random_tables: Any) -> None:
    """The difference between a total and what is shown of it is a number too."""
    _, published = random_tables
    for subject, table in published.items():
        for side, members in ((0, {place[0] for place in table.cells}), (1, {place[1] for place in table.cells})):
            for member in members - {"all"}:
                total = table.cells[(member, "all") if side == 0 else ("all", member)]
                parts = [table.cells[place] for place in table.cells if place[side] == member and "all" not in place]
                if total is not None and None in parts:
                    assert total - sum(part for part in parts if part is not None) >= MINIMUM, (subject, member)


def test_no_more_is_left_out_than_needed(random_tables: Any) -> None:
    tables, published = random_tables
    assert published["nothing_small"].left_out == []
    assert len(published["nothing_at_all"].left_out) == len(published["nothing_at_all"].cells)
    assert "one_area" not in published, "a table of one area is its own total"
    shown = [table for table in published.values() if len(table.left_out) < len(table.cells)]
    assert len(shown) > 0.9 * len(published)


def test_the_attack_finds_what_hiding_small_numbers_alone_gives_away(random_tables: Any) -> None:
    """Without protecting numbers beside the small ones, most tables give some away: the attack is a real one."""
    tables, _ = random_tables
    given_away = 0
    for subject, cells in list(tables.items())[:40]:
        areas, categories = ({place[side] for place in cells} for side in (0, 1))
        places = [*cells, *((a, "all") for a in areas), *(("all", c) for c in categories), ("all", "all")]
        naive = {place: count if (count := true_count(cells, place)) >= MINIMUM else None for place in places}
        given_away += bool(Attack(Published(subject, naive)).worked_out())
    assert given_away > 10


def test_the_quarter_of_the_month_is_published(built: psycopg.Connection) -> None:
    rows = built.execute(
        "select area, category, counted, is_suppressed from marts_public.pub_small_areas"
        " where signal_month = %s and subject = 'signals'",
        (str(MONTH),),
    ).fetchall()
    shown = {(area, category): counted for area, category, counted, _ in rows if counted is not None}

    assert {area for area, *_ in rows} == {"all", *(str(pc4) for pc4 in range(2711, 2730))}
    assert {category for _, category, *_ in rows} == {"all", "Huur", "Zorg", "Energie", "Water"}
    assert shown[("all", "all")] == 65
    # rent only in one area and care only in the other: each area's total is its category's
    assert ("2712", "Huur") not in shown
    assert [place for place, counted in shown.items() if counted < MINIMUM] == []


def test_periods_do_not_overlap(built: psycopg.Connection) -> None:
    """A month inside a quarter publishes nothing: of two overlapping tables the difference can be taken."""
    land_deliveries(built, [Delivery("woonbedrijf", "Huur", MONTH.plus(1), signals_of("2712", 100, 130))])
    for stage in ("matched", "enriched", "categorised", "closure", "marts"):
        build_stage(stage, MONTH.plus(1))
    published = built.execute("select distinct signal_month from marts_public.pub_small_areas order by 1").fetchall()
    assert [month for (month,) in published if month >= str(MONTH)] == [str(MONTH)]
