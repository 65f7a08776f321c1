"""Where somebody's rows stand: `trail_of(person_ids)` follows the ids, `tables()` knows how a table leads to a person.

Rule: nothing lists the tables. They are looked up in the warehouse, and a table leads to persons by its columns: the
delivery and line of a row as it came, an id of a person, signal, call record, request, outcome or question, the
partner's own reference, or the id of a case (then the row is of everybody in it). A table with personal data that leads
nowhere stops the command (`NoWayToPersons`): an answer that leaves something out is a wrong answer.
Reason: a table that is added later belongs to the answer from its first day.
Only read as the administrator: no step of the month sees all of it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from psycopg.rows import dict_row

from include.contracts.registry import all_contracts

DATA = Path(__file__).with_name("person_tables.yml")
PERSONAL = ("confidential", "restricted")
#: every table in them is of persons, unless it is declared to be of nobody
SCHEMAS_OF_PERSONS = ("landing", "intermediate", "outbound")
#: numbers and books without personal data; what they hold about a person is by id
SCHEMAS_BY_ID = ("marts", "closed", "ops")
#: landing.raw_rows shows the same rows one by one
STORES_OF_OTHERS = frozenset({"landing.raw_blocks"})
#: how a person id and all that hangs on it ends, whatever stands before it (`left_person_id`)
ID_ENDINGS = ("person_id", "signal_id", "call_record_id", "request_id", "outcome_id", "review_id", "item_id")
SIDES = ("left_", "right_")


class NoWayToPersons(RuntimeError):
    """A table with personal data has no column that says whose a row is."""


@dataclass(frozen=True)
class Trail:
    """Somebody's ids and places: `lines` are rows of deliveries, `shared_cases` hold others too."""

    person_ids: tuple[str, ...]
    signal_ids: tuple[str, ...]
    ids: tuple[str, ...]
    own_cases: tuple[str, ...]
    shared_cases: tuple[str, ...]
    lines: tuple[tuple[str, int], ...]
    references: tuple[tuple[str, str], ...]
    months: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not self.signal_ids

    @property
    def tokens(self) -> frozenset[str]:
        """What a row of a file is recognised by."""
        return frozenset({*self.ids, *self.own_cases})


@dataclass(frozen=True)
class PersonTable:
    """A table or view, its columns with their types, and how a row leads to a person."""

    name: str
    is_view: bool
    columns: Mapping[str, str]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(*self.name.split("."))

    @property
    def id_columns(self) -> list[str]:
        return [name for name, kind in self.columns.items() if kind == "text" and name.endswith(ID_ENDINGS)]

    @property
    def side_columns(self) -> dict[str, list[str]]:
        """In a table about two persons: the columns of each side."""
        return {side: [name for name in self.columns if name.startswith(side)] for side in SIDES}

    @property
    def leads_to_persons(self) -> bool:
        return self.by_case or bool(self._ways())

    @property
    def by_case(self) -> bool:
        """A row is of everybody in a case."""
        return "case_id" in self.columns and not self._ways()

    def _ways(self) -> list[str]:
        ways = []
        if {"delivery_id", "line_number"} <= set(self.columns):
            ways.append(
                "(t.delivery_id, t.line_number) in (select * from unnest(%(deliveries)s::text[], %(lines)s::integer[]))"
            )
        ways += [f't."{name}" = any(%(ids)s::text[])' for name in self.id_columns]
        if not ways and {"partner", "partner_reference"} <= set(self.columns):
            ways.append(
                "(t.partner, t.partner_reference) in"
                " (select * from unnest(%(partners)s::text[], %(references)s::text[]))"
            )
        ways += [f't."{name}" && %(ids)s::text[]' for name, kind in self.columns.items() if name == "person_ids"]
        return ways

    def condition(self, cases: str) -> sql.SQL:
        """Which rows are the person's; `cases` is `own_cases` or `all_cases`."""
        ways = self._ways() or [f"t.case_id = any(%({cases})s)"]
        return sql.SQL(" or ".join(ways))

    def rows(self, connection: psycopg.Connection, trail: Trail) -> list[dict[str, Any]]:
        """The person's rows; of a row about two persons only their own side."""
        query = sql.SQL("select t.* from {} as t where {}").format(self.identifier, self.condition("all_cases"))
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(query, values_of(trail)).fetchall()
        return [self._own_side(row, set(trail.person_ids)) for row in found]

    def _own_side(self, row: dict[str, Any], person_ids: set[str]) -> dict[str, Any]:
        sides = self.side_columns
        others = {
            name
            for side in SIDES
            if f"{side}person_id" in row and row[f"{side}person_id"] not in person_ids
            for name in sides[side]
        }
        return {name: value for name, value in row.items() if name not in others}


def values_of(trail: Trail) -> dict[str, Any]:
    """The trail as the conditions name it."""
    return {
        "ids": list(trail.ids),
        "deliveries": [delivery for delivery, _ in trail.lines],
        "lines": [line for _, line in trail.lines],
        "partners": [partner for partner, _ in trail.references],
        "references": [reference for _, reference in trail.references],
        "own_cases": list(trail.own_cases),
        "all_cases": [*trail.own_cases, *trail.shared_cases],
    }


@cache
def said() -> Mapping[str, Sequence[str]]:
    """What person_tables.yml says."""
    return yaml.safe_load(DATA.read_text(encoding="utf-8"))


def personal_columns() -> frozenset[str]:
    """Columns classified as personal in any contract, and those that lead to somebody all the same."""
    classified = {
        column.name
        for contract in all_contracts()
        for table in contract.tables
        for column in (*table.columns, *table.carried)
        if column.classification in PERSONAL
    }
    return frozenset({*classified, *said()["erased_besides"]})


def tables(connection: psycopg.Connection) -> list[PersonTable]:
    """Every table and view a person may stand in; NoWayToPersons when one of them does not say where."""
    found = list(_relations(connection))
    lost = [
        table.name
        for table in found
        if table.name.split(".")[0] in SCHEMAS_OF_PERSONS
        and not table.leads_to_persons
        and table.name not in said()["without_persons"]
        and table.name not in STORES_OF_OTHERS
    ]
    if lost:
        raise NoWayToPersons(
            f"{', '.join(lost)}: no column says whose a row is, so nobody's answer would be complete. Give it an id "
            f"({', '.join(ID_ENDINGS)}), or declare in include/warehouse/{DATA.name} that nobody stands in it."
        )
    return [
        table
        for table in found
        if table.leads_to_persons and table.name not in STORES_OF_OTHERS and table.name != "ops.erased_rows"
    ]


def _relations(connection: psycopg.Connection) -> Iterator[PersonTable]:
    rows = connection.execute(
        """
        select n.nspname || '.' || c.relname, c.relkind <> 'r',
            json_object_agg(a.attname, format_type(a.atttypid, null) order by a.attnum)
        from pg_class as c
        inner join pg_namespace as n on n.oid = c.relnamespace
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname = any(%s) and c.relkind in ('r', 'v', 'm', 'p') and c.relname not like '%%\\_\\_dbt\\_%%'
        group by 1, 2 order by 1
        """,
        ([*SCHEMAS_OF_PERSONS, *SCHEMAS_BY_ID],),
    )
    for name, is_view, columns in rows:
        yield PersonTable(name, is_view, columns)


# -- following the ids -------------------------------------------------------------------------------------------------


def trail_of(connection: psycopg.Connection, person_ids: Sequence[str]) -> Trail:
    """Everything that hangs on these persons."""
    matched = connection.execute(
        "select signal_id, case_id, call_record_id, partner, partner_reference, signal_month"
        " from intermediate.int_signals__matched where person_id = any(%s)",
        (list(person_ids),),
    ).fetchall()
    signals, cases, records = ({row[place] for row in matched} - {None} for place in range(3))
    references, months = {(row[3], row[4]) for row in matched}, {row[5] for row in matched}
    shared = _column(
        connection,
        "select distinct case_id from intermediate.int_signals__matched where case_id = any(%s)"
        " and person_id <> all(%s)",
        list(cases), list(person_ids),
    )  # fmt: skip
    requests = _column(
        connection, "select request_id from intermediate.int_case_persons where person_id = any(%s)", list(person_ids)
    )
    outcomes = _column(
        connection, "select distinct outcome_id from landing.ris_outcomes where call_record_id = any(%s)", list(records)
    )
    reviews = _column(
        connection,
        "select review_id from ops.match_reviews where left_person_id = any(%s) or right_person_id = any(%s)",
        list(person_ids), list(person_ids),
    )  # fmt: skip
    rejected = _column(
        connection,
        "select item_id from landing.ris_rejected_items where item ->> 'call_record_id' = any(%s)"
        " or item ->> 'case_id' = any(%s)",
        list(records), list(cases - set(shared)),
    )  # fmt: skip
    lines = set(
        connection.execute(
            # of a month that is not built yet the same customer, or the same bsn
            """
            select delivery_id, line_number from landing.signals
            where signal_id = any(%(signals)s) or (
                signal_month not in (select signal_month from intermediate.int_signals__matched)
                and (
                    (partner, partner_reference) in (select * from unnest(%(partners)s::text[], %(references)s::text[]))
                    or bsn_key in (
                        select bsn_key from intermediate.int_signals__matched where person_id = any(%(persons)s)
                    )
                )
            )
            """,
            {
                "signals": list(signals), "persons": list(person_ids),
                "partners": [partner for partner, _ in references],
                "references": [reference for _, reference in references],
            },
        ).fetchall()
    ) | set(_held_lines(connection, references, signals))
    return Trail(
        person_ids=tuple(person_ids),
        signal_ids=tuple(sorted(signals)),
        ids=tuple(sorted({*person_ids, *signals, *records, *requests, *outcomes, *reviews, *rejected})),
        own_cases=tuple(sorted(cases - set(shared))),
        shared_cases=tuple(sorted(shared)),
        lines=tuple(sorted(lines)),
        references=tuple(sorted(references)),
        months=tuple(sorted(months)),
    )


def _held_lines(connection: psycopg.Connection, references: set, signals: set) -> list[tuple[str, int]]:
    """Held rows of the same customer, or with the same surname and postcode: they never became a signal of anybody."""
    return connection.execute(
        """
        with known as (
            select distinct lower(surname) as surname, upper(replace(postcode, ' ', '')) as postcode
            from landing.signals where signal_id = any(%(signals)s) and length(surname) > 1
        )
        select held.delivery_id, held.line_number
        from landing.quarantined_rows as held
        where exists (
            select from unnest(%(partners)s::text[], %(references)s::text[]) as customer (partner, reference)
            where customer.partner = held.partner
                and exists (select from jsonb_each_text(held.raw) as cell where btrim(cell.value) = customer.reference)
        ) or exists (
            select from known
            where exists (
                    select from jsonb_each_text(held.raw) as cell where strpos(lower(cell.value), known.surname) > 0
                )
                and exists (
                    select from jsonb_each_text(held.raw) as cell
                    where strpos(upper(replace(cell.value, ' ', '')), known.postcode) > 0
                )
        )
        """,
        {
            "signals": list(signals),
            "partners": [partner for partner, _ in references],
            "references": [reference for _, reference in references],
        },
    ).fetchall()


def _column(connection: psycopg.Connection, query: str, *values: Any) -> list[str]:
    return [value for (value,) in connection.execute(query, values)]
