"""One dbt stage of the month as one Airflow task: Cosmos starts dbt, `include.warehouse.dbt` keeps its answer.

Reasons for what is unusual here:
- The month travels as VS_MONTH, not as `--vars`: dbt parses the whole project again when a variable differs.
- Every month has its own target folder, which begins with a copy of the parse that set-up left (the foundation stage):
  two months at once never write each other's files, and no task parses from nothing.
- One stage at a time per month (`one_stage_at_a_time`): the daily refresh waits for the closing.
- Nothing dbt wrote is kept as a rendered template or read for lineage: SQL and messages could hold a row's values.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cosmos  # noqa: F401  before any of its modules, or its constants import in a circle
from airflow.sdk.exceptions import AirflowSkipException
from cosmos.config import ProfileConfig
from cosmos.constants import InvocationMode
from cosmos.operators.local import DbtBuildLocalOperator

from include.months import Month
from include.orchestration.defaults import MONTH
from include.settings import DBT_PROFILE, DBT_PROJECT_FOLDER, DBT_TARGET, Settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from dbt.cli.main import dbtRunnerResult

PARSE_RESULT = "partial_parse.msgpack"

# PostgreSQL's words for what another try may get past
INTERRUPTION = re.compile(
    r"deadlock detected|lock timeout|could not serialize|could not connect|connection refused|connection to server"
    r"|server closed the connection|terminating connection|the database system is"
    # a server without room, as a full disk is for our own statements (psycopg.OperationalError)
    r"|no space left on device|disk full|out of memory|too many clients|remaining connection slots",
    re.IGNORECASE,
)


class StageInterrupted(RuntimeError):
    """dbt lost its connection or a lock; another try may succeed."""


def dbt_stage(stage: str, *, month: Any = MONTH) -> DbtStage:
    """The task `dbt_<stage>`: everything tagged `stage`, for the month."""
    return DbtStage(task_id=f"build_{stage}", stage=stage, month=month)


class DbtStage(DbtBuildLocalOperator):
    """`dbt build --select tag:<stage>` for one month, in this process, without unit tests."""

    template_fields: Sequence[str] = (*DbtBuildLocalOperator.template_fields, "month")

    def __init__(self, *, stage: str, month: Any = MONTH, **kwargs: Any) -> None:
        super().__init__(
            project_dir=str(DBT_PROJECT_FOLDER),
            profile_config=ProfileConfig(
                profile_name=DBT_PROFILE,
                target_name=DBT_TARGET,
                profiles_yml_filepath=DBT_PROJECT_FOLDER / "profiles.yml",
            ),
            select=f"tag:{stage}",
            invocation_mode=InvocationMode.DBT_RUNNER,
            install_deps=False,
            emit_datasets=False,
            should_store_compiled_sql=False,
            append_env=True,
            **kwargs,
        )
        self.stage, self.month = stage, month

    def execute(self, context: Context, **kwargs: Any) -> dict[str, Any]:
        """Build the stage; returns its counts."""
        from include.orchestration.summaries import as_counts
        from include.warehouse.dbt import (
            QUIET,
            STAGE_FLAGS,
            MonthIsClosed,
            cheap_flags,
            one_stage_at_a_time,
            refuse_closed,
        )

        month = Month.parse(self.month)
        self._run_id, self._summary = context["run_id"], None
        with one_stage_at_a_time(month):
            try:
                refuse_closed(self.stage, month)
            except MonthIsClosed as closed:
                raise AirflowSkipException(str(closed)) from closed
            self.dbt_cmd_flags = [*STAGE_FLAGS, *QUIET]
            self.env = {"VS_MONTH": str(month), "DBT_TARGET_PATH": str(warm_target(str(month)))}
            with cheap_flags():
                super().execute(context, **kwargs)
        return as_counts(self._summary)

    def handle_exception_dbt_runner(self, result: dbtRunnerResult) -> None:
        """Where Cosmos looks whether dbt succeeded."""
        from include.warehouse.dbt import DbtStageFailed, conclude_stage

        try:
            self._summary = conclude_stage(result, self.stage, Month.parse(self.month), self._run_id)
        except DbtStageFailed as failed:
            if INTERRUPTION.search(str(failed)):
                raise StageInterrupted(str(failed)) from failed
            raise

    def calculate_openlineage_events_completes(self, *args: Any, **kwargs: Any) -> bool:
        """No lineage from dbt's artifacts: none are written, and reading them costs a second a task."""
        return False


def warm_target(name: str) -> Path:
    """A folder of that name for dbt to write in, which begins with the parse that set-up left."""
    base = Settings.from_environment().dbt_target_folder
    target, parsed = base / name, base / PARSE_RESULT
    target.mkdir(parents=True, exist_ok=True)
    if parsed.exists() and not (target / PARSE_RESULT).exists():
        shutil.copyfile(parsed, target / f"{PARSE_RESULT}.tmp")
        (target / f"{PARSE_RESULT}.tmp").rename(target / PARSE_RESULT)
    return target
