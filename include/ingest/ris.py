"""Outcomes and follow-ups from RIS into landing, through its API or through files; both end in the same rows.

Rules:
- every version of an item is kept once (its id and `updated_at`), so pulling again can only find what is known;
- an outcome belongs to a call record that we delivered, or it is set aside with its reason and reported;
- a result code is landed whatever it says: the outcome gate stops at an unknown one, nothing is guessed here;
- a pull starts two days before the newest `updated_at` seen, and earlier while delivered call records of an open month
  still wait for an outcome: what was skipped once is found before the month closes.

What a pull touched stands in `ops.ris_pulls`, so a run that was killed before it refreshed the facts does so next time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from include.exchange.ris import RisClient
from include.ingest.ris_items import (
    AMSTERDAM,
    Followup,
    Outcome,
    Rejected,
    read_followups,
    read_outcomes,
)
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect

logger = logging.getLogger(__name__)

OVERLAP = timedelta(days=2)
KINDS = ("outcomes", "followups")


@dataclass(frozen=True)
class CollectedOutcomes:
    """What one collection brought; counts and months only."""

    months: list[str] = field(default_factory=list)
    late_months: list[str] = field(default_factory=list)
    outcomes: int = 0
    new_outcomes: int = 0
    followups: int = 0
    new_followups: int = 0
    rejected: int = 0
    files: int = 0
    files_refused: int = 0


@dataclass(frozen=True)
class Landed:
    """One kind, landed: how many versions were shown, new, set aside, and the months they belong to."""

    kind: str
    shown: int
    new: int
    rejected: int
    months: tuple[str, ...]


def collect_outcomes(client: RisClient | None = None) -> CollectedOutcomes:
    """Fetch what is new at RIS and land it; `months` are the open months whose facts must be refreshed."""
    if Settings.from_environment().ris_by_files:
        from include.ingest.ris_files import land_ris_files

        found = land_ris_files()
        landed, files, refused = found.landed, found.files, found.refused
    else:
        landed, files, refused = tuple(_collect(kind, client or RisClient()) for kind in KINDS), 0, 0
    with connect(Role.LOADER) as connection:
        stale = _months_to_refresh(connection)
    touched = {month for one in landed for month in one.months}
    summary = CollectedOutcomes(
        months=stale,
        late_months=sorted(touched - set(stale)),
        outcomes=sum(one.shown for one in landed if one.kind == "outcomes"),
        new_outcomes=sum(one.new for one in landed if one.kind == "outcomes"),
        followups=sum(one.shown for one in landed if one.kind == "followups"),
        new_followups=sum(one.new for one in landed if one.kind == "followups"),
        rejected=sum(one.rejected for one in landed),
        files=files,
        files_refused=refused,
    )
    logger.info("RIS collected: %s", summary)
    return summary


def _collect(kind: str, client: RisClient) -> Landed:
    with connect(Role.LOADER) as connection:
        since = pull_start(connection, kind)
    # no transaction is open while RIS is asked
    if kind == "outcomes":
        outcomes, bad = read_outcomes(client.outcomes(since))
        with connect(Role.LOADER) as connection:
            return land_outcomes(connection, outcomes, bad, "api", since)
    followups, bad = read_followups(client.followups(since))
    with connect(Role.LOADER) as connection:
        return land_followups(connection, followups, bad, "api", since)


def pull_start(connection: psycopg.Connection, kind: str) -> datetime | None:
    """From when on RIS is asked; None (everything) the first time."""
    # an `updated_at` ahead of the pull itself (a clock that is wrong) must not hide what comes after it
    (newest,) = connection.execute(
        "select max(least(newest_updated_at, pulled_at)) from ops.ris_pulls where kind = %s and source = 'api'", (kind,)
    ).fetchone()
    if newest is None:
        return None
    (waiting,) = connection.execute(
        """
        select min(records.signal_month)
        from ops.call_records as records
        where records.withdrawn_in_sequence is null
            and not exists (select from ops.closure_ledger as ledger where ledger.signal_month = records.signal_month)
            and not exists (
                select from landing.ris_outcomes as known where known.call_record_id = records.call_record_id
            )
        """
    ).fetchone()
    if waiting is None:
        return newest - OVERLAP
    first_day = Month.parse(waiting).first_day
    return min(newest - OVERLAP, datetime(first_day.year, first_day.month, 1, tzinfo=AMSTERDAM))


def land_outcomes(
    connection: psycopg.Connection,
    outcomes: Sequence[Outcome],
    bad: Sequence[Rejected],
    source: str,
    since: datetime | None,
) -> Landed:
    """One transaction: the new versions with their attempts, what is set aside, and the pull itself."""
    connection.execute(
        "create temporary table pulled_outcomes (like landing.ris_outcomes, item jsonb) on commit drop;"
        "create temporary table pulled_attempts (like landing.ris_attempts) on commit drop"
    )
    with connection.cursor().copy("copy pulled_outcomes from stdin") as copy:
        for one in outcomes:
            copy.write_row(
                (
                    one.outcome_id, one.updated_at, one.call_record_id, one.case_id, one.result_code, one.result_at,
                    one.script_version, one.callback_part_of_day, one.callback_from, one.callback_until,
                    one.callback_on, one.situation_summary, source, one.item,
                )
            )  # fmt: skip
    with connection.cursor().copy("copy pulled_attempts from stdin") as copy:
        for one in outcomes:
            for attempt in one.attempts:
                copy.write_row(
                    (
                        one.outcome_id, one.updated_at, attempt.attempt_id, attempt.attempt_no, attempt.direction,
                        attempt.phone, attempt.started_at, attempt.ended_at, attempt.reached, attempt.attempt_result,
                    )
                )  # fmt: skip
    set_aside = connection.execute(
        """
        insert into landing.ris_rejected_items (kind, item_id, updated_at, reason, item)
        select 'outcome', pulled.outcome_id, pulled.updated_at,
            case when records.call_record_id is null then 'call_record_unknown' else 'case_differs' end, pulled.item
        from pulled_outcomes as pulled
        left join ops.call_records as records on records.call_record_id = pulled.call_record_id
        where records.case_id is distinct from pulled.case_id
        on conflict do nothing
        """
    ).rowcount
    new = connection.execute(
        """
        insert into landing.ris_outcomes
        select
            pulled.outcome_id, pulled.updated_at, pulled.call_record_id, pulled.case_id, pulled.result_code,
            pulled.result_at, pulled.script_version, pulled.callback_part_of_day, pulled.callback_from,
            pulled.callback_until, pulled.callback_on, pulled.situation_summary, pulled.source
        from pulled_outcomes as pulled
        inner join ops.call_records as records
            on records.call_record_id = pulled.call_record_id and records.case_id = pulled.case_id
        on conflict do nothing
        returning outcome_id, updated_at, call_record_id
        """
    ).fetchall()
    connection.execute(
        "create temporary table new_outcomes (outcome_id text, updated_at timestamptz, call_record_id text) "
        "on commit drop"
    )
    with connection.cursor().copy("copy new_outcomes from stdin") as copy:
        for row in new:
            copy.write_row(row)
    connection.execute(
        """
        insert into landing.ris_attempts
        select attempts.* from pulled_attempts as attempts
        inner join new_outcomes using (outcome_id, updated_at)
        on conflict do nothing
        """
    )
    # set aside earlier, its call record is known now
    connection.execute(
        """
        delete from landing.ris_rejected_items as waiting using new_outcomes
        where waiting.kind = 'outcome' and waiting.item_id = new_outcomes.outcome_id
            and waiting.updated_at = new_outcomes.updated_at
        """
    )
    months = connection.execute(
        """
        select distinct records.signal_month from new_outcomes
        inner join ops.call_records as records using (call_record_id) order by 1
        """
    ).fetchall()
    newest = max((one.updated_at for one in outcomes), default=None)
    return _record(
        connection, "outcomes", source, since, newest,
        shown=len(outcomes) + len(bad), new=len(new), rejected=set_aside + _set_aside(connection, bad),
        months=tuple(month for (month,) in months),
    )  # fmt: skip


def land_followups(
    connection: psycopg.Connection,
    followups: Sequence[Followup],
    bad: Sequence[Rejected],
    source: str,
    since: datetime | None,
) -> Landed:
    """One transaction, likewise.

    Kwadraad follows up cases that were never called as well: their month is not known here, so every open month counts
    as touched.
    """
    connection.execute("create temporary table pulled_followups (like landing.ris_followups) on commit drop")
    with connection.cursor().copy("copy pulled_followups from stdin") as copy:
        for one in followups:
            copy.write_row(
                (one.followup_id, one.updated_at, one.case_id, one.kind, one.started_on, one.ended_on, source)
            )
    new = connection.execute(
        """
        with landed as (
            insert into landing.ris_followups select * from pulled_followups on conflict do nothing returning case_id
        )
        select records.signal_month, count(*)
        from landed
        left join (select distinct case_id, signal_month from ops.call_records) as records using (case_id)
        group by 1
        """
    ).fetchall()
    months = {month for month, _ in new if month}
    if any(month is None for month, _ in new):
        months |= set(_open_months(connection))
    newest = max((one.updated_at for one in followups), default=None)
    return _record(
        connection, "followups", source, since, newest,
        shown=len(followups) + len(bad), new=sum(count for _, count in new), rejected=_set_aside(connection, bad),
        months=tuple(sorted(months)),
    )  # fmt: skip


def _set_aside(connection: psycopg.Connection, bad: Sequence[Rejected]) -> int:
    cursor = connection.cursor()
    cursor.executemany(
        "insert into landing.ris_rejected_items (kind, item_id, updated_at, reason, item) values (%s, %s, %s, %s, %s) "
        "on conflict do nothing",
        [(one.kind, one.item_id, one.updated_at, one.reason, one.item) for one in bad],
    )
    return max(cursor.rowcount, 0)


def _record(
    connection: psycopg.Connection, kind: str, source: str, since: datetime | None, newest: datetime | None,
    *, shown: int, new: int, rejected: int, months: tuple[str, ...],
) -> Landed:  # fmt: skip
    connection.execute(
        "insert into ops.ris_pulls "
        "(kind, source, updated_since, newest_updated_at, items, new_items, rejected_items, months) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (kind, source, since, newest, shown, new, rejected, list(months)),
    )
    return Landed(kind, shown, new, rejected, months)


def _open_months(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "select signal_month from ops.months "
        "where signal_month not in (select signal_month from ops.closure_ledger) order by 1"
    )
    return [month for (month,) in rows]


def _months_to_refresh(connection: psycopg.Connection) -> list[str]:
    """Open months a pull touched after their facts were last built, also when its run did not live to say so."""
    rows = connection.execute(
        """
        select distinct touched.signal_month
        from ops.ris_pulls as pulls
        cross join lateral unnest(pulls.months) as touched (signal_month)
        where touched.signal_month not in (select ledger.signal_month from ops.closure_ledger as ledger)
            and not exists (
                select from ops.dbt_results as built
                where built.signal_month = touched.signal_month and built.stage = 'marts'
                    and built.recorded_at > pulls.pulled_at
            )
        order by 1
        """
    )
    return [month for (month,) in rows]
