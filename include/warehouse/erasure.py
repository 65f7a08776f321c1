"""Somebody's data is erased at their request (AVG art. 17): `erase_person(person_ids, …)`.

Rule: what says who it is goes, in every table that leads to the person and in the files of those months: names, birth
date, address, numbers, references, what was said, the rows as they were delivered. Texts become marks that nobody can
trace (hashed with a salt that is thrown away), so that what was equal is still equal; dates and numbers become nothing
in particular. What stays are the books: rows, amounts, codes and keyed ids. So the accounting balances, and a closed
month keeps its fingerprint. Which columns go is what the contracts classify as personal; what stays is said in
person_tables.yml.
An open month is still being worked on: its rows are erased by the first purge after it is closed, until then the person
may be suppressed (`vs person suppress`).
What was erased stays erased: `ops.erased_rows` remembers the keyed ids, and `erase_again` runs with every purge, after
every replay and restore, and before a month is built (include/warehouse/forgetting.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import logged
from include.warehouse.person_files import Marks, forget_in_files
from include.warehouse.person_tables import (
    SCHEMAS_OF_PERSONS,
    STORES_OF_OTHERS,
    PersonTable,
    Trail,
    personal_columns,
    said,
    tables,
    trail_of,
    values_of,
)


class NothingToErase(RuntimeError):
    """Nothing is known about the person."""


@dataclass(frozen=True)
class Erasure:
    """What was erased, in counts; `open_months` are erased when they are closed."""

    number: int
    signals: int
    rows: int
    files: int
    open_months: tuple[str, ...]


def erase_person(person_ids: Sequence[str], *, decided_by: str, reason: str) -> Erasure:
    """Remember what must not come back, then erase it; safe to run again."""
    with logged("erase person", actor=decided_by, object="everything about a person", reason=reason) as operation:
        operation.about(person_ids)
        with connect(Role.ADMIN) as connection:
            trail = trail_of(connection, person_ids)
            if trail.is_empty:
                raise NothingToErase("Nothing is known about this person (any more), so there is nothing to erase.")
            number = _remember(connection, trail, operation.operation_id, decided_by, reason)
            open_months = _open_months(connection, trail.months)
            operation.done(connection)
    erased = erase_again([month for month in trail.months if month not in open_months])
    return Erasure(number, len(trail.signal_ids), erased.rows, erased.files, tuple(sorted(open_months)))


@dataclass(frozen=True)
class Erased:
    """How many rows and files were not erased yet."""

    rows: int = 0
    files: int = 0


def erase_again(months: Iterable[str] | None = None) -> Erased:
    """Erase whatever is remembered and stands there, in closed months (of these)."""
    with connect(Role.ADMIN) as connection:
        remembered = _remembered(connection, list(months) if months is not None else None)
        if not remembered:
            return Erased()
        trail, marks = _trail_of_rows(connection, remembered)
    # files first: they are recognised by references that the rows lose
    files = forget_in_files(marks)
    with connect(Role.ADMIN) as connection:
        return Erased(_erase_rows(connection, trail), files)


def _remember(
    connection: psycopg.Connection, trail: Trail, operation_id: str, decided_by: str, reason: str
) -> int:
    (number,) = connection.execute(
        "insert into ops.erasures (operation_id, decided_by, reason) values (%s, %s, %s) returning erasure_id",
        (operation_id, decided_by, reason),
    ).fetchone()
    connection.execute(
        """
        insert into ops.erased_rows (erasure_id, signal_month, signal_id)
        select %(number)s, signal_month, signal_id from landing.signals where signal_id = any(%(signals)s)
        union
        select %(number)s, signal_month, signal_id from intermediate.int_signals__matched
        where signal_id = any(%(signals)s)
        """,
        {"number": number, "signals": list(trail.signal_ids)},
    )
    connection.execute(
        """
        insert into ops.erased_rows (erasure_id, signal_month, delivery_id, line_number)
        select %(number)s, held.signal_month, held.delivery_id, held.line_number
        from landing.quarantined_rows as held
        where (held.delivery_id, held.line_number) in (
            select * from unnest(%(deliveries)s::text[], %(lines)s::integer[])
        )
        """,
        values_of(trail) | {"number": number},
    )
    return number


def _open_months(connection: psycopg.Connection, months: Iterable[str]) -> set[str]:
    closed = connection.execute("select distinct signal_month from ops.closure_ledger").fetchall()
    return set(months) - {month for (month,) in closed}


def _remembered(connection: psycopg.Connection, months: list[str] | None) -> list[tuple]:
    return connection.execute(
        """
        select rows.signal_month, rows.signal_id, rows.delivery_id, rows.line_number from ops.erased_rows as rows
        where rows.signal_month in (select signal_month from ops.closure_ledger)
            and (%(months)s::text[] is null or rows.signal_month = any(%(months)s))
        """,
        {"months": months},
    ).fetchall()


def _trail_of_rows(connection: psycopg.Connection, remembered: list[tuple]) -> tuple[Trail, Marks]:
    """The trail of erased rows only: later signals of the same person are not theirs to erase."""
    signals = sorted({signal for _, signal, _, _ in remembered if signal})
    months = sorted({month for month, *_ in remembered})
    held = [(delivery, line) for _, _, delivery, line in remembered if delivery]
    matched = connection.execute(
        "select person_id, case_id, call_record_id, signal_month from intermediate.int_signals__matched"
        " where signal_id = any(%s)",
        (signals,),
    ).fetchall()
    landed = connection.execute(
        "select delivery_id, line_number, partner, partner_reference from landing.signals where signal_id = any(%s)",
        (signals,),
    ).fetchall()
    cases = {case for _, case, _, _ in matched if case}
    shared = {
        case
        for (case,) in connection.execute(
            "select distinct case_id from intermediate.int_signals__matched where case_id = any(%s)"
            " and signal_id <> all(%s)",
            (list(cases), signals),
        )
    }
    records = {record for _, _, record, _ in matched if record}
    requests = connection.execute(
        "select request_id from intermediate.int_case_persons where call_record_id = any(%s)", (list(records),)
    ).fetchall()
    outcomes = connection.execute(
        "select distinct outcome_id from landing.ris_outcomes where call_record_id = any(%s)", (list(records),)
    ).fetchall()
    rejected = connection.execute(
        "select item_id from landing.ris_rejected_items where item ->> 'call_record_id' = any(%s)"
        " or item ->> 'case_id' = any(%s)",
        (list(records), list(cases - shared)),
    ).fetchall()
    others = {one for rows in (requests, outcomes, rejected) for (one,) in rows if one}
    trail = Trail(
        person_ids=tuple(sorted({person for person, *_ in matched})),
        signal_ids=tuple(signals),
        ids=tuple(sorted({*signals, *records, *others})),
        own_cases=tuple(sorted(cases - shared)),
        shared_cases=tuple(sorted(shared)),
        lines=tuple(sorted({*((row[0], row[1]) for row in landed), *held})),
        references=tuple(sorted({(row[2], row[3]) for row in landed})),
        months=tuple(months),
    )
    return trail, Marks(trail.tokens, trail.references, frozenset(months))


# -- rows --------------------------------------------------------------------------------------------------------------


def _erase_rows(connection: psycopg.Connection, trail: Trail) -> int:
    salt, rows = secrets.token_hex(32), 0
    gone = personal_columns() - set(said()["kept_after_erasure"])
    for table in tables(connection):
        if table.is_view or table.name.split(".")[0] not in SCHEMAS_OF_PERSONS:
            continue
        rows += _erase_in(connection, table, trail, gone, salt)
    _erase_raw_rows(connection, trail)
    return rows


def _erase_in(
    connection: psycopg.Connection, table: PersonTable, trail: Trail, gone: frozenset[str], salt: str
) -> int:
    columns = {name: kind for name, kind in table.columns.items() if name in gone}
    condition = table.condition("own_cases")
    if "person_id" in table.columns and "signal_id" not in table.columns:
        # a person may have rows of months that are not erased: only those of their erased cases
        condition = sql.SQL("t.person_id = any(%(persons)s) and t.signal_month = any(%(months)s)")
    if not columns:
        return 0
    values = values_of(trail) | {"salt": salt, "persons": list(trail.person_ids), "months": list(trail.months)}
    changes, is_done = unrecognisable(columns)
    statement = sql.SQL("update {} as t set {} where ({}) and not ({})").format(
        table.identifier, changes, condition, is_done
    )
    return connection.execute(statement, values).rowcount


def unrecognisable(columns: Mapping[str, str]) -> tuple[sql.Composable, sql.Composable]:
    """What the columns (name → type) of a row `t` become, and whether they are that already; `salt` is a parameter."""
    changes = [sql.SQL("{} = {}").format(sql.Identifier(name), _erased(name, kind)) for name, kind in columns.items()]
    done = [sql.SQL("{} is not distinct from {}").format(sql.Identifier("t", name), _erased(name, kind))
            for name, kind in columns.items() if kind != "text"] + [
        sql.SQL("coalesce({} ~ '^(\\+?erased_[0-9a-f]{{16}}|[0-9]{{4}}XX)$', true)").format(sql.Identifier("t", name))
        for name, kind in columns.items() if kind == "text"
    ]  # fmt: skip
    return sql.SQL(", ").join(changes), sql.SQL(" and ").join(done)


def _erased(name: str, kind: str) -> sql.Composable:
    """What stands in a column afterwards: nothing stays nothing, so that what was filled in is still counted."""
    column = sql.Identifier("t", name)
    if name == "postcode":
        # the area is counted, and some thousand addresses share it
        return sql.SQL("left({}, 4) || 'XX'").format(column)
    match kind:
        case "text":
            # a number is still known as one by its plus
            plus = sql.SQL("'+' || " if name.startswith("phone") else "")
            return sql.SQL(
                "case when {column} is not null then {plus}'erased_' || "
                "left(encode(sha256(convert_to(%(salt)s || {column}, 'UTF8')), 'hex'), 16) end"
            ).format(column=column, plus=plus)
        case "date":
            return sql.SQL("case when {} is not null then date '1900-01-01' end").format(column)
        case "jsonb":
            return sql.SQL("case when {} is not null then '{{}}'::jsonb end").format(column)
        case "integer":
            return sql.SQL("case when {} is not null then 0 end").format(column)
    return sql.SQL("null")


def _erase_raw_rows(connection: psycopg.Connection, trail: Trail) -> None:
    """The lines stay, as many values wide as the header; the values go."""
    (table,) = STORES_OF_OTHERS
    connection.execute(
        sql.SQL(
            """
            with gone as (
                select * from unnest(%(deliveries)s::text[], %(lines)s::integer[]) as rows (delivery_id, line_number)
            )
            update {table} as blocks set lines = (
                select string_agg(
                    case when rows.line_number in (
                        select gone.line_number from gone where gone.delivery_id = blocks.delivery_id
                    ) then rows.line_number || repeat(E'\\x1f', cardinality(blocks.labels)) else rows.line end,
                    E'\\x1e' order by rows.place
                )
                from (
                    select line, place, split_part(line, E'\\x1f', 1)::integer as line_number
                    from string_to_table(blocks.lines, E'\\x1e') with ordinality as lines (line, place)
                ) as rows
            )
            where exists (
                select from gone
                where gone.delivery_id = blocks.delivery_id
                    and gone.line_number between blocks.first_line and blocks.last_line
            )
            """
        ).format(table=sql.Identifier(*table.split("."))),
        values_of(trail),
    )
