"""### What may no longer be kept is deleted

**When** on the 1st at 06:00 for the month that has ended; by hand at any time, and after every restored backup.

**What** rows and files whose term is over, by the terms in the contracts: first the rows as they were delivered and
what was not picked up, then signals, then cases; files nobody took in, old logs and answers to residents. What was
erased for somebody is erased again. KPIs stay. One certificate a table and folder in `ops.purge_certificates`: how
many, never what.

Runbook: docs/runbooks/purge-expired-data.md
"""

from airflow.sdk import dag, task

from include.orchestration.defaults import MONTH, MONTHS_AT_ONCE, START, TASK_DEFAULTS, tags
from include.orchestration.schedules import after_month_end


@dag(
    schedule=after_month_end(),
    start_date=START,
    catchup=False,
    max_active_runs=MONTHS_AT_ONCE,
    default_args=TASK_DEFAULTS,
    tags=tags("retention"),
    doc_md=__doc__,
)
def purge_expired_data():
    @task
    def purge(month: str) -> dict[str, int]:
        """Delete and certify; how many of what."""
        from include.months import Month
        from include.warehouse.forgetting import purge as forget

        return {f"{one.kept}: {one.what}": one.deleted for one in forget(Month.parse(month)) if one.deleted}

    purge(MONTH)


purge_expired_data()
