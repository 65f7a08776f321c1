"""### Files that came after their month was taken in

**When** every day at 07:30.

**What** files whose month has had its delivery day (`ingest_partner_files` does not look any more): corrections, second
deliveries, and late files of months that are over, which go into the open month. Per file what `ingest_partner_files`
does; then, for each month that got something, gate **G1**. Nothing there: the run skips.

**Emits** `signals_landed` for each of those months, which starts `build_cases`: what is new or withdrawn is sent.

Runbook: docs/runbooks/ingest-partner-files.md
"""

from airflow.sdk import dag, task, task_group

from include.orchestration.assets import SIGNALS_LANDED
from include.orchestration.defaults import START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate
from include.orchestration.schedules import every_day_early


@dag(
    schedule=every_day_early(),
    start_date=START,
    catchup=False,
    max_active_runs=1,  # two at once would look for the same files
    default_args=TASK_DEFAULTS,
    tags=tags("signals"),
    doc_md=__doc__,
)
def ingest_late_files():
    @task
    def find_late_files(moment: str) -> list[dict]:
        """Path and month of what waits in the inboxes although the delivery day of its month has passed."""
        from datetime import datetime

        from include.ingest.deliveries import find_late_files

        return [{"path": path, "month": str(month)} for path, month in find_late_files(datetime.fromisoformat(moment))]

    @task(map_index_template="{{ task.op_kwargs['path'].split('/')[-1] }}")
    def ingest_delivery(path: str, month: str) -> dict:
        """Archive, judge, load or quarantine, receipt."""
        from include.ingest.deliveries import ingest_delivery
        from include.months import Month
        from include.orchestration.summaries import as_counts

        return as_counts(ingest_delivery(path, Month.parse(month)))

    @task
    def months_with_news(deliveries: list[dict]) -> list[str]:
        """The months that took rows in; who was missing there and came after all is settled."""
        from include.ingest.deliveries import record_missing_partners
        from include.months import Month

        months = sorted({delivery["signal_month"] for delivery in deliveries if delivery["status"] == "loaded"})
        for month in months:
            record_missing_partners(Month.parse(month))
        return months

    @task_group
    def prove(month: str) -> None:
        """One month."""
        gate("G1", month=month)

    @task(outlets=[SIGNALS_LANDED])
    def signals_landed(months: list[str], *, outlet_events=None) -> None:
        """One event a month."""
        outlet_events[SIGNALS_LANDED].add_partitions(list(months))

    found = find_late_files("{{ dag_run.run_after.isoformat() }}")
    months = months_with_news(ingest_delivery.expand_kwargs(found))
    prove.expand(month=months) >> signals_landed(months)


ingest_late_files()
