"""### Signals become cases, phone numbers and routes

**When** as soon as `signals_landed` is there for a month. A month waits until every earlier month is closed (recurrence
and refusals rest on their outcomes); a month that is itself closed does not change: its run skips.

**What** dbt *matched* → gate **G2** → the numbers to look up go out → wait for the provider (no wait when nothing was
asked, and never longer than its time) → dbt *enriched* → **G3** → dbt *categorised* → **G4**.

**Emits** `cases_categorised` for the month, which starts `deliver_call_lists`.

Runbook: docs/runbooks/build-cases.md
"""

from airflow.sdk import dag, task

from include.orchestration.alerting import in_time
from include.orchestration.assets import CASES_CATEGORISED, SIGNALS_LANDED
from include.orchestration.dbt_stage import dbt_stage
from include.orchestration.defaults import MONTH, MONTHS_AT_ONCE, START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate
from include.orchestration.schedules import when
from include.orchestration.triggers import Await


@dag(
    schedule=when(SIGNALS_LANDED),
    start_date=START,
    catchup=False,
    max_active_runs=MONTHS_AT_ONCE,
    default_args=TASK_DEFAULTS,
    deadline=in_time("build_cases"),
    tags=tags("cases"),
    doc_md=__doc__,
)
def build_cases():
    @task
    def request_enrichment(month: str) -> dict:
        """Ask the provider for the numbers of persons without one."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.enrichment_request import request_enrichment

        return as_counts(request_enrichment(Month.parse(month)))

    @task
    def load_enrichment_results(month: str) -> dict:
        """Load the provider's answers."""
        from include.ingest.enrichment import load_enrichment_results
        from include.months import Month
        from include.orchestration.summaries import as_counts

        return as_counts(load_enrichment_results(Month.parse(month)))

    (
        Await(task_id="await_previous_month", condition="previous_month_closed")
        >> dbt_stage("matched")
        >> gate("G2")
        >> request_enrichment(MONTH)
        >> Await(task_id="await_enrichment", condition="enrichment_answered")
        >> load_enrichment_results(MONTH)
        >> dbt_stage("enriched")
        >> gate("G3")
        >> dbt_stage("categorised")
        >> gate("G4", outlets=(CASES_CATEGORISED,))
    )


build_cases()
