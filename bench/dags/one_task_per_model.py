"""### The dbt part of a month, one task a model

The other side of `make bench-month`, as Cosmos's guide draws it: `DbtTaskGroup`, ExecutionMode.LOCAL, read from the
manifest, with what makes it faster: dbt in the task's own process, no `dbt deps`, tests inside the model's own task,
Cosmos's cache of the parse, the flags of our stages. Never part of the platform.
"""

import os

from airflow.sdk import PartitionedAtRuntime, dag
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior

from include.orchestration.defaults import MONTH, START
from include.settings import DBT_PROFILE, DBT_PROJECT_FOLDER, DBT_TARGET

STAGES = ("matched", "enriched", "categorised", "closure", "marts")
FLAGS = [
    "--exclude-resource-type", "unit_test", "--indirect-selection", "buildable", "--log-level", "none",
    "--log-level-file", "none", "--cache-selected-only", "--no-version-check",
]  # fmt: skip


@dag(schedule=PartitionedAtRuntime(), start_date=START, catchup=False, doc_md=__doc__)
def one_task_per_model():
    before = None
    for stage in STAGES:
        models = DbtTaskGroup(
            group_id=stage,
            project_config=ProjectConfig(
                dbt_project_path=DBT_PROJECT_FOLDER,
                manifest_path=os.environ["DBT_TARGET_PATH"] + "/bench/manifest.json",
                install_dbt_deps=False,
            ),
            profile_config=ProfileConfig(
                profile_name=DBT_PROFILE,
                target_name=DBT_TARGET,
                profiles_yml_filepath=DBT_PROJECT_FOLDER / "profiles.yml",
            ),
            execution_config=ExecutionConfig(
                execution_mode=ExecutionMode.LOCAL, invocation_mode=InvocationMode.DBT_RUNNER
            ),
            render_config=RenderConfig(
                select=[f"tag:{stage}"],
                load_method=LoadMode.DBT_MANIFEST,
                test_behavior=TestBehavior.BUILD,
                emit_datasets=False,
            ),
            operator_args={
                # a target folder of its own for every task, as Cosmos means it
                "env": {"VS_MONTH": MONTH, "DBT_TARGET_PATH": "target"},
                "append_env": True,
                "dbt_cmd_flags": FLAGS,
                "should_store_compiled_sql": False,
            },
        )
        if before:
            before >> models
        before = models


one_task_per_model()
