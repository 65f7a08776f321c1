"""How Airflow tells: a task that failed, a deadline that passed, and once a day what waits too long.

Only what fails pays for it: a task that succeeds does nothing here. An alert about a run is settled by the daily look,
when that run has ended well since. Messages name the kind of failure, never its text: what an error of a database or a
file says may hold a row's values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowRuntimeError

from include.settings import Settings

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FAILED, DEADLINE = "task_failed", "deadline"


@dataclass(frozen=True)
class Deadline:
    """What people expect of a run, and within how long."""

    must: str
    within: Callable[[Settings], timedelta]


DEADLINES = {
    "ingest_partner_files": Deadline("the deliveries were to be in", lambda settings: settings.ingest_deadline),
    "build_cases": Deadline("the month was to have its cases", lambda settings: settings.build_deadline),
    "deliver_call_lists": Deadline("the call list was to be approved", lambda settings: settings.approval_alert),
    "close_month": Deadline("the month was to be closed", lambda settings: settings.close_deadline),
}


def tell_failure(context: Mapping[str, Any]) -> None:
    """`on_failure_callback` of every task: record it (a gate has recorded its own stop) and tell people."""
    from include.alerts.channels import tell

    if not _is_gate_stop(context.get("exception")):
        instance = context["task_instance"]
        subject = f"{instance.dag_id}.{instance.task_id}"
        month = _month(context["dag_run"].partition_key, context["dag_run"].run_after)
        failure = context.get("exception")
        why = type(failure).__name__ if isinstance(failure, BaseException) else "its process was lost"
        _record(FAILED, month, subject, f"{month}: {subject} failed ({why}). Log: {instance.log_url}", instance.run_id)
    tell()


def in_time(dag: str) -> DeadlineAlert:
    """The deadline of a DAG (see DEADLINES), counted from when its run was queued."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=DEADLINES[dag].within(Settings.from_environment()),
        callback=AsyncCallback(tell_deadline),
    )


async def tell_deadline(context: Mapping[str, Any]) -> None:
    """The callback of a deadline, in the triggerer."""
    await asyncio.to_thread(deadline_passed, context["dag_run"], str(context["deadline"]["deadline_time"]))


def deadline_passed(run: Mapping[str, Any], deadline: str) -> None:
    """Record and tell that a run is not done in time, and whatever else waits too long by now."""
    from include.alerts.channels import tell
    from include.alerts.watch import watch

    passed = datetime.fromisoformat(deadline)
    month = _month(run["partition_key"], datetime.fromisoformat(run["run_after"]))
    must, by = DEADLINES[run["dag_id"]].must, f"{passed.astimezone(AMSTERDAM):%Y-%m-%d %H:%M}"
    _record(DEADLINE, month, run["dag_id"], f"{month}: {must} by {by}, and it is not done.", run["dag_run_id"])
    watch(passed)
    tell()


def watch_and_tell(moment: datetime, state_of: Any) -> dict[str, int]:
    """Settle what went well since, look what waits too long at `moment`, and tell what is new; counts.

    `state_of(dag_id, run_id)` is Airflow's state of a run.
    """
    from include.alerts.channels import tell
    from include.alerts.watch import watch

    ended_well = settle_ended_well(state_of)
    watched = watch(moment)
    return {
        "waiting_too_long": watched.waiting_too_long,
        "settled": watched.settled + ended_well,
        "messages": tell(),
    }


def settle_ended_well(state_of: Any) -> int:
    """Settle the alerts about a run that has ended well since; how many."""
    from include.months import Month
    from include.settings import Role
    from include.warehouse.alerts import open_alerts, settle_alert
    from include.warehouse.connection import connect

    about_runs = [alert for alert in open_alerts() if alert.run_id and alert.kind in (FAILED, DEADLINE)]
    well = [alert for alert in about_runs if _ended_well(state_of, alert.subject.split(".")[0], alert.run_id)]
    with connect(Role.LOADER) as connection:
        for alert in well:
            settle_alert(connection, alert.kind, Month.parse(alert.signal_month), alert.subject)
    return len(well)


def _ended_well(state_of: Any, dag: str, run_id: str) -> bool:
    try:
        return state_of(dag, run_id) == "success"
    except AirflowRuntimeError:
        # Airflow no longer knows the run: a person settles its alert, or the closure of the month
        return False


def _record(kind: str, month: str, subject: str, message: str, run_id: str) -> None:
    from include.months import Month
    from include.settings import Role
    from include.warehouse.alerts import raise_alert
    from include.warehouse.connection import connect

    with connect(Role.LOADER) as connection:
        raise_alert(connection, kind, Month.parse(month), subject, message, run_id)


def _month(partition_key: str | None, run_after: datetime) -> str:
    """The month of the run; of a daily one, the month of its day."""
    return partition_key or f"{run_after:%Y-%m}"


def _is_gate_stop(failure: BaseException | str | None) -> bool:
    from include.quality.gates import GateStopped

    return isinstance(failure, BaseException) and isinstance(failure.__cause__, GateStopped)
