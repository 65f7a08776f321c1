"""### Rows that were held back are judged again

**When** by hand, after a contract was mended. Say which rows: month, partner, delivery or reason (one is enough).

**What** every open row of the selection is judged again under the contract of today. The good ones become signals of
their month, or of the next open month when theirs is over; the others stay, with their new reasons. A refused file that
is named as delivery is judged again as a whole. Then gate **G1** for each month that got something. Nothing released:
the rest skips. Running it twice releases nothing twice.

**Emits** `signals_landed` for each of those months, which starts `build_cases`: what is new is sent.

Runbook: docs/runbooks/replay-quarantine.md
"""

from airflow.sdk import Param, dag, task, task_group

from include.orchestration.assets import SIGNALS_LANDED
from include.orchestration.defaults import START, TASK_DEFAULTS, tags
from include.orchestration.gate_task import gate

TEXT = {"type": ["null", "string"]}


@dag(
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=TASK_DEFAULTS,
    tags=tags("signals"),
    params={
        "month": Param(None, **TEXT, title="Month", description="YYYY-MM: the month the rows are held in"),
        "partner": Param(None, **TEXT, title="Partner"),
        "delivery": Param(None, **TEXT, title="Delivery", description="the id of the file, dlv_…"),
        "reason": Param(None, **TEXT, title="Reason", description="a reason code, such as postcode_invalid"),
        "remark": Param(None, **TEXT, title="What was mended", description="no personal data"),
    },
    doc_md=__doc__,
)
def replay_quarantine():
    @task
    def judge_again(params=None, dag_run=None) -> list[str]:
        """Judge the selection again and release what is good (counts in the log); the months that got something."""
        from include.ingest.quarantine import replay

        wanted = {name: params[name] or None for name in ("month", "partner", "delivery", "reason")}
        decided_by = dag_run.triggering_user_name or "whoever triggered replay_quarantine"
        return list(replay(**wanted, decided_by=decided_by, remark=params["remark"]).months)

    @task_group
    def prove(month: str) -> None:
        """One month."""
        gate("G1", month=month)

    @task(outlets=[SIGNALS_LANDED])
    def signals_landed(months: list[str], *, outlet_events=None) -> None:
        """One event a month."""
        outlet_events[SIGNALS_LANDED].add_partitions(list(months))

    months = judge_again()
    prove.expand(month=months) >> signals_landed(months)


replay_quarantine()
