"""Persons who are not to be approached, whatever signals come in: recorded, listed, ended (`vs person …`).

Rule: an objection, a death or running debt help reported outside RIS, or a no after review keeps every signal of that
person from being picked up, in each month in which it is in force. Reason: interfaces §3; the right to object (AVG
art. 21).
A new ground is a row in the check of `ops.suppressions` and a `suppressed_<ground>` row in the seed eligibility_rules.

Nothing personal is stored: a person known here is stored by id and by the keyed hashes of
`ops.suppression_keys` of all signals that person ever had, so that a later month, in which the id may be forgotten,
still recognises who it is. A person not known here yet is described on the terminal and stored as such a hash alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import psycopg

from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import logged


class Ground(StrEnum):
    """Why somebody is not approached."""

    OBJECTION = "objection"
    DECEASED = "deceased"
    KNOWN_DEBT_HELP = "known_debt_help"
    REVIEWED = "reviewed"


class PersonUnknown(RuntimeError):
    """The id is nobody's, or of several persons; the message says which to give."""


@dataclass(frozen=True)
class Subject:
    """Who is meant: ids and keyed hashes, nothing that can be read."""

    person_ids: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class Suppression:
    """One row of ops.suppressions, for a person to read."""

    suppression_id: int
    ground: str
    valid_from: date
    valid_to: date | None
    recorded_by: str
    persons: int


def subject_of(identifier: str) -> Subject:
    """The person of a person id, a call record id, or the id of a case that holds one person."""
    with connect(Role.TRANSFORMER) as connection:
        found = connection.execute(
            """
            select distinct person_id from intermediate.int_signals__matched
            where %(id)s in (person_id, call_record_id, case_id) order by 1
            """,
            {"id": identifier},
        ).fetchall()
        if not found:
            raise PersonUnknown(
                f"{identifier} is no person, call record or case of this warehouse. Look the id up on the work list or "
                "in RIS; or leave it out and describe the person: vs person suppress --describe"
            )
        if len(found) > 1:
            persons = ", ".join(person_id for (person_id,) in found)
            raise PersonUnknown(f"{identifier} holds {len(found)} persons; say which one is meant: {persons}")
        return _known(connection, [person_id for (person_id,) in found], [])


def described_subject(postcode: str, house_number: int, birth_on: date, surname: str) -> Subject:
    """Somebody described on the terminal, with the persons already known here who answer to it."""
    with connect(Role.TRANSFORMER) as connection:
        (keys,) = connection.execute(
            "select ops.suppression_keys(%s, %s, %s, %s)", (postcode, house_number, birth_on, surname)
        ).fetchone()
        if not keys:
            raise PersonUnknown("The surname holds no letters; describe the person as the letters of partners do.")
        found = connection.execute(
            """
            select distinct person_id from intermediate.int_signals__matched
            where birth_on = %(birth_on)s and house_number = %(house_number)s
                and %(keys)s && ops.suppression_keys(postcode, house_number, birth_on, surname)
            order by 1
            """,
            {"birth_on": birth_on, "house_number": house_number, "keys": keys},
        ).fetchall()
        return _known(connection, [person_id for (person_id,) in found], keys)


def subject_of_bsn(bsn: str) -> Subject:
    """Everybody who was reported with this BSN; it is hashed at once and goes nowhere."""
    from include.ingest.readers import INVALID, bsn_key

    key = bsn_key(bsn)
    if key is INVALID:
        raise PersonUnknown("That is no BSN: nine digits that pass the eleven-test.")
    with connect(Role.TRANSFORMER) as connection:
        found = connection.execute(
            "select distinct person_id from intermediate.int_signals__matched where bsn_key = %s order by 1", (key,)
        ).fetchall()
        return _known(connection, [person_id for (person_id,) in found], [])


def _known(connection: psycopg.Connection, person_ids: list[str], keys: Sequence[str]) -> Subject:
    """With the keys of all signals these persons ever had."""
    rows = connection.execute(
        """
        select distinct key
        from intermediate.int_signals__matched
        cross join lateral unnest(ops.suppression_keys(postcode, house_number, birth_on, surname)) as own (key)
        where person_id = any(%s)
        """,
        (person_ids,),
    )
    return Subject(person_ids, sorted({*keys, *(key for (key,) in rows)}))


def suppress(subject: Subject, ground: Ground, valid_from: date, recorded_by: str) -> int:
    """Record it; the same person on the same ground from the same day is recorded once. Returns its number."""
    with (
        logged("suppress person", actor=recorded_by, object="ops.suppressions", reason=ground) as operation,
        connect(Role.LOADER) as connection,
    ):
        operation.about(subject.person_ids)
        operation.done(connection)
        connection.execute("select pg_advisory_xact_lock(hashtext('vs:suppressions'))")
        known = connection.execute(
            """
            select suppression_id from ops.suppressions
            where ground = %s and valid_from = %s and valid_to is null and person_ids = %s and subject_keys = %s
            """,
            (ground, valid_from, list(subject.person_ids), list(subject.keys)),
        ).fetchone()
        if known:
            return known[0]
        (number,) = connection.execute(
            """
            insert into ops.suppressions (ground, person_ids, subject_keys, valid_from, recorded_by)
            values (%s, %s, %s, %s, %s) returning suppression_id
            """,
            (ground, list(subject.person_ids), list(subject.keys), valid_from, recorded_by),
        ).fetchone()
        return number


def end_suppression(suppression_id: int, last_day: date, recorded_by: str) -> None:
    """From the day after, the person may be approached again; what happened before stays as it was."""
    with (
        logged("end suppression", actor=recorded_by, object=f"suppression {suppression_id}") as operation,
        connect(Role.LOADER) as connection,
    ):
        ended = connection.execute(
            "update ops.suppressions set valid_to = %s where suppression_id = %s and valid_to is null"
            " returning person_ids",
            (last_day, suppression_id),
        ).fetchone()
        if ended is None:
            raise PersonUnknown(f"There is no running suppression {suppression_id}; see `vs person suppressed`.")
        operation.about(ended[0])
        operation.done(connection)


def suppressions() -> list[Suppression]:
    """Everything recorded, newest first."""
    with connect(Role.LOADER) as connection:
        rows = connection.execute(
            """
            select suppression_id, ground, valid_from, valid_to, recorded_by, cardinality(person_ids)
            from ops.suppressions order by suppression_id desc
            """
        ).fetchall()
    return [Suppression(*row) for row in rows]


def calls_to_withdraw() -> dict[str, int]:
    """Per open month, the call records the next list withdraws: they went out, and are not to be approached."""
    with connect(Role.TRANSFORMER) as connection:
        rows = connection.execute(
            """
            select records.signal_month, count(*)
            from intermediate.int_calls__suppressed as suppressed
            inner join ops.call_records as records
                on records.call_record_id = suppressed.call_record_id
                and records.signal_month = suppressed.signal_month
            where records.withdrawn_in_sequence is null
                and records.signal_month not in (select ledger.signal_month from ops.closure_ledger as ledger)
            group by 1 order by 1
            """
        ).fetchall()
    return dict(rows)
