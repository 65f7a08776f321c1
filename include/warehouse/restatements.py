"""What became known about a closed month: noticed, proposed to a person, and taken in as the month's next version.

Rule: a closed month does not change. What RIS says later (an outcome, a correction, a follow-up, an acknowledgement) is
landed, and compared here with what the month's newest version says; a difference is a row in `ops.restatements` that
waits for a person. Only an approved restatement may rebuild the month's marts, and closing it adds version n+1; version
n stays readable in `closed.*`. What counts as a difference stands in `_DIFFERENCES`; to let something else count, add
it there and a column to the table.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

logger = logging.getLogger(__name__)

_COLUMNS = (
    "signal_month, version, state, late_outcomes, corrected_outcomes, late_followups, changed_followups, "
    "late_acknowledgements, requested_because, noticed_at, decided_by, decided_at"
)
_IN_WORDS = (
    ("late_outcomes", "late outcomes"),
    ("corrected_outcomes", "corrected outcomes"),
    ("late_followups", "late follow-ups"),
    ("changed_followups", "changed follow-ups"),
    ("late_acknowledgements", "late acknowledgements"),
)


class NothingToRestate(RuntimeError):
    """The month is not closed, or its newest version says all there is."""


@dataclass(frozen=True)
class Restatement:
    """One version of a closed month that is not closed yet (or was)."""

    signal_month: str
    version: int
    state: str
    late_outcomes: int
    corrected_outcomes: int
    late_followups: int
    changed_followups: int
    late_acknowledgements: int
    requested_because: str | None
    noticed_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @property
    def reason(self) -> str:
        """Why there is to be another version, in words and counts."""
        counts = [f"{getattr(self, column)} {words}" for column, words in _IN_WORDS if getattr(self, column)]
        return "; ".join([*([self.requested_because] if self.requested_because else []), *counts])

    def __str__(self) -> str:
        declined = f" (declined by {self.decided_by})" if self.state == "declined" else ""
        return f"{self.signal_month} version {self.version} {self.state}{declined}: {self.reason}"


def notice_late_answers() -> list[Restatement]:
    """Compare what RIS says with the closed months; keep and return every difference that waits for a person."""
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('vs:restatements'))")
        months = _months_to_compare(connection)
        if months:
            connection.execute(_KEEP_DIFFERENCES, {"months": months})
            # what differed, and no longer does, before anybody was asked
            connection.execute(
                "delete from ops.restatements where state in ('waiting', 'declined') and requested_because is null and "
                "late_outcomes + corrected_outcomes + late_followups + changed_followups + late_acknowledgements = 0"
            )
        found = _restatements(connection, "state <> 'closed'")
    if found:
        logger.info("restatements waiting: %s", "; ".join(map(str, found)))
    return found


def waiting_restatements() -> list[Restatement]:
    """Every restatement that is not closed, by month."""
    with connect(Role.TRANSFORMER) as connection:
        return _restatements(connection, "state <> 'closed'")


def restatement_of(month: Month, connection: psycopg.Connection | None = None) -> Restatement | None:
    """The month's restatement that is not closed; None when there is none."""
    if connection is None:
        with connect(Role.EXPORTER) as own:
            return restatement_of(month, own)
    found = _restatements(connection, "state <> 'closed' and signal_month = %s", (str(month),))
    return found[0] if found else None


def request_restatement(month: Month, because: str) -> Restatement:
    """Ask for a new version of a closed month for a reason of our own (a definition that was wrong, a new KPI)."""
    with connect(Role.TRANSFORMER) as connection:
        asked = connection.execute(
            """
            insert into ops.restatements (signal_month, version, state, requested_because)
            select signal_month, max(version) + 1, 'waiting', %(because)s
            from ops.closure_ledger where signal_month = %(month)s group by signal_month
            on conflict (signal_month, version) do update set requested_because = excluded.requested_because
            """,
            {"month": str(month), "because": because},
        ).rowcount
        if not asked:
            raise NothingToRestate(f"{month} is not closed: there is nothing to restate. Close it: vs month {month}")
        return _restatements(connection, "state <> 'closed' and signal_month = %s", (str(month),))[0]


def propose_restatement(month: Month) -> Restatement:
    """Open the month's next version for a proposal: its closures may be proposed again, its marts not yet.

    A restatement that is already approved is gone on with: its run died before the ledger.
    """
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "update ops.restatements set state = 'proposed', decided_by = null, decided_at = null "
            "where signal_month = %s and state in ('waiting', 'declined')",
            (str(month),),
        )
        found = restatement_of(month, connection)
    if found is None:
        raise NothingToRestate(
            f"RIS says nothing about {month} that its newest version does not say (ops.restatements). For another "
            f'reason, say which: vs month {month} --restate --because "…"'
        )
    return found


def decide_restatement(
    connection: psycopg.Connection, month: Month, decision: str, decided_by: str, decided_at: datetime
) -> None:
    """What a person decided about the proposed version; `record_approval` calls this in its own transaction."""
    connection.execute(
        "update ops.restatements set state = %s, decided_by = %s, decided_at = %s "
        "where signal_month = %s and state in ('proposed', 'approved', 'declined')",
        ("approved" if decision == "approved" else "declined", decided_by, decided_at, str(month)),
    )


def _restatements(connection: psycopg.Connection, condition: str, values: Sequence[str] = ()) -> list[Restatement]:
    with connection.cursor(row_factory=class_row(Restatement)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from ops.restatements where {condition} order by signal_month, version", values
        ).fetchall()


def _months_to_compare(connection: psycopg.Connection) -> list[str]:
    """Closed months RIS said something about since their marts were built, and those that wait already."""
    rows = connection.execute(
        """
        select distinct ledger.signal_month
        from ops.closure_ledger as ledger
        where exists (
                select from ops.ris_pulls as pulls
                where pulls.new_items > 0
                    -- of a follow-up the loader may not know the month: its case was never called
                    and (ledger.signal_month = any (pulls.months) or pulls.kind = 'followups')
                    and pulls.pulled_at > (
                        select coalesce(max(built.recorded_at), '-infinity') from ops.dbt_results as built
                        where built.stage = 'marts' and built.signal_month = ledger.signal_month
                    )
            )
            or exists (
                select from ops.restatements as waiting
                where waiting.signal_month = ledger.signal_month and waiting.state <> 'closed'
            )
            or exists (
                select from ops.closure_batches as batches
                where batches.signal_month = ledger.signal_month and batches.acknowledged_at > ledger.closed_at
            )
        order by 1
        """
    )
    return [month for (month,) in rows]


# Each difference: what RIS says now (staging, intermediate) against what the month's marts say.
_DIFFERENCES = """
    select known.signal_month,
        count(*) filter (where said.call_record_id is null) as late_outcomes,
        count(*) filter (where said.call_record_id is not null) as corrected_outcomes,
        0 as late_followups, 0 as changed_followups, 0 as late_acknowledgements
    from intermediate.int_call_outcomes as known
    left join marts.fct_outcomes as said
        on said.signal_month = known.signal_month and said.call_record_id = known.call_record_id
    where known.signal_month = any (%(months)s)
        and (known.result_code, known.result_at, known.outbound_attempts, known.inbound_attempts,
            known.has_callback_preference, known.callback_part_of_day)
        is distinct from (said.result_code, said.result_at, said.outbound_attempts, said.inbound_attempts,
            said.has_callback_preference, said.callback_part_of_day)
    group by known.signal_month
    union all
    select cases.signal_month, 0, 0,
        count(*) filter (where said.followup_id is null), count(*) filter (where said.followup_id is not null), 0
    from staging.stg_ris_followups as known
    inner join marts.fct_cases as cases on cases.case_id = known.case_id and cases.signal_month = any (%(months)s)
    left join marts.fct_followups as said
        on said.signal_month = cases.signal_month and said.followup_id = known.followup_id
    where (known.kind, known.started_on, known.ended_on) is distinct from (said.kind, said.started_on, said.ended_on)
    group by cases.signal_month
    union all
    select said.signal_month, 0, 0, 0, 0, count(*)
    from marts.fct_month_end_closures as said
    where said.signal_month = any (%(months)s) and said.ris_state = 'sent'
        and exists (
            select from ops.closure_items as items
            where items.batch_id = said.batch_id and items.case_id = said.case_id and items.state <> 'sent'
        )
    group by said.signal_month
"""

_KEEP_DIFFERENCES = f"""
with differences as ({_DIFFERENCES}),

closed as (
    select signal_month, max(version) + 1 as version
    from ops.closure_ledger where signal_month = any (%(months)s) group by signal_month
),

summed as (
    select
        closed.signal_month, closed.version,
        coalesce(sum(late_outcomes), 0) as late_outcomes, coalesce(sum(corrected_outcomes), 0) as corrected_outcomes,
        coalesce(sum(late_followups), 0) as late_followups, coalesce(sum(changed_followups), 0) as changed_followups,
        coalesce(sum(late_acknowledgements), 0) as late_acknowledgements
    from closed
    left join differences on differences.signal_month = closed.signal_month
    group by closed.signal_month, closed.version
)

insert into ops.restatements as kept
    (signal_month, version, state, late_outcomes, corrected_outcomes, late_followups, changed_followups,
    late_acknowledgements)
select
    signal_month, version, 'waiting', late_outcomes, corrected_outcomes, late_followups, changed_followups,
    late_acknowledgements
from summed
where late_outcomes + corrected_outcomes + late_followups + changed_followups + late_acknowledgements > 0
    or exists (
        select from ops.restatements as known
        where known.signal_month = summed.signal_month and known.version = summed.version
    )
on conflict (signal_month, version) do update set
    late_outcomes = excluded.late_outcomes, corrected_outcomes = excluded.corrected_outcomes,
    late_followups = excluded.late_followups, changed_followups = excluded.changed_followups,
    late_acknowledgements = excluded.late_acknowledgements
-- while an approved version is being built its marts say it all already, and its reason is what was approved
where kept.state <> 'approved'
"""
