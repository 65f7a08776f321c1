"""A person's decision, recorded: without an approval no call list goes out and no case is closed.

Rule: the newest decision about a month's subject counts; none is a no. A decision belongs to one run; deciding again in
the same run replaces it, so that a task which runs twice records once. A yes to a restatement is about one version of
the month, so it also stands with that version (`ops.restatements`), and that is what counts.
"""

from __future__ import annotations

from datetime import datetime

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import logged

SUBJECTS = ("call_list", "closure", "restatement")


class NotApproved(RuntimeError):
    """Nobody has approved this step of this month, or the last decision was no."""


def record_question(month: Month, subject: str, run_id: str) -> None:
    """Store that a person is asked now: what waits for an answer can be seen, and told when it waits too long."""
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.questions (signal_month, subject, run_id) values (%s, %s, %s) "
            "on conflict (signal_month, subject, run_id) do update set asked_at = now()",
            (str(month), subject, run_id),
        )


def record_approval(
    month: Month,
    subject: str,
    run_id: str,
    decision: str,
    decided_by: str,
    decided_at: datetime,
    remark: str | None = None,
) -> None:
    """Store who decided what about a subject of the month (`approved` or `rejected`), and when."""
    from include.warehouse.restatements import decide_restatement

    with (
        logged(f"approve {subject}", actor=decided_by, object=f"{month}: {decision}", reason=remark) as operation,
        connect(Role.EXPORTER) as connection,
    ):
        connection.execute(
            """
            insert into ops.approvals (signal_month, subject, run_id, decision, decided_by, decided_at, remark)
            values (%s, %s, %s, %s, %s, %s, %s)
            on conflict (signal_month, subject, run_id) do update set
                decision = excluded.decision, decided_by = excluded.decided_by,
                decided_at = excluded.decided_at, remark = excluded.remark
            """,
            (str(month), subject, run_id, decision, decided_by, decided_at, remark),
        )
        if subject == "restatement":
            decide_restatement(connection, month, decision, decided_by, decided_at)
        operation.done(connection)


def closing_subject(month: Month) -> str:
    """What a yes to closing is about: the closure of an open month, or the next version of a closed one."""
    from include.warehouse.closure_ledger import month_is_closed

    return "restatement" if month_is_closed(month) else "closure"


def require_approval(month: Month, subject: str) -> str:
    """The name of who approved; NotApproved otherwise."""
    with connect(Role.EXPORTER) as connection:
        newest = connection.execute(
            "select decision, decided_by from ops.approvals where signal_month = %s and subject = %s "
            "order by decided_at desc, approval_id desc limit 1",
            (str(month), subject),
        ).fetchone()
    if newest is None or newest[0] != "approved":
        state = "nobody has decided yet" if newest is None else "the last decision was no"
        raise NotApproved(
            f"The {subject.replace('_', ' ')} of {month} is not approved: {state}. Approve it in Airflow "
            "(the waiting approval task of this month's run) and run this task again; see ops.approvals."
        )
    return newest[1]
