"""### The month is closed, after a person's yes

**When** on the 1st at 06:00 for the month that has ended; waits for the first working day and for every earlier month
to be closed. By hand for a closed month: what became known since (`ops.restatements`) is proposed as its next version;
when there is nothing, the run skips.

**What** the last outcomes come in (**G6**) → dbt *closure* proposes closed, open or excluded with a reason (**G7**) →
a person approves (no answer is a no) → the batch goes to RIS and is acknowledged case by case → dbt *marts* → **G8** →
the ledger freezes the month → report, DDAS delivery to CBS, feedback to the partners.

**Emits** `month_closed` for the month.

Runbook: docs/runbooks/close-month.md
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import PokeReturnValue, dag, task

from include.orchestration.alerting import in_time
from include.orchestration.approval import MonthApproval
from include.orchestration.assets import MONTH_CLOSED
from include.orchestration.dbt_stage import dbt_stage
from include.orchestration.defaults import MONTH, MONTHS_AT_ONCE, START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate
from include.orchestration.schedules import after_month_end
from include.orchestration.triggers import Await
from include.settings import Settings

SETTINGS = Settings.from_environment()


@dag(
    schedule=after_month_end(),
    start_date=START,
    catchup=False,
    max_active_runs=MONTHS_AT_ONCE,
    default_args=TASK_DEFAULTS,
    deadline=in_time("close_month"),
    tags=tags("closure"),
    doc_md=__doc__,
)
def close_month():
    @task
    def collect_last_outcomes(month: str) -> list[str]:
        """What RIS knows until now; of a closed month the next version becomes a proposal."""
        from include.months import Month
        from include.outbound.closing import prepare_closing

        return prepare_closing(Month.parse(month))

    @task
    def count_closure(month: str) -> dict:
        """The counts in the question to the approver."""
        from include.months import Month
        from include.orchestration.questions import closure_counts

        return closure_counts(Month.parse(month))

    # RIS's time runs from the batch; the task itself gives up later
    @task.sensor(mode="reschedule", poke_interval=SETTINGS.poll_seconds, timeout=2 * SETTINGS.acknowledgement_wait)
    def send_closures(month: str, approval: dict) -> PokeReturnValue:
        """One batch to RIS, the same one however often; done when RIS has answered, or has had its time."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.ris_closures import AcknowledgementPending, send_closures_in_time

        try:
            batch = send_closures_in_time(Month.parse(month), approval["decided_by"])
        except AcknowledgementPending:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=as_counts(batch))

    @task
    def freeze_month(month: str, batch: dict, approval: dict) -> dict:
        """The ledger row: counts, sums, content hash. From here the month does not change."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.warehouse.closure_ledger import close_month

        return as_counts(close_month(Month.parse(month), batch["batch_id"], approval["decided_by"]))

    @task
    def write_report(month: str) -> str:
        """The monthly report, in Dutch, and on paper where there is a Chromium."""
        from include.months import Month
        from include.reporting.monthly_report import write_report
        from include.reporting.paper import print_report

        return str(print_report(write_report(Month.parse(month))).page)

    @task
    def deliver_ddas(month: str) -> dict:
        """The DDAS delivery, to CBS."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.ddas import deliver_ddas

        return as_counts(deliver_ddas(Month.parse(month)))

    @task
    def deliver_feedback(month: str) -> dict | list:
        """What partners may know about their signals."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.outbound.partner_feedback import deliver_feedback

        return as_counts(deliver_feedback(Month.parse(month)))

    approve_closure = MonthApproval(task_id="approve_closure", about="closure")
    batch = send_closures(MONTH, approve_closure.output)

    (
        Await(task_id="await_previous_month", condition="month_may_be_closed")
        >> Await(task_id="await_closing_day", condition="closing_day_reached")
        >> collect_last_outcomes(MONTH)
        >> gate("G6")
        >> dbt_stage("closure")
        >> gate("G7")
        >> count_closure(MONTH)
        >> approve_closure
        >> batch
        >> dbt_stage("marts")
        >> gate("G8")
        >> freeze_month(MONTH, batch, approve_closure.output)
        >> [write_report(MONTH), deliver_ddas(MONTH), deliver_feedback(MONTH)]
        >> EmptyOperator(task_id="month_closed", outlets=[MONTH_CLOSED])
    )


close_month()
