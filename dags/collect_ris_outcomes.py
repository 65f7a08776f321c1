"""### What the callers heard comes in

**When** every day at 08:30.

**What** pull what is new or changed in RIS (by API or files), then for each open month it touches: gate **G6** → dbt
*marts* → the warm part of Kwadraad's work list, which becomes a new file only when its content is new. A month that
stops at its gate does not stop the others. Open months without news, and closed ones in which somebody waits, get their
work list with the days people wait now. What was said about a closed month waits for a person (`ops.restatements`);
nothing of that month's numbers changes.

**Emits** `outcomes_collected`.

Runbook: docs/runbooks/collect-ris-outcomes.md
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, task, task_group

from include.orchestration.assets import OUTCOMES_COLLECTED
from include.orchestration.business_date import DESCRIPTION as BUSINESS_DATE
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
    params={"business_date": Param("", type="string", description=BUSINESS_DATE)},
    doc_md=__doc__,
)
def collect_ris_outcomes():
    @task
    def collect_outcomes() -> list[str]:
        """Pull and land what is new; returns the open months it touches."""
        from include.ingest.ris import collect_outcomes

        return [str(month) for month in collect_outcomes().months]

    @task
    def notice_late_answers(touched: list[str]) -> list[str]:
        """Closed months RIS said something about: what, and that a person must propose the next version."""
        from include.outbound.closing import notice_what_came_late

        return [str(restatement) for restatement in notice_what_came_late()]

    @task
    def deliver_worklist(month: str) -> dict:
        """The work list again, with who accepted help since."""
        from include.months import Month
        from include.orchestration.business_date import business_date
        from include.orchestration.summaries import as_counts
        from include.outbound.kwadraad_worklist import deliver_worklist

        return as_counts(deliver_worklist(Month.parse(month), business_date()))

    @task
    def deliver_other_worklists(touched: list[str]) -> list:
        """Nothing new in RIS is news as well: somebody waits a day longer."""
        from include.orchestration.business_date import business_date
        from include.orchestration.summaries import as_counts
        from include.outbound.kwadraad_worklist import deliver_open_worklists

        return as_counts(deliver_open_worklists(business_date(), except_for=touched))

    @task_group
    def refresh(month: str) -> None:
        """One open month."""
        gate("G6", month=month) >> dbt_stage("marts", month=month) >> deliver_worklist(month)

    touched = collect_outcomes()
    notice_late_answers(touched)
    deliver_other_worklists(touched)
    refresh.expand(month=touched) >> EmptyOperator(task_id="outcomes_collected", outlets=[OUTCOMES_COLLECTED])


collect_ris_outcomes()
