"""Gate rules written from the contracts: `expectations/contracts/<contract>.json`, run by the gate each table names.

Rule: what a contract says about a table of the warehouse is judged by the gate in its property `gate`, after the rules
written by hand in `expectations/G?_….json`; a rule stands in one of the two. From the schema, always critical: the
columns are those of the contract, required values are there, the key is unique, values keep to their limits
(`logicalTypeOptions`). From `quality`, with the severity it gives: the library metrics below, and expectations of
Great Expectations as they are (engine `greatExpectations`). Rules of engine `vroegsignalering` belong to ingest, rules
of type `text` to people: neither is a rule of a gate.
Reason: the exporter of datacontract-cli drops the severity, and a critical rule that only warns is no rule.
How to change: the contract; then `vs contract generate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.contracts.registry import Column, ContractProblem
from include.contracts.relations import Relation, relations

SEVERITIES = ("critical", "warning", "info")
Expectation = dict[str, Any]


def suite_files() -> dict[str, str]:
    """File name → text, for every contract with a table that a gate judges."""
    suites: dict[str, dict[str, Any]] = {}
    for relation in relations():
        if relation.gate is None:
            continue
        contract = relation.contract
        suite = suites.setdefault(
            contract.reference,
            {
                "generated": f"by `vs contract generate` from {contract.path.name}; do not edit, change the contract",
                "contract": contract.reference,
                "batches": [],
            },
        )
        suite["batches"].append(_batch(relation))
    return {f"{name}.json": json.dumps(suite, ensure_ascii=False, indent=2) + "\n" for name, suite in suites.items()}


def _batch(relation: Relation) -> dict[str, Any]:
    return {
        "gate": relation.gate,
        "name": relation.full_name,
        "query": f"select * from {relation.full_name} where {relation.rows_of_the_month}",
        "look_at": relation.full_name,
        "expectations": list(_expectations(relation)),
    }


@dataclass(frozen=True)
class GateRule:
    """A rule of a gate as people read it; its name without the table's."""

    name: str
    severity: str
    says: str


def rules_of(relation: Relation) -> list[GateRule]:
    """What a gate judges of this relation because its contract says so."""
    return [
        GateRule(one["meta"]["rule"].removeprefix(f"{relation.name}."), one["severity"], one["meta"]["says"])
        for one in _expectations(relation)
    ]


def _expectations(relation: Relation) -> Iterator[Expectation]:
    yield from _of_the_schema(relation)
    for column in relation.columns:
        yield from _of_the_limits(relation, column)
        for rule in column.quality:
            yield from _of_quality(relation, rule, column)
    for rule in relation.table.quality:
        yield from _of_quality(relation, rule)


def _of_the_schema(relation: Relation) -> Iterator[Expectation]:
    yield _expectation(
        relation, "columns_of_the_contract", "It has the columns of its contract and no others.",
        "expect_table_columns_to_match_set",
        {"column_set": [column.name for column in relation.columns], "exact_match": True},
    )  # fmt: skip
    if required := relation.required:
        missing = " or ".join(f"{name} is null" for name in required)
        found = _expectation(
            relation, "required_values", f"Every row has {', '.join(required)}.", "unexpected_rows_expectation",
            {"unexpected_rows_query": f"select {required[0]} from {{batch}} where {missing}"},
        )  # fmt: skip
        # one column that is empty, by name
        empty = " ".join(f"when {name} is null then '{name}'" for name in required)
        found["meta"]["observe"] = f"case {empty} end"
        yield found
    if key := relation.key:
        says = f"A row is one {', '.join(key)}."
        if len(key) == 1:
            yield _expectation(relation, "key_once", says, "expect_column_values_to_be_unique", {"column": key[0]})
        else:
            yield _expectation(relation, "key_once", says, "unexpected_rows_expectation", _once(key))


def _once(columns: Sequence[str]) -> dict[str, Any]:
    """The values of `columns` that more rows have. Great Expectations' own (expect_compound_columns_to_be_unique) joins
    the table to itself on conditions that cannot be hashed: minutes at a hundred thousand rows, hours at a million."""
    key = ", ".join(columns)
    return {"unexpected_rows_query": f"select count(*) from {{batch}} group by {key} having count(*) > 1"}


def _of_the_limits(relation: Relation, column: Column) -> Iterator[Expectation]:
    limits, name = column.type_options, column.name
    bounds = {bound: limits[bound] for bound in ("minimum", "maximum") if bound in limits}
    if bounds:
        says = f"{name} keeps to its limits: {', '.join(f'{bound} {limit}' for bound, limit in bounds.items())}."
        kwargs = {f"{bound[:3]}_value": limit for bound, limit in bounds.items()}
        kind = "expect_column_values_to_be_between"
        yield _expectation(relation, f"{name}.limits", says, kind, {"column": name, **kwargs})
    if longest := limits.get("maxLength"):
        yield _expectation(
            relation, f"{name}.length", f"{name} has at most {longest} characters.",
            "expect_column_value_lengths_to_be_between", {"column": name, "max_value": longest},
        )  # fmt: skip
    if pattern := limits.get("pattern"):
        yield _expectation(
            relation, f"{name}.form", f"{name} has its form.", "expect_column_values_to_match_regex",
            {"column": name, "regex": pattern},
        )  # fmt: skip


def _of_quality(relation: Relation, rule: Mapping[str, Any], column: Column | None = None) -> Iterator[Expectation]:
    kind, engine = rule.get("type", "library"), rule.get("engine")
    if kind == "text" or (kind == "custom" and engine == "vroegsignalering"):
        return
    if kind == "library":
        expectation, kwargs = _of_the_library(relation, rule, column)
    elif kind == "custom" and engine == "greatExpectations":
        expectation, kwargs = rule["implementation"]["type"], rule["implementation"]["kwargs"]
    else:
        raise _problem(relation, rule, f"type {kind!r} (engine {engine!r}) is no rule of a gate")
    name = f"{column.name}.{rule['name']}" if column else rule["name"]
    yield _expectation(relation, name, rule["description"], expectation, kwargs, rule.get("severity"))


def _of_the_library(relation: Relation, rule: Mapping[str, Any], column: Column | None) -> tuple[str, dict[str, Any]]:
    """A library metric of ODCS as an expectation."""
    metric, arguments = rule["metric"], rule.get("arguments", {})
    if metric == "rowCount":
        match {name: limit for name, limit in rule.items() if name.startswith("must")}:
            case {"mustBe": count}:
                return "expect_table_row_count_to_equal", {"value": count}
            case {"mustBeGreaterThan": count}:
                return "expect_table_row_count_to_be_between", {"min_value": count + 1}
        raise _problem(relation, rule, "a row count must be (mustBe) or exceed (mustBeGreaterThan) a number")
    if rule.get("mustBe") != 0:
        raise _problem(relation, rule, "write mustBe: 0")
    if metric == "duplicateValues" and column is None:
        return "unexpected_rows_expectation", _once(arguments["properties"])
    if column is None:
        raise _problem(relation, rule, f"metric {metric!r} belongs to a column")
    match metric, arguments:
        case "nullValues", _:
            return "expect_column_values_to_not_be_null", {"column": column.name}
        case "duplicateValues", _:
            return "expect_column_values_to_be_unique", {"column": column.name}
        case "invalidValues", {"validValues": values}:
            return "expect_column_values_to_be_in_set", {"column": column.name, "value_set": values}
        case "invalidValues", {"pattern": pattern}:
            return "expect_column_values_to_match_regex", {"column": column.name, "regex": pattern}
    raise _problem(relation, rule, f"metric {metric!r} is not known here, or without what it needs")


def _expectation(
    relation: Relation, name: str, says: str, kind: str, kwargs: dict[str, Any], severity: str | None = "critical"
) -> Expectation:
    if severity not in SEVERITIES:
        raise ContractProblem(
            f"{relation.contract.path.name}: rule {name} has severity {severity!r}; write {', '.join(SEVERITIES)}"
        )
    meta = {"rule": f"{relation.name}.{name}", "says": says, "contract": relation.contract.reference}
    return {"type": kind, "kwargs": kwargs, "severity": severity, "meta": meta}


def _problem(relation: Relation, rule: Mapping[str, Any], what: str) -> ContractProblem:
    return ContractProblem(f"{relation.contract.path.name}, rule {rule.get('name')!r} of {relation.full_name}: {what}")
