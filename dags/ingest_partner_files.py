"""### The partners' files of a month land

**When** on the 1st at 06:00 for the month that begins, then polls the inbox until every partner has delivered or the
contracts' last delivery day has passed; a person may go on without a partner (`vs deliveries go-on`). What comes after
that is taken in by `ingest_late_files`, every day.

**What** one task a file: archive, judge by contract, load or quarantine, receipt. A bad file never stops the others. A
file of a month that is over goes into this month, flagged late. A partner that did not deliver is recorded and shown as
a task of its own, `alert_missing_partner`. Gate **G1** proves that no row was lost.

**Emits** `signals_landed` for the month, which starts `build_cases`.

Runbook: docs/runbooks/ingest-partner-files.md
"""

from airflow.sdk import dag, task

from include.orchestration.alerting import in_time
from include.orchestration.assets import SIGNALS_LANDED
from include.orchestration.defaults import MONTH, MONTHS_AT_ONCE, START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate
from include.orchestration.schedules import at_month_start
from include.orchestration.triggers import Await


@dag(
    schedule=at_month_start(),
    start_date=START,
    catchup=False,
    max_active_runs=MONTHS_AT_ONCE,
    default_args=TASK_DEFAULTS,
    deadline=in_time("ingest_partner_files"),
    tags=tags("signals"),
    doc_md=__doc__,
)
def ingest_partner_files():
    @task
    def open_month(month: str) -> None:
        """Note that the month exists, and who may deliver in it."""
        from include.ingest.deliveries import open_month
        from include.months import Month

        open_month(Month.parse(month))

    @task
    def find_deliveries(month: str) -> list[str]:
        """Paths in the inbox that are complete and belong to the month."""
        from include.ingest.deliveries import find_deliveries
        from include.months import Month

        return find_deliveries(Month.parse(month))

    @task(map_index_template="{{ task.op_kwargs['path'].split('/')[-1] }}")
    def ingest_delivery(path: str, month: str) -> dict:
        """Archive, judge, load or quarantine, receipt."""
        from include.ingest.deliveries import ingest_delivery
        from include.months import Month
        from include.orchestration.summaries import as_counts

        return as_counts(ingest_delivery(path, Month.parse(month)))

    # a month without any file skips the mapped task; it still has missing partners to record, and a gate to answer to
    @task(trigger_rule="none_failed")
    def record_missing_partners(month: str) -> list[str]:
        """Partners whose delivery day has passed without a file."""
        from include.ingest.deliveries import record_missing_partners
        from include.months import Month

        return record_missing_partners(Month.parse(month))

    @task(map_index_template="{{ task.op_kwargs['partner'] }}")
    def alert_missing_partner(partner: str, month: str) -> None:
        """There is one for each partner that did not deliver; it stays an alert until the partner does."""
        from include.ingest.deliveries import alert_missing_partner
        from include.months import Month

        alert_missing_partner(Month.parse(month), partner)

    found = find_deliveries(MONTH)
    missing = record_missing_partners(MONTH)
    (
        open_month(MONTH)
        >> Await(task_id="await_deliveries", condition="deliveries_complete")
        >> found
        >> ingest_delivery.partial(month=MONTH).expand(path=found)
        >> missing
        >> alert_missing_partner.partial(month=MONTH).expand(partner=missing)
        >> gate("G1", outlets=(SIGNALS_LANDED,), trigger_rule="none_failed")
    )


ingest_partner_files()
