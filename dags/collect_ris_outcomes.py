"""### What the callers heard comes in

**When** every day at 08:30.

**What** pull what is new or changed in RIS (by API or files), then for each open month it touches: gate **G6** → dbt
*marts* → the warm part of Kwadraad's work list, which becomes a new file only when its content is new. A month that
stops at its gate does not stop the others. Nothing new: the rest of the run skips.

**Emits** `outcomes_collected`.

Runbook: docs/runbooks/collect-ris-outcomes.md
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, task, task_group

from include.orchestration.assets import OUTCOMES_COLLECTED
from include.orchestration.dbt_stage import dbt_stage
from include.orchestration.defaults import START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate
from include.orchestration.schedules import every_morning


@dag(
    schedule=every_morning(),
    start_date=START,
    catchup=False,
    max_active_runs=1,  # two pulls at once would ask for the same items
    default_args=TASK_DEFAULTS,
    tags=tags("outcomes"),
    doc_md=__doc__,
)
def collect_ris_outcomes():
    @task
    def collect_outcomes() -> list[str]:
        """Pull and land what is new; returns the open months it touches."""
        from include.ingest.ris import collect_outcomes

        return [str(month) for month in collect_outcomes().months]

    @task
    def deliver_worklist(month: str) -> dict:
        """The work list again, with who accepted help since."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.kwadraad_worklist import deliver_worklist

        return as_counts(deliver_worklist(Month.parse(month)))

    @task_group
    def refresh(month: str) -> None:
        """One open month."""
        gate("G6", month=month) >> dbt_stage("marts", month=month) >> deliver_worklist(month)

    refresh.expand(month=collect_outcomes()) >> EmptyOperator(
        task_id="outcomes_collected", outlets=[OUTCOMES_COLLECTED]
    )


collect_ris_outcomes()
