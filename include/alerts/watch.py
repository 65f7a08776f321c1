"""What has waited too long becomes an alert, and what no longer waits is settled. Safe to run at any moment, twice too.

Rule: what waits is `ops.waiting` and nothing else; how long it may is the limit of its kind. The moment counted up to
is given: a planned run judges by the time it was planned for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from include.alerts.kinds import KINDS, WENT_WRONG
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.alerts import raise_alert, settle_alert
from include.warehouse.connection import connect

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True)
class Watched:
    """How many alerts there are now of what waits, and how many were settled by this look."""

    waiting_too_long: int
    settled: int


def watch(moment: datetime) -> Watched:
    """Raise an alert for each thing that has waited past its limit at `moment`; settle those that wait no longer."""
    settings = Settings.from_environment()
    limits = {name: kind.limit(settings) for name, kind in KINDS.items() if kind.limit}
    with connect(Role.LOADER) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('vs:watch'))")
        late = connection.execute(
            "select waiting.kind, waits_for, signal_month, subject, items, since from ops.waiting as waiting "
            "inner join unnest(%s::text[], %s::interval[]) as limits (kind, wait) on limits.kind = waiting.kind "
            "where waiting.since + limits.wait <= %s order by signal_month, waiting.kind, subject",
            (list(limits), list(limits.values()), moment),
        ).fetchall()
        for kind, waits_for, month, subject, items, since in late:
            message = _message(kind, waits_for, month, subject, items, since)
            raise_alert(connection, kind, Month.parse(month), subject, message)
        settled = connection.execute(_NO_LONGER, (sorted(WENT_WRONG), sorted(WENT_WRONG))).fetchall()
        for kind, month, subject in settled:
            settle_alert(connection, kind, Month.parse(month), subject)
    return Watched(len(late), len(settled))


# What waits no longer; and what went wrong in a month before it was closed all the same.
_NO_LONGER = """
    select alerts.kind, alerts.signal_month, alerts.subject
    from ops.alerts
    where alerts.settled_at is null and (
        alerts.kind <> all (%s) and not exists (
            select from ops.waiting as waiting
            where waiting.kind = alerts.kind and waiting.signal_month = alerts.signal_month
                and waiting.subject = alerts.subject
        )
        or alerts.kind = any (%s) and exists (
            select from ops.closure_ledger as ledger
            where ledger.signal_month = alerts.signal_month and ledger.closed_at > alerts.raised_at
        )
    )
"""


def _message(kind: str, waits_for: str, month: str, subject: str, items: int, since: datetime) -> str:
    count = f" ({items})" if items > 1 else ""
    return (
        f"{month}: {KINDS[kind].title}{count}: {subject}. Waits for {waits_for} since "
        f"{since.astimezone(AMSTERDAM):%Y-%m-%d %H:%M}."
    )
