"""### What waits too long is told

**When** every day at 09:15, after the deliveries and the outcomes of the morning.

**What** what waits for a person, a partner, Certin, the enrichment provider or RIS (`ops.waiting`, also on `vs status`)
longer than it may becomes an alert in `ops.alerts`; what waits no longer, and failed runs that ended well since, are
settled; new alerts go out by mail and webhook, each once. Gates and failed tasks tell at once.

Runbook: docs/runbooks/tell-somebody.md
"""

from airflow.sdk import dag, task

from include.orchestration.defaults import START, TASK_DEFAULTS, tags
from include.orchestration.schedules import every_day_after_the_news


@dag(
    schedule=every_day_after_the_news(),
    start_date=START,
    catchup=False,
    max_active_runs=1,  # two at once would look at the same
    default_args=TASK_DEFAULTS,
    tags=tags("alerts"),
    doc_md=__doc__,
)
def watch_months():
    @task
    def tell_what_waits(moment: str, ti=None) -> dict[str, int]:
        """Settle, raise, tell; how many of each."""
        from datetime import datetime

        from include.orchestration.alerting import watch_and_tell

        return watch_and_tell(datetime.fromisoformat(moment), ti.get_dagrun_state)

    tell_what_waits("{{ dag_run.run_after.isoformat() }}")


watch_months()
