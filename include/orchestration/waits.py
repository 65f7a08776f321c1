"""What a month waits for, as plain questions to the warehouse and the exchange folders.

Each question answers with a `Finding`: go on, wait, skip (there is nothing to do) or stop (waited too long). The
message is what a person reads in Airflow, so it names the month or partner that is waited for. Waiting is the one
place where the wall clock counts; what a month computes never depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from include.months import Month
from include.settings import Role, Settings

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class Progress(StrEnum):
    GO = "go"
    WAIT = "wait"
    SKIP = "skip"
    STOP = "stop"


@dataclass(frozen=True)
class Finding:
    """The answer of one look."""

    progress: Progress
    message: str


def deliveries_complete(month: Month) -> Finding:
    """Every partner with a contract has delivered or is not waited for, or the contracts' last day has passed."""
    from include.contracts.checking import broken_contracts
    from include.ingest.deliveries import delivery_deadline, gone_on_without, partners_awaited

    awaited = partners_awaited(month)
    broken = ", ".join(contract.path.name for contract in broken_contracts())
    unusable = f" Broken, so not used: {broken} (`vs contract check` says why)." if broken else ""
    if not awaited:
        without = ", ".join(f"{partner} (decided by {who})" for partner, who in gone_on_without(month).items())
        but = f", but for {without}" if without else ""
        return Finding(Progress.GO, f"All deliveries of {month} are there{but}.{unusable}")
    deadline = delivery_deadline(month)
    if _now() >= deadline:
        return Finding(Progress.GO, f"The delivery day of {month} has passed without: {', '.join(awaited)}.{unusable}")
    return Finding(
        Progress.WAIT,
        f"{month} waits until {deadline:%Y-%m-%d %H:%M} for: {', '.join(awaited)}.{unusable} "
        f"To go on without one: vs deliveries go-on {month} PARTNER --by NAME --reason TEXT",
    )


def previous_month_closed(month: Month) -> Finding:
    """Every earlier month is closed: recurrence and refusals of a month rest on the outcomes before it."""
    from include.warehouse.closure_ledger import first_unclosed_month_before, month_is_closed

    if month_is_closed(month):
        return Finding(Progress.SKIP, f"{month} is closed and does not change; a correction is a new closure version.")
    earlier = first_unclosed_month_before(month)
    if earlier is None:
        return Finding(Progress.GO, f"Every month before {month} is closed.")
    bound = _opened_at(month) + Settings.from_environment().previous_month_wait
    if _now() >= bound:
        return Finding(
            Progress.STOP,
            f"{month} waited until {bound:%Y-%m-%d} for {earlier}, which is still not closed. Run close_month for "
            f"{earlier} (look at its approval first), then clear this task.",
        )
    return Finding(Progress.WAIT, f"{month} waits for {earlier} to be closed (DAG close_month, partition {earlier}).")


def month_may_be_closed(month: Month) -> Finding:
    """As `previous_month_closed`; a closed month goes on when something waits to be taken in as its next version."""
    from include.warehouse.closure_ledger import month_is_closed
    from include.warehouse.restatements import restatement_of

    if not month_is_closed(month):
        return previous_month_closed(month)
    restatement = restatement_of(month)
    if restatement is None:
        return Finding(Progress.SKIP, f"{month} is closed, and nothing is known that its newest version does not say.")
    return Finding(
        Progress.GO, f"{month} is closed; to be restated as version {restatement.version}: {restatement.reason}."
    )


def enrichment_answered(month: Month) -> Finding:
    """The provider has answered all requests of the month, or has had its time; gate G3 reports what is missing."""
    from include.ingest.enrichment import enrichment_answered as answered

    if answered(month):
        return Finding(Progress.GO, f"All phone numbers asked for {month} are answered.")
    bound = _asked_at(month) + Settings.from_environment().enrichment_wait
    if _now() >= bound:
        return Finding(Progress.GO, f"No complete answer on {month} by {bound:%Y-%m-%d %H:%M}; going on without it.")
    return Finding(Progress.WAIT, f"{month} waits for the enrichment provider until {bound:%Y-%m-%d %H:%M}.")


def closing_day_reached(month: Month) -> Finding:
    """It is the first working day after the month, or later; a month nobody delivered has nothing to close."""
    if not _has_deliveries(month):
        return Finding(Progress.SKIP, f"No partner delivered anything for {month}: there is nothing to close.")
    day = month.next.first_working_day
    if _now().date() >= day:
        return Finding(Progress.GO, f"{month} may be closed since {day}.")
    return Finding(Progress.WAIT, f"{month} is closed on {day}, the first working day after it.")


CONDITIONS: dict[str, Callable[[Month], Finding]] = {
    condition.__name__: condition
    for condition in (
        deliveries_complete,
        previous_month_closed,
        month_may_be_closed,
        enrichment_answered,
        closing_day_reached,
    )
}


def look(condition: str, month: str) -> Finding:
    """Ask `condition` about `month` once."""
    return CONDITIONS[condition](Month.parse(month))


def _now() -> datetime:
    return datetime.now(AMSTERDAM)


def _has_deliveries(month: Month) -> bool:
    query = "select 1 from ops.deliveries where signal_month = %s and status = 'loaded' and partner is not null limit 1"
    return _one(query, month) is not None


def _opened_at(month: Month) -> datetime:
    return _moment("select opened_at from ops.months where signal_month = %s", month)


def _asked_at(month: Month) -> datetime:
    # counts from the newest request: an answer that is complete but for a late addition gets its own time
    return _moment("select max(requested_at) from ops.enrichment_requests where signal_month = %s", month)


def _moment(query: str, month: Month) -> datetime:
    moment = _one(query, month)
    return moment.astimezone(AMSTERDAM) if moment else _now()


def _one(query: str, month: Month) -> Any:
    """The first column of the first row, or None."""
    from include.warehouse.connection import connect

    with connect(Role.LOADER) as connection:
        row = connection.execute(query, (str(month),)).fetchone()
    return row[0] if row else None
