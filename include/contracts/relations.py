"""The tables and views of the warehouse that contracts describe.

Rule: a schema object of a contract says itself which relation holds its rows. A contract of a table (`landing/`,
`marts/`) names it in `physicalName`; a contract of a file names the model the file is filled from in the property
`model` (and `modelKind`, `view` when it is one). What the warehouse keeps beside the columns of the exchange (the
month, lineage) stands in the property `carried`: it is described and classified, and never part of the file.
Reason: one place says what a column is, whoever asks: dbt, a gate, a partner.
How to change: the contract; then `vs contract generate`.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.contracts.registry import Column, Contract, ContractProblem, Table, all_contracts

#: PostgreSQL's type of an ODCS logical type; a number, an array or an object must say its own in `physicalType`.
_TYPES = {
    "string": "text", "date": "date", "integer": "integer", "boolean": "boolean",
    "timestamp": "timestamp with time zone", "time": "time without time zone",
}  # fmt: skip


@dataclass(frozen=True)
class Relation:
    """One table or view of the warehouse, and the part of the contract that describes it."""

    schema: str
    name: str
    kind: str
    contract: Contract
    table: Table

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the warehouse carries first, then the columns of the exchange, as in the contract."""
        return (*self.table.carried, *self.table.columns)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.is_key)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.is_required)

    @property
    def gate(self) -> str | None:
        """The gate that judges it; None when no gate does."""
        return self.table.option("gate")

    @property
    def rows_of_the_month(self) -> str:
        """The condition that picks a month's rows; `{month}` stands for the month."""
        return self.table.option("rowsOfTheMonth", "signal_month = {month}")


def relations(*schemas: str) -> list[Relation]:
    """Every relation a contract in force describes (of these schemas, when any are named), ordered by contract."""
    newest: dict[str, Contract] = {}
    for contract in all_contracts():
        if contract.status == "active":
            newest[contract.name] = max(newest.get(contract.name, contract), contract, key=lambda c: c.major)
    found = [
        relation
        for contract in newest.values()
        for table in contract.tables
        if (relation := relation_of(contract, table)) and (not schemas or relation.schema in schemas)
    ]
    names = [relation.full_name for relation in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ContractProblem(f"{', '.join(sorted(twice))}: two contracts describe it; one of them must let go of it")
    return found


def relation_of(contract: Contract, table: Table) -> Relation | None:
    """Where the warehouse holds the rows of this part of a contract; None when it does not."""
    is_file = table.option("model") is not None
    full_name = table.option("model") if is_file else table.label
    schema, dot, name = full_name.partition(".")
    if not is_file and (not dot or table.physical_type not in ("table", "view")):
        return None
    kind = table.option("modelKind", "table") if is_file else table.physical_type
    return Relation(schema, name, kind, contract, table)


def data_type(column: Column) -> str:
    """How PostgreSQL keeps the column."""
    found = column.physical_type or _TYPES.get(column.logical_type)
    if found is None:
        raise ContractProblem(
            f"column {column.name}: a {column.logical_type} has no type of its own in PostgreSQL; say which in "
            "physicalType, for example numeric(12, 2)"
        )
    return found
