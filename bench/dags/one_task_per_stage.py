"""### The dbt part of a month as the house runs it: one task a stage

For `make bench-month`; the tasks are those of `build_cases`, `collect_ris_outcomes` and `close_month`, in a row.
"""

from airflow.sdk import PartitionedAtRuntime, dag

from include.orchestration.dbt_stage import dbt_stage
from include.orchestration.defaults import START


@dag(schedule=PartitionedAtRuntime(), start_date=START, catchup=False, doc_md=__doc__)
def one_task_per_stage():
    (
        dbt_stage("matched")
        >> dbt_stage("enriched")
        >> dbt_stage("categorised")
        >> dbt_stage("closure")
        >> dbt_stage("marts")
    )


one_task_per_stage()
