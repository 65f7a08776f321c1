"""One stage of the month in dbt: `build_stage("matched", month)`.

Rule: a stage is one dbt invocation that selects by tag, in this process, as the transformer; what happened to every
model stands in `ops.dbt_results`, without a row value. Reason: starting dbt costs seconds, and a data engineer asks the
warehouse what ran. Change what a stage holds by tagging models in `dbt_project/`.

Unit tests are not part of a month (`dbt test --select test_type:unit` runs them); data tests of the stage's models are.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.months import Month
from include.settings import DBT_PROFILE, DBT_PROJECT_FOLDER, DBT_TARGET, Role, Settings
from include.warehouse.connection import connect
from include.warehouse.lineage import made_by_dbt, write_lineage
from include.warehouse.retention import refuse_purged

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

log = logging.getLogger(__name__)

#: The stages in the order of a month; `foundation` (code lists and staging views) belongs to set-up and has no month.
STAGES = ("foundation", "matched", "enriched", "categorised", "closure", "marts")

#: What a closed month may have rebuilt, and in which states of its restatement (restatements.py). Everything else is
#: history: who was called, and why, never changes; closures may be proposed again, and the marts follow a person's yes.
REBUILT_BY_RESTATEMENT = {"closure": ("proposed", "approved"), "marts": ("approved",)}

#: The macro `month()` reads this. Not `--vars`: dbt parses the whole project again whenever a command-line variable
#: differs from the last time, which would cost every stage of every month some seconds.
MONTH_VARIABLE = "VS_MONTH"

#: Of every stage. A data test over models of several stages belongs to the last of them ("buildable"): before, it would
#: read what is not built yet. Unit tests are not part of a month.
STAGE_FLAGS = ("--exclude-resource-type", "unit_test", "--indirect-selection", "buildable")

#: Of every invocation. dbt's own log and run_results.json would hold PostgreSQL's error texts, which can quote a row.
QUIET = (
    "--log-level", "none", "--log-level-file", "none", "--no-write-json", "--cache-selected-only", "--no-version-check",
)  # fmt: skip

_GOOD = frozenset({"success", "pass", "no-op", "warn"})


class DbtStageFailed(RuntimeError):
    """A stage did not build; the message names the failed nodes and what to do."""


class MonthIsClosed(RuntimeError):
    """The stage would rewrite a month that is closed."""


@dataclass(frozen=True)
class StageSummary:
    """What one invocation did; counts only."""

    stage: str
    month: str | None
    models: int
    tests: int
    rows: int
    seconds: float


def build_stage(stage: str, month: Month | None = None, run_id: str | None = None) -> StageSummary:
    """Build every model, seed and data test tagged `stage` for `month`; safe to run again."""
    if stage not in STAGES:
        raise ValueError(f"{stage!r} is no stage; the stages are {', '.join(STAGES)}")
    if month is None and stage != "foundation":
        raise ValueError(f"stage {stage!r} builds one month: say which, as in build_stage({stage!r}, Month(2024, 6))")
    with one_stage_at_a_time(month):
        refuse_closed(stage, month)
        return conclude_stage(_invoke(["build", "--select", f"tag:{stage}", *STAGE_FLAGS], month), stage, month, run_id)


@contextmanager
def one_stage_at_a_time(month: Month | None) -> Iterator[None]:
    """One dbt per month: a task that is tried again, or a second run, waits until the dbt before it has ended."""
    with connect(Role.TRANSFORMER, autocommit=True) as connection:
        # held by the session, not by a transaction: an open one would keep PostgreSQL from cleaning up meanwhile
        connection.execute("select pg_advisory_lock(hashtext('vs:dbt:' || %s))", (str(month or "foundation"),))
        yield


def run_elsewhere(target: str, selector: str, months: Sequence[Month], between: Callable[[Month], None]) -> None:
    """Run the selected models of each month under another target of profiles.yml; no stage, so nothing in ops.

    The project is parsed once, in a folder of its own. `between` is called after each month.
    """
    folder = ["--target-path", str(Settings.from_environment().dbt_target_folder / target)]
    parsed = _invoke(["parse", *folder], None, target)
    if parsed.result is None:
        raise DbtStageFailed(f"dbt could not read the project: {without_row_values(str(parsed.exception))}")
    for month in months:
        answer = _invoke(["run", *folder, "--select", selector], month, target, parsed.result)
        _raise_for_failures(_run_results(answer, target, month), target, month)
        between(month)


def read_project(target_folder: Path) -> str | None:
    """Read the project as a stage does and build nothing; why it cannot be read, or None.

    For a process that others are forked from: what dbt loads and fills at its first invocation costs them nothing then.
    """
    answer = _invoke(["parse", "--target-path", str(target_folder)], None)
    return None if answer.success else without_row_values(str(answer.exception)) or "dbt gave no reason"


def refuse_closed(stage: str, month: Month | None) -> None:
    """Raise MonthIsClosed when `stage` would rewrite a closed month without an approved (or proposed) restatement, and
    MonthIsPurged when its persons are gone."""
    if month is None:
        return
    refuse_purged(month, stage)
    if not _is_closed(month) or _restatement_state(month) in REBUILT_BY_RESTATEMENT.get(stage, ()):
        return
    raise MonthIsClosed(
        f"{month} is closed: its {stage} stage is history and is not rebuilt. What became known since is taken in as a "
        f"new version of the month, after a person's yes: vs month {month} --restate"
    )


def conclude_stage(answer: dbtRunnerResult, stage: str, month: Month | None, run_id: str | None = None) -> StageSummary:
    """Keep what dbt answered in ops.dbt_results; then the summary, or DbtStageFailed. Airflow's task ends here too."""
    artifact = _run_results(answer, stage, month)
    record_results(artifact, stage, month, run_id)
    if Settings.from_environment().lineage_file:
        write_lineage(made_by_dbt(answer.result.results), stage, month, run_id, datetime.now(UTC))
    _raise_for_failures(artifact, stage, month)
    return _summary(artifact, stage, month)


def record_results(
    run_results: Mapping[str, Any], stage: str, month: Month | str | None, run_id: str | None = None
) -> int:
    """Keep the results of one invocation in ops.dbt_results; returns how many there were.

    `run_results` has the shape of dbt's `run_results.json`, so that another way of starting dbt can hand over its own.
    """
    invocation_id = run_results["metadata"]["invocation_id"]
    rows = [
        (
            stage,
            str(month) if month is not None else None,
            run_id,
            invocation_id,
            result["unique_id"],
            str(result["status"]),
            rows_affected(result),
            result.get("execution_time"),
            max((step["completed_at"] for step in result.get("timing", ()) if step["completed_at"]), default=None),
            without_row_values(result.get("message")),
        )
        for result in run_results["results"]
    ]
    with connect(Role.TRANSFORMER) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.dbt_results (stage, signal_month, run_id, invocation_id, unique_id, status, rows_affected,"
            " execution_seconds, ended_at, message) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    return len(rows)


def without_row_values(message: str | None) -> str | None:
    """The message without what PostgreSQL quotes from rows (its DETAIL, CONTEXT and the value after a colon)."""
    if message is None:
        return None
    kept = re.split(r"\n\s*(?:DETAIL|CONTEXT|HINT|LINE \d+|QUERY):", message, maxsplit=1)[0]
    kept = re.sub(r'(?<=: )".*"', '"…"', kept)
    return " ".join(kept.split())[:1000]


def _invoke(
    arguments: Sequence[str], month: Month | None, target: str = DBT_TARGET, manifest: Any = None
) -> dbtRunnerResult:
    """Run dbt in this process; with a `manifest` the project is not read again."""
    from dbt.cli.main import dbtRunner

    folder = str(DBT_PROJECT_FOLDER)
    # named as Cosmos names them: dbt parses everything again when they are given once and not the other time
    common = ["--project-dir", folder, "--profiles-dir", folder, "--profile", DBT_PROFILE, "--target", target]
    with _month_in_environment(month), cheap_flags():
        return dbtRunner(manifest=manifest).invoke([arguments[0], *common, *QUIET, *arguments[1:]])


def _run_results(answer: dbtRunnerResult, stage: str, month: Month | None) -> dict[str, Any]:
    """What dbt answered, in the shape of run_results.json."""
    if answer.result is None:
        reason = without_row_values(str(answer.exception)) or "dbt gave no reason"
        raise DbtStageFailed(
            f"dbt could not start stage {stage}{_of(month)}: {reason} Check it with `dbt parse` in "
            f"{DBT_PROJECT_FOLDER.name}/, mend the project or the connection, and run the stage again."
        ) from answer.exception
    return {
        "metadata": {"invocation_id": _invocation_id()},
        "results": [
            {
                "unique_id": result.node.unique_id,
                "status": _status(result.status),
                "adapter_response": result.adapter_response,
                "execution_time": result.execution_time,
                "timing": [step.to_dict() for step in result.timing],
                "message": result.message,
            }
            for result in answer.result.results
        ],
    }


def _invocation_id() -> str:
    from dbt_common.invocation import get_invocation_id

    return get_invocation_id()


@contextmanager
def _month_in_environment(month: Month | None) -> Iterator[None]:
    before = os.environ.get(MONTH_VARIABLE)
    os.environ[MONTH_VARIABLE] = str(month) if month is not None else ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[MONTH_VARIABLE]
        else:
            os.environ[MONTH_VARIABLE] = before


@contextmanager
def cheap_flags() -> Iterator[None]:
    """Around every invocation, or each costs more than the one before.

    dbt's adapter adds behaviour flags to a list of the whole process at every invocation (dbt-labs/dbt-adapters issue
    2136); and it reads the source of every function on the stack to say who set a flag, which in a process with many
    modules takes longer than building a small stage.
    """
    from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
    from dbt_common.behavior_flags import BehaviorFlagRendered

    flags, source = list(DEFAULT_BASE_BEHAVIOR_FLAGS), BehaviorFlagRendered._default_source
    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters")  # type: ignore[method-assign]
    try:
        yield
    finally:
        DEFAULT_BASE_BEHAVIOR_FLAGS[:] = flags
        BehaviorFlagRendered._default_source = staticmethod(source)  # type: ignore[method-assign]


def _is_closed(month: Month) -> bool:
    with connect(Role.TRANSFORMER) as connection:
        query = "select exists (select from ops.closure_ledger where signal_month = %s)"
        return connection.execute(query, (str(month),)).fetchone() == (True,)


def _restatement_state(month: Month) -> str | None:
    with connect(Role.TRANSFORMER) as connection:
        row = connection.execute(
            "select state from ops.restatements where signal_month = %s and state <> 'closed'", (str(month),)
        ).fetchone()
    return row[0] if row else None


def _raise_for_failures(artifact: Mapping[str, Any], stage: str, month: Month | None) -> None:
    results = artifact["results"]
    if not results:
        raise DbtStageFailed(
            f"dbt found nothing to build for stage {stage}: tag something in {DBT_PROJECT_FOLDER.name}/ with it."
        )
    failed = [result for result in results if result["status"] not in _GOOD | {"skipped"}]
    if not failed:
        return
    skipped = sum(result["status"] == "skipped" for result in results)
    named = "; ".join(
        f"{result['unique_id'].split('.')[2]} ({result['status']}): {without_row_values(result['message'])}"
        for result in failed[:5]
    )
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    raise DbtStageFailed(
        f"dbt stage {stage}{_of(month)}: {len(failed)} of {len(results)} nodes failed, {skipped} were skipped. "
        f"{named}{more}. Nothing of a failed model was kept. Where to look: ops.dbt_results with invocation_id "
        f"{artifact['metadata']['invocation_id']}. Mend the cause and run the stage again: it replaces the month."
    )


def _summary(artifact: Mapping[str, Any], stage: str, month: Month | None) -> StageSummary:
    results = artifact["results"]
    tests = sum(result["unique_id"].startswith("test.") for result in results)
    summary = StageSummary(
        stage=stage,
        month=str(month) if month is not None else None,
        models=len(results) - tests,
        tests=tests,
        rows=sum(rows_affected(result) or 0 for result in results if not result["unique_id"].startswith("test.")),
        seconds=round(sum(result["execution_time"] for result in results), 2),
    )
    log.info("dbt %s%s: %s models, %s tests, %s rows", stage, _of(month), summary.models, summary.tests, summary.rows)
    return summary


def rows_affected(result: Mapping[str, Any]) -> int | None:
    """Rows written; None for what writes none (a view answers -1)."""
    rows = (result.get("adapter_response") or {}).get("rows_affected")
    return rows if rows is not None and rows >= 0 else None


def is_good(status: Any) -> bool:
    """Whether dbt's status of a node means that it did what it should."""
    return _status(status) in _GOOD


def _status(status: Any) -> str:
    return status.value if hasattr(status, "value") else str(status)


def _of(month: Month | None) -> str:
    return f" of {month}" if month is not None else ""
