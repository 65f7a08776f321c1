"""A way to break every rule a gate has from a contract, made from the rule itself.

The table is set aside and a view of its name stands in for it, with one thing wrong: a column nobody agreed, an empty
value, a row twice, a value that is not allowed, no rows at all. Constraints of PostgreSQL and dbt cannot hide a rule
that way, and lists that are views are broken like tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import psycopg

from include.contracts.relations import Relation, data_type, relations
from include.quality.gates import load_suite
from tests.integration.gates_month import MONTH

#: What breaks an expectation that a contract gives in the words of Great Expectations: column and the value it gets.
_BY_HAND = {
    "fct_followups.ends_after_it_starts": ("ended_on", "started_on - 1"),
    "raw_blocks.ends_after_it_begins": ("last_line", "first_line - 1"),
    "signals.arrears_eur.amount_is_plausible": ("arrears_eur", "25000.01"),
}

#: Rows for what is empty in a sound month: how they come, and how they go.
_ROWS = {
    "landing.ris_rejected_items": (
        "insert into landing.ris_rejected_items values ('outcome', 'out-x', now(), 'result_code_unknown', '{}')",
        "delete from landing.ris_rejected_items",
    ),
    "outbound.out_kwadraad_review": (
        "insert into intermediate.int_match_reviews (signal_month, left_person_id, right_person_id, evidence, score,"
        " left_signal_id, right_signal_id, right_signal_month)"
        " select signal_month, min(person_id), max(person_id), 'alike', 0.5, min(signal_id), max(signal_id),"
        " signal_month from intermediate.int_signals__matched group by signal_month",
        "delete from intermediate.int_match_reviews where evidence = 'alike'",
    ),
    # nobody returns in a first month
    "marts.kpi_resignal_monthly": (
        "insert into marts.kpi_resignal_monthly (signal_month, outcome_month, outcome_kind, horizon_days, same,"
        " numerator, denominator, value, lower_bound, upper_bound)"
        " values ('2024-06', '2024-04', 'other', 30, 'person', 1, 2, 0.5, 0.1, 0.9)",
        "delete from marts.kpi_resignal_monthly where outcome_month = '2024-04'",
    ),
    "marts.rpt_returning_signals": (
        "insert into marts.rpt_returning_signals (signal_month, signal_id, partner, earlier_signal_month,"
        " earlier_case_id, is_same_partner, is_same_person, ended_as, is_quick_fix_relapse, is_consecutive)"
        " values ('2024-06', 'signal_x', 'zorgplus', '2024-05', 'case_x', true, true, 'refused', false, true)",
        "delete from marts.rpt_returning_signals where signal_id = 'signal_x'",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ContractBreak:
    """The rows that stand in for those of `relation`, so that `rule` no longer holds."""

    gate: str
    batch: dict[str, Any]
    relation: Relation
    rule: str
    severity: str
    stand_in: str
    #: what the verdict must name beside the rule
    names: str = ""

def contract_breaks(gate: str) -> list[ContractBreak]:
    described = {relation.full_name: relation for relation in relations()}
    return [
        _break(gate, batch, described[batch["name"]], expectation)
        for batch in load_suite(gate)["batches"]
        if batch["name"] in described
        for expectation in batch["expectations"]
    ]


def rounds(gate: str) -> list[tuple[ContractBreak, ...]]:
    """The breaks of a gate in rounds of one a table: a rule of a contract sees its own table only."""
    by_table: defaultdict[str, list[ContractBreak]] = defaultdict(list)
    for damage in contract_breaks(gate):
        by_table[damage.relation.full_name].append(damage)
    return [tuple(damage for damage in round_ if damage) for round_ in zip_longest(*by_table.values())]


@contextmanager
def broken_by_stand_in(connection: psycopg.Connection, damage: ContractBreak) -> Iterator[None]:
    """The relation replaced by its stand-in; as before afterwards."""
    relation = damage.relation
    come, go = _ROWS.get(relation.full_name, ("select", "select"))
    connection.execute(come)
    kind = "view" if relation.kind == "view" else "table"
    connection.execute(f"alter {kind} {relation.full_name} rename to kept_{relation.name}")
    rows = f"{relation.schema}.kept_{relation.name}"
    try:
        assert connection.execute(f"select count(*) from {rows}").fetchone() != (0,), f"{relation.full_name} is empty"
        connection.execute(f"create view {relation.full_name} as {damage.stand_in.replace('{kept}', rows)}")
        connection.execute(f"grant select on {relation.full_name} to vs_loader, vs_transformer")
        yield
    finally:
        connection.execute(f"drop view if exists {relation.full_name}")
        connection.execute(f"alter {kind} {rows} rename to {relation.name}")
        connection.execute(go)


def _break(gate: str, batch: dict[str, Any], relation: Relation, expectation: dict[str, Any]) -> ContractBreak:
    kwargs, rule = expectation["kwargs"], expectation["meta"]["rule"]
    names = ""
    match expectation["type"]:
        case "expect_table_columns_to_match_set":
            stand_in = "select *, 1 as agreed_with_nobody from {kept}"
        case "expect_column_values_to_be_unique" | "unexpected_rows_expectation" if _says_once(expectation):
            again = f"select * from {{kept}} where {_this_month(relation)} limit 1"
            stand_in = f"select * from {{kept}} union all ({again})"
        case "unexpected_rows_expectation":
            names = [name for name in relation.required if name not in relation.rows_of_the_month][-1]
            stand_in = _with(relation, names, "null")
        case "expect_column_values_to_be_in_set" | "expect_column_values_to_match_regex":
            # another one a row: a column of the key stays unique
            stand_in = _with(relation, kwargs["column"], "'agreed with nobody ' || row_number() over ()")
        case "expect_column_value_lengths_to_be_between":
            # filled up, so that what differed still differs
            column, longest = kwargs["column"], kwargs["max_value"]
            stand_in = _with(relation, column, f"rpad(coalesce({column}, ''), {longest + 1}, 'x')")
        case "expect_table_row_count_to_be_between" | "expect_table_row_count_to_equal":
            stand_in = "select * from {kept} limit 0"
        case _ if rule in _BY_HAND:
            stand_in = _with(relation, *_BY_HAND[rule])
        case "expect_column_values_to_be_between":
            beyond = kwargs["max_value"] + 1 if "max_value" in kwargs else kwargs["min_value"] - 1
            stand_in = _with(relation, kwargs["column"], str(beyond))
        case unknown:
            raise AssertionError(f"say in this module how to break a rule of kind {unknown} ({rule})")
    return ContractBreak(gate, batch, relation, rule, expectation["severity"], stand_in, names)


def _says_once(expectation: dict[str, Any]) -> bool:
    """True for a key, of one column or of more."""
    is_key = "having count(*) > 1" in expectation["kwargs"].get("unexpected_rows_query", "")
    return is_key or expectation["type"] == "expect_column_values_to_be_unique"


def _this_month(relation: Relation) -> str:
    return relation.rows_of_the_month.replace("{month}", f"'{MONTH}'")


def _with(relation: Relation, column: str, value: str) -> str:
    """All rows, `column` with another value."""
    kinds = {one.name: data_type(one) for one in relation.columns}
    columns = [f"({value})::{kinds[column]} as {column}" if name == column else name for name in kinds]
    return f"select {', '.join(columns)} from {{kept}}"
