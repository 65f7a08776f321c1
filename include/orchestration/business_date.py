"""The day a run is about, where days are counted: how long somebody has been waiting to be called back.

Rule: the day the run was planned for, never the moment a task happens to run, so that a task which runs twice counts
the same. A run may be given another day (`business_date`). With the schedules off, months of the past are driven by
hand and no day of ours belongs to them: days are then counted up to the last answer of RIS.
"""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from airflow.sdk import get_current_context

from include.settings import Settings

DESCRIPTION = "The day up to which days of waiting are counted, YYYY-MM-DD; empty: the day of this run."


def business_date() -> date | None:
    """The day of the current run; None when it has none of its own."""
    context = get_current_context()
    given = (context.get("params") or {}).get("business_date")
    if given:
        return date.fromisoformat(given)
    if not Settings.from_environment().schedules_on:
        return None
    return context["dag_run"].run_after.astimezone(ZoneInfo("Europe/Amsterdam")).date()
