"""### The lists leave the house, after a person's yes

**When** as soon as `cases_categorised` is there for a month.

**What** gate **G5** → a person approves the call list (no answer is a no; a no is recorded and nothing leaves) → call
list to Certin, work list to Kwadraad, feedback to the partners. The same content again makes no new file.

**Emits** `call_lists_delivered` for the month.

Runbook: docs/runbooks/deliver-call-lists.md
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, task

from include.orchestration.alerting import in_time
from include.orchestration.approval import MonthApproval
from include.orchestration.assets import CALL_LISTS_DELIVERED, CASES_CATEGORISED
from include.orchestration.defaults import MONTH, MONTHS_AT_ONCE, START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate
from include.orchestration.schedules import when


@dag(
    schedule=when(CASES_CATEGORISED),
    start_date=START,
    catchup=False,
    max_active_runs=MONTHS_AT_ONCE,
    default_args=TASK_DEFAULTS,
    deadline=in_time("deliver_call_lists"),
    tags=tags("calls"),
    doc_md=__doc__,
)
def deliver_call_lists():
    @task
    def count_call_list(month: str) -> dict:
        """The counts in the question to the approver."""
        from include.months import Month
        from include.orchestration.questions import call_list_counts

        return call_list_counts(Month.parse(month))

    @task
    def deliver_call_list(month: str) -> dict:
        """The call list and its manifest, to Certin."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.certin_call_list import deliver_call_list

        return as_counts(deliver_call_list(Month.parse(month)))

    @task
    def deliver_worklist(month: str) -> dict:
        """The work list, to Kwadraad."""
        from include.months import Month
        from include.orchestration.business_date import business_date
        from include.orchestration.summaries import as_counts
        from include.outbound.kwadraad_worklist import deliver_worklist

        return as_counts(deliver_worklist(Month.parse(month), business_date()))

    @task
    def deliver_feedback(month: str) -> dict | list:
        """What partners may know about their signals."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.partner_feedback import deliver_feedback

        return as_counts(deliver_feedback(Month.parse(month)))

    approve_call_list = MonthApproval(task_id="approve_call_list", about="call_list")

    (
        gate("G5")
        >> count_call_list(MONTH)
        >> approve_call_list
        >> [deliver_call_list(MONTH), deliver_worklist(MONTH), deliver_feedback(MONTH)]
        >> EmptyOperator(task_id="call_lists_delivered", outlets=[CALL_LISTS_DELIVERED])
    )


deliver_call_lists()
