"""What every DAG has in common: owner, retries, tags, the month as a template, and the day history begins."""

from __future__ import annotations

from datetime import timedelta

import pendulum

from include.orchestration.alerting import tell_failure
from include.orchestration.retries import OnlyPassingFailures
from include.orchestration.schedules import TIMEZONE

MONTH = "{{ dag_run.partition_key }}"
"""The signal month of the run; a task parses it with `Month.parse`."""

START = pendulum.datetime(2024, 1, 1, tz=TIMEZONE)

# Several months may be under way at once; their order is guarded in data (`await_previous_month`). With one active run
# a later month that waits would keep out the earlier month it waits for.
MONTHS_AT_ONCE = 12

TASK_DEFAULTS = {
    "owner": "data-platform",
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "retry_policy": OnlyPassingFailures(),
    "on_failure_callback": tell_failure,
}


def tags(domain: str) -> list[str]:
    """The tags of a DAG that people's calls and closures depend on."""
    return [f"domain:{domain}", "impact:tier_1", "pii:yes"]
