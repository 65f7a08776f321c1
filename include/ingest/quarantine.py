"""Rows and files that were held back: seen, judged again under the contract of today, released, or discarded.

Rule: a row is judged again from the file in archive/, by the version of the contract a file like it would be judged by
now. A row that is good becomes a signal of its delivery and line, exactly once, in the month of its delivery, or as
late in the next open month when that one is over. A row that is not stays, with its new reasons beside those it
arrived with. A discarded row is never a signal; who discarded it, and why, is kept. A refused file goes through the
inbox again, as if it had just come.
The books (view ops.delivery_books): rows in file = loaded + quarantined + duplicate at any time; a released row counts
as loaded. Decisions are rows of ops.quarantine_decisions, in the same transaction as the rows they are about.
Reason: a mistake in a contract, or a partner's, must not cost a family the call.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import class_row

from include.contracts.registry import Contract
from include.exchange.folders import Exchange
from include.ingest import landing
from include.ingest.booking import LATE, LOADED, REJECTED, DeliverySummary
from include.ingest.opening import FileRefused
from include.ingest.reading import REFERENCE_DUPLICATE, JudgedDelivery, judge_parts
from include.ingest.receipts import current_receipt
from include.ingest.receiving import receiving_month
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import logged

logger = logging.getLogger(__name__)

OPEN, RELEASED, DISCARDED = "open", "released", "discarded"
STATUSES = (OPEN, RELEASED, DISCARDED)
# the contract of today takes the line for a title, a total or nothing at all
ROW_NOT_READ = "row_not_read"


class NothingSelected(RuntimeError):
    """No held row answers to what was asked for, or nothing was asked for."""


class CannotJudgeAgain(RuntimeError):
    """The file of a held row cannot be read any more; the message says why and what is left to do."""


@dataclass(frozen=True)
class Selection:
    """Which held rows are meant; what is None does not narrow."""

    month: Month | None = None
    partner: str | None = None
    delivery_id: str | None = None
    reason: str | None = None
    lines: tuple[int, ...] = ()

    @property
    def is_everything(self) -> bool:
        return self == Selection()

    def __str__(self) -> str:
        said = {name: value for name, value in self.values.items() if value}
        return ", ".join(f"{name} {value}" for name, value in said.items()) or "everything"

    @property
    def condition(self) -> str:
        return (
            "(%(month)s::text is null or held.signal_month = %(month)s)"
            " and (%(partner)s::text is null or held.partner = %(partner)s)"
            " and (%(delivery)s::text is null or held.delivery_id = %(delivery)s)"
            " and (%(reason)s::text is null or %(reason)s = any(coalesce(held.reasons_now, held.reasons)))"
            " and (%(lines)s::integer[] is null or held.line_number = any(%(lines)s))"
        )

    @property
    def values(self) -> dict[str, Any]:
        return {
            "month": str(self.month) if self.month else None,
            "partner": self.partner,
            "delivery": self.delivery_id,
            "reason": self.reason,
            "lines": list(self.lines) or None,
        }


@dataclass(frozen=True)
class HeldRow:
    """A row that was set aside, without what stands in it."""

    delivery_id: str
    line_number: int
    partner: str
    file_name: str
    signal_month: str
    reasons: list[str]
    reasons_on_arrival: list[str]
    contract_version: str
    status: str
    released_in: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


@dataclass(frozen=True)
class RefusedFile:
    """A file that was refused as a whole."""

    delivery_id: str
    partner: str | None
    file_name: str
    signal_month: str
    reason_code: str
    reason_detail: str


@dataclass(frozen=True)
class Release:
    """What judging again brought; counts, reason codes and months only."""

    rows_judged: int
    rows_released: int
    rows_held: int
    held_for: dict[str, int]
    months: tuple[str, ...]
    problems: tuple[str, ...]


# -- seeing ------------------------------------------------------------------------------------------------------------

_HELD = """
    select
        held.delivery_id, held.line_number, held.partner, deliveries.file_name, held.signal_month,
        coalesce(held.reasons_now, held.reasons) as reasons, held.reasons as reasons_on_arrival,
        held.contract_version, held.status, held.released_in, held.decided_by, held.decided_at, held.decision_reason
    from landing.quarantined_rows as held
    inner join ops.deliveries on deliveries.delivery_id = held.delivery_id
"""


def held_rows(selection: Selection, status: str | None = OPEN) -> list[HeldRow]:
    """The held rows, by month, file and line; `status` None is all of them."""
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=class_row(HeldRow)) as cursor:
        return cursor.execute(
            f"{_HELD} where {selection.condition} and (%(status)s::text is null or held.status = %(status)s) "
            "order by held.signal_month, deliveries.file_name, held.delivery_id, held.line_number",
            selection.values | {"status": status},
        ).fetchall()


def refused_files(selection: Selection) -> list[RefusedFile]:
    """The files of partners that were refused as a whole and not accepted since."""
    if selection.lines:
        return []
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=class_row(RefusedFile)) as cursor:
        return cursor.execute(
            "select delivery_id, partner, file_name, signal_month, reason_code, reason_detail from ops.deliveries"
            " where status = 'rejected' and partner is not null"
            " and (%(month)s::text is null or signal_month = %(month)s)"
            " and (%(partner)s::text is null or partner = %(partner)s)"
            " and (%(delivery)s::text is null or delivery_id = %(delivery)s)"
            " and (%(reason)s::text is null or reason_code = %(reason)s)"
            " order by signal_month, partner, received_at",
            selection.values,
        ).fetchall()


def delivery_called(given: str) -> str:
    """The delivery with this id, or with an id that begins so and no other does."""
    with connect(Role.LOADER) as connection:
        found = connection.execute(
            "select delivery_id from ops.deliveries where starts_with(delivery_id, %s) order by 1 limit 2", (given,)
        ).fetchall()
    if len(found) != 1:
        what = "several deliveries begin with it; give more of it" if found else "there is no such delivery"
        raise NothingSelected(f"{given}: {what}. `vs quarantine list` shows them.")
    return found[0][0]


def look_at_row(delivery_id: str, line_number: int, accessed_by: str) -> tuple[HeldRow, dict[str, str | None]]:
    """A held row and what stands in it, without any BSN. For a person's eyes; that it was looked at is recorded."""
    with (
        logged("show held row", actor=accessed_by, object=f"{delivery_id} line {line_number}") as operation,
        connect(Role.LOADER) as connection,
        connection.cursor(row_factory=class_row(HeldRow)) as cursor,
    ):
        row = cursor.execute(
            f"{_HELD} where held.delivery_id = %s and held.line_number = %s", (delivery_id, line_number)
        ).fetchone()
        if row is None:
            raise NothingSelected(f"Line {line_number} of {delivery_id} was not held back; see `vs quarantine list`.")
        operation.done(connection)
        return row, landing.read_held_row(connection, delivery_id, line_number)


# -- judging again -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Booked:
    """A loaded delivery as the books have it."""

    delivery_id: str
    partner: str | None
    file_name: str
    signal_month: str
    named_month: str | None
    archived_as: str


@dataclass(frozen=True)
class _Moved:
    """What judging one delivery again moved."""

    judged: int
    released: int
    held_for: Counter[str]
    month: str | None


def release(selection: Selection, decided_by: str, remark: str | None = None) -> Release:
    """Judge the open rows of the selection again; the good ones become signals. Safe to run again at any point."""
    if selection.is_everything:
        raise NothingSelected("Say which rows: a delivery, a month, a partner or a reason.")
    with logged("release held rows", actor=decided_by, object=str(selection), reason=remark):
        return _release(selection, decided_by, remark)


def _release(selection: Selection, decided_by: str, remark: str | None) -> Release:
    exchange, moved, problems = Exchange.from_settings(), [], []
    deliveries = _deliveries_of(selection)
    if not deliveries:
        raise NothingSelected("No row in quarantine answers to that. `vs quarantine list` shows what there is.")
    for booked in deliveries:
        try:
            moved.append(_judge_again(exchange, booked, selection, decided_by, remark))
        except CannotJudgeAgain as problem:
            logger.warning(str(problem))
            problems.append(str(problem))
        _answer(exchange, booked.delivery_id)
    held_for: Counter[str] = sum((one.held_for for one in moved), Counter())
    judged, released = sum(one.judged for one in moved), sum(one.released for one in moved)
    months = tuple(sorted({one.month for one in moved if one.month}))
    logger.info("judged %s rows again: %s released into %s", judged, released, ", ".join(months) or "no month")
    return Release(judged, released, judged - released, dict(held_for.most_common()), months, tuple(problems))


def release_file(delivery_id: str, decided_by: str) -> DeliverySummary:
    """Judge a refused file again, as a whole: it goes back to the inbox and is taken in as if it had just come."""
    with logged("release held rows", actor=decided_by, object=f"file of {delivery_id}"):
        return _release_file(delivery_id)


def _release_file(delivery_id: str) -> DeliverySummary:
    from include.ingest.deliveries import folder_of, ingest_delivery

    exchange = Exchange.from_settings()
    with connect(Role.LOADER) as connection:
        row = connection.execute(
            "select partner, file_name, coalesce(named_month, signal_month), archived_as from ops.deliveries"
            " where delivery_id = %s and status = %s",
            (delivery_id, REJECTED),
        ).fetchone()
    if row is None:
        raise NothingSelected(f"{delivery_id} is no refused file.")
    partner, file_name, month, archived_as = row
    path = f"{folder_of(partner)}/{file_name}"
    if not exchange.exists(archived_as):
        raise CannotJudgeAgain(f"{archived_as} is no longer there; ask {partner} to deliver {file_name} again.")
    if exchange.exists(path):
        raise CannotJudgeAgain(f"{path} waits in the inbox under the same name; have that one taken in first.")
    exchange.move(archived_as, path)
    return ingest_delivery(path, Month.parse(month))


def replay(
    *,
    month: str | None,
    partner: str | None,
    delivery: str | None,
    reason: str | None,
    decided_by: str,
    remark: str | None = None,
) -> Release:
    """What a person typed, judged again: held rows, or a refused file that is named by its delivery."""
    selection = Selection(
        month=Month.parse(month) if month else None,
        partner=partner,
        delivery_id=delivery_called(delivery) if delivery else None,
        reason=reason,
    )
    if not selection.delivery_id or not refused_files(selection):
        return release(selection, decided_by, remark)
    summary = release_file(selection.delivery_id, decided_by)
    loaded = summary.status == LOADED
    refusal = () if loaded else (f"{summary.file_name}: {summary.reason_code}, {summary.reason_detail}",)
    held = {summary.reason_code: summary.rows_in_file} if summary.reason_code else {}
    return Release(
        rows_judged=summary.rows_in_file,
        rows_released=summary.rows_loaded,
        rows_held=summary.rows_in_file - summary.rows_loaded,
        held_for=held,
        months=(summary.signal_month,) if loaded else (),
        problems=refusal,
    )


def discard(selection: Selection, decided_by: str, reason: str) -> int:
    """Decide that the open rows of the selection never become signals; returns how many."""
    if selection.is_everything:
        raise NothingSelected("Say which rows: a delivery, a month, a partner or a reason.")
    if not reason.strip():
        raise NothingSelected("A discarded row needs a reason, for whoever asks later.")
    with logged("discard held rows", actor=decided_by, object=str(selection), reason=reason.strip()):
        return _discard(selection, decided_by, reason)


def _discard(selection: Selection, decided_by: str, reason: str) -> int:
    exchange, discarded = Exchange.from_settings(), 0
    for delivery_id in _deliveries_with_rows(selection):
        with connect(Role.LOADER) as connection:
            _lock(connection, delivery_id)
            lines = [line for line, _ in _open_rows(connection, replace(selection, delivery_id=delivery_id))]
            _decide(connection, delivery_id, lines, DISCARDED, decided_by, reason.strip())
            discarded += len(lines)
        _answer(exchange, delivery_id)
    logger.info("discarded %s rows", discarded)
    return discarded


def _judge_again(
    exchange: Exchange, booked: _Booked, selection: Selection, decided_by: str, remark: str | None
) -> _Moved:
    """One delivery, in one transaction."""
    with connect(Role.LOADER) as connection:
        _lock(connection, booked.delivery_id)
        on_arrival = dict(_open_rows(connection, replace(selection, delivery_id=booked.delivery_id)))
        if not on_arrival:
            return _Moved(0, 0, Counter(), None)
        month = receiving_month(connection, Month.parse(booked.signal_month))
        still = dict.fromkeys(on_arrival, (ROW_NOT_READ,))
        released: list[int] = []
        contract, parts = _judged_today(exchange, booked)
        for part in parts:
            wanted = _only(part, list(on_arrival))
            still |= _reasons(wanted)
            good, doubled = _apart_from_loaded(connection, booked.delivery_id, wanted)
            still |= dict.fromkeys(doubled, (REFERENCE_DUPLICATE,))
            _write(connection, booked, good, month)
            released += good.good.line_numbers.tolist()
        held = {line: codes for line, codes in still.items() if line not in set(released)}
        version = f"{contract.reference} {contract.version}"
        _decide(connection, booked.delivery_id, released, RELEASED, decided_by, remark, str(month), version)
        _note_reasons(connection, booked.delivery_id, held, version)
        held_for = Counter(code for codes in held.values() for code in codes)
        return _Moved(len(on_arrival), len(released), held_for, str(month) if released else None)


def _judged_today(exchange: Exchange, booked: _Booked) -> tuple[Contract, Iterator[JudgedDelivery]]:
    """The file in the archive, part by part, under the contract of today."""
    from include.ingest.deliveries import contract_for, folder_of

    if booked.partner is None:
        raise CannotJudgeAgain(f"{booked.file_name} is no partner's file: its rows can only be discarded.")
    if not exchange.exists(booked.archived_as):
        raise CannotJudgeAgain(
            f"{booked.archived_as} is no longer there, so its rows cannot be judged again. Ask {booked.partner} for a "
            f"correction, and discard them: vs quarantine discard --delivery {booked.delivery_id} --reason TEXT"
        )
    contract, named, besides = contract_for(folder_of(booked.partner), booked.file_name, booked.archived_as)
    if contract is None or named is None:
        raise CannotJudgeAgain(f"No contract reads {booked.file_name} now. {besides}".strip())
    return contract, _parts(exchange, booked, contract)


def _parts(exchange: Exchange, booked: _Booked, contract: Contract) -> Iterator[JudgedDelivery]:
    with exchange.copy_at_hand(booked.archived_as, b"") as (file, _):
        try:
            yield from judge_parts(contract, booked.file_name, file)
        except FileRefused as refusal:
            raise CannotJudgeAgain(f"{booked.file_name} under {contract.reference}: {refusal.detail}") from refusal


def _only(part: JudgedDelivery, lines: list[int]) -> JudgedDelivery:
    """The verdicts on these lines."""
    import polars as pl

    wanted = pl.col("line_number").is_in(lines)
    good = part.good.only(np.isin(part.good.line_numbers, lines))
    return replace(part, good=good, held=part.held.filter(wanted), doubled=part.doubled.filter(wanted))


def _reasons(part: JudgedDelivery) -> dict[int, tuple[str, ...]]:
    return {
        line: tuple(codes) for found in (part.held, part.doubled) for line, codes in found.select(*_VERDICT).iter_rows()
    }


_VERDICT = ("line_number", "reasons")


def _apart_from_loaded(
    connection: psycopg.Connection, delivery_id: str, part: JudgedDelivery
) -> tuple[JudgedDelivery, list[int]]:
    """The good rows whose reference this delivery has not loaded, and the lines of those it has."""
    references = part.good.values_of("partner_reference")
    found = connection.execute(
        "select partner_reference from landing.signals where delivery_id = %s and partner_reference = any(%s)",
        (delivery_id, references),
    ).fetchall()
    loaded = {reference for (reference,) in found}
    is_loaded = np.array([reference in loaded for reference in references], dtype=bool)
    return replace(part, good=part.good.only(~is_loaded)), part.good.line_numbers[is_loaded].tolist()


def _write(connection: psycopg.Connection, booked: _Booked, part: JudgedDelivery, month: Month) -> None:
    """The good rows as signals of the month that takes them in."""
    if str(month) != booked.named_month:
        part = replace(part, good=part.good.flagged(LATE))
    written = landing.write_signals(connection, part, booked.delivery_id, month)
    if written != len(part.good):
        raise landing.BooksDoNotBalance(
            f"{written} of {len(part.good)} released rows of {booked.delivery_id} were written; nothing was released."
        )


# -- the books ---------------------------------------------------------------------------------------------------------


def _decide(
    connection: psycopg.Connection,
    delivery_id: str,
    lines: list[int],
    decision: str,
    decided_by: str,
    remark: str | None,
    month: str | None = None,
    contract_version: str | None = None,
) -> None:
    """Close these rows and book the decision, counted as the rows were counted when they came."""
    if not decided_by.strip():
        raise NothingSelected("A decision needs the name of who decides.")
    if not lines:
        return
    connection.execute(
        "update landing.quarantined_rows set status = %s, released_in = %s, decided_by = %s, decided_at = now(),"
        " decision_reason = %s, judged_with = coalesce(%s, judged_with)"
        " where delivery_id = %s and line_number = any(%s)",
        (decision, month, decided_by, remark, contract_version, delivery_id, lines),
    )
    connection.execute(
        "insert into ops.quarantine_decisions (delivery_id, decision, signal_month, rows_quarantined, rows_duplicate,"
        " contract_version, decided_by, remark)"
        " select %s, %s, %s, count(*) filter (where reasons <> array[%s]), count(*) filter (where reasons = array[%s]),"
        " %s, %s, %s from landing.quarantined_rows where delivery_id = %s and line_number = any(%s)",
        (
            delivery_id, decision, month, REFERENCE_DUPLICATE, REFERENCE_DUPLICATE, contract_version, decided_by,
            remark, delivery_id, lines,
        ),
    )  # fmt: skip


def _note_reasons(
    connection: psycopg.Connection, delivery_id: str, reasons: dict[int, tuple[str, ...]], version: str
) -> None:
    """What the contract of today says about the rows that stay."""
    with connection.cursor() as cursor:
        by_codes: dict[tuple[str, ...], list[int]] = {}
        for line, codes in reasons.items():
            by_codes.setdefault(codes, []).append(line)
        cursor.executemany(
            "update landing.quarantined_rows set reasons_now = %s, judged_with = %s"
            " where delivery_id = %s and line_number = any(%s)",
            [(list(codes), version, delivery_id, lines) for codes, lines in by_codes.items()],
        )


def _open_rows(connection: psycopg.Connection, selection: Selection) -> list[tuple[int, list[str]]]:
    """Line and reasons on arrival of the open rows, locked."""
    return connection.execute(
        f"select held.line_number, held.reasons from landing.quarantined_rows as held "
        f"where {selection.condition} and held.status = 'open' order by held.line_number for update",
        selection.values,
    ).fetchall()


def _deliveries_of(selection: Selection) -> list[_Booked]:
    """The loaded deliveries with a held row in the selection, decided or not."""
    ids = _deliveries_with_rows(selection)
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=class_row(_Booked)) as cursor:
        return cursor.execute(
            "select delivery_id, partner, file_name, signal_month, named_month, archived_as from ops.deliveries"
            " where delivery_id = any(%s) and status = %s order by delivery_id",
            (ids, LOADED),
        ).fetchall()


def _deliveries_with_rows(selection: Selection) -> list[str]:
    with connect(Role.LOADER) as connection:
        rows: Iterable[tuple[str]] = connection.execute(
            f"select distinct held.delivery_id from landing.quarantined_rows as held where {selection.condition}"
            " order by 1",
            selection.values,
        )
        return [delivery_id for (delivery_id,) in rows]


def _lock(connection: psycopg.Connection, delivery_id: str) -> None:
    """The lock the booking of the delivery takes: two releases, or a release and a load, wait for each other."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (delivery_id,))


def _answer(exchange: Exchange, delivery_id: str) -> None:
    """The partner's receipt as things stand now. Written from the books, so a run that died here is caught up with."""
    with connect(Role.LOADER) as connection:
        path, content = current_receipt(connection, delivery_id)
    exchange.write(path, content)
