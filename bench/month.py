"""What Airflow costs a month, and what one task per model would cost: `make bench-month`.

In one run, on one platform as `vs up --sandbox` makes it, with both sides in turn:
  overhead  a month of some 450 signals through Airflow, driven as `vs month M --approve` does, against the same month
            called step by step in one process (tests/month_in_process.py), in a warehouse of its own in the same server
  dbt       the dbt stages of a month as the house runs them, one Cosmos task a stage, against one task a model
            (bench/dags/one_task_per_model.py), on the same platform, month and models

Both sides of a month hold the same: four deliveries, five dbt stages (marts twice), nine gates, a request to the
enrichment provider and the wait for its answer, two approvals, call list, work lists, outcomes by HTTP, closures,
ledger, report, DDAS, feedback. Waits count on both sides: the provider looks at its folder every half second, whoever
asks. An approval costs the direct side an insert; through Airflow it is asked and answered, with the seconds the driver
waits before it answers. Each side has run one month before a clock runs, so that no library is imported while it does;
that month is told too. After each month the two warehouses hold the same rows, or the bench stops.

Goals (issue 7): the month through Airflow takes at most 4 times the direct one; one task a stage is at least 4 times
as fast as one task a model. Each run draws a new seed for the synthetic municipality (printed; `--seed` repeats one).
Where the time goes is told by phase and by task. The time of a side is the median of its turns.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import tell
from bench.task_times import Watch, processor_seconds
from include.local.airflow import LocalAirflow
from include.local.airflow_api import AirflowApi, Task
from include.local.instance import Instance
from include.local.lifecycle import down, up
from include.local.month_driver import STEPS, MonthDriver, Step
from include.local.sandbox import LocalSandbox
from include.months import Month
from include.settings import PROJECT_ROOT, Role, Settings
from tests import month_in_process

FIRST = Month(2024, 4)
MOST_TIMES_DIRECT, FASTER_THAN_A_TASK_A_MODEL = 4.0, 4.0
# not dbt_…: dbt imports every module of that name on its path as a plugin of its own
BY_STAGE, BY_MODEL = "one_task_per_stage", "one_task_per_model"
DAG_APPEARS_WITHIN = RUN_ENDS_WITHIN = 1800.0
Figures = dict[str, float | int | str]


@dataclass
class Quiet:
    """A display that only keeps when each step was done."""

    ended: dict[str, float] = field(default_factory=dict)

    def step(self, step: Step, message: str) -> None:
        if message.startswith("done"):
            self.ended[step.name] = time.perf_counter()

    def tasks(self, step: Step, tasks: Sequence[Task]) -> None:
        """Nothing is shown: the bench watches the metadata."""


def main() -> int:
    asked = _asked()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    figures: Figures = {"seed": asked.seed, "turns": asked.turns, "dbt_turns": asked.dbt_turns}
    print(f"seed {asked.seed}, {asked.turns} turns a side after one to warm up", flush=True)
    with tempfile.TemporaryDirectory(prefix="vs-bench-") as folder, _platform(Path(folder), asked.seed) as airflow:
        month, figures["load_before"] = FIRST, round(os.getloadavg()[0], 1)
        if asked.turns:
            month = _overhead(airflow, Path(folder), asked, figures)
        if asked.dbt_turns:
            _dbt(airflow, month, asked.dbt_turns, figures)
    figures["load"] = round(os.getloadavg()[0], 1)
    return _told(figures)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3, help="months a side; 0 leaves the overhead out")
    parser.add_argument("--dbt-turns", type=int, default=2, help="0 leaves the dbt part out")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    return parser.parse_args()


@contextmanager
def _platform(folder: Path, seed: int) -> Iterator[LocalAirflow]:
    """A platform of this run's own, with a folder of DAGs to which the bench can add its two."""
    os.environ |= {"VS_SANDBOX_SEED": str(seed), "VS_DAGS_FOLDER": str(folder / "dags")}
    shutil.copytree(PROJECT_ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    instance = Instance(folder / "home")
    try:
        yield up(instance, lambda line: print(line, flush=True), sandbox=True)
    finally:
        down(instance, lambda line: print(line, flush=True))


# -- a month through Airflow, and directly -----------------------------------------------------------------------------


def _overhead(airflow: LocalAirflow, folder: Path, asked: argparse.Namespace, figures: Figures) -> Month:
    """Both sides in turn, month after month; returns the first month that was not run."""
    through: list[float] = []
    direct: list[Mapping[str, Any]] = []
    watches: list[Watch] = []
    used: dict[str, list[float]] = defaultdict(list)
    steps: dict[str, list[float]] = defaultdict(list)
    month = FIRST
    with _direct_side(airflow, folder, asked.seed) as (process, environment):
        for turn in range(asked.turns + 1):
            at_first = _used(airflow)
            watch, seconds, taken = _through_airflow(airflow, month)
            between = _used(airflow)
            answer = _directly(process, month, environment, asked.seed)
            at_last = _used(airflow)
            _same_rows(airflow, month, environment)
            name = f"turn {turn}" if turn else "warm-up"
            print(
                f"{name}: {month} through Airflow {seconds:.1f} s, directly {answer['seconds']:.1f} s "
                f"(load {os.getloadavg()[0]:.1f})",
                flush=True,
            )
            month = month.next
            if not turn:
                figures |= {
                    "warm_up_airflow_seconds": round(seconds, 1),
                    "warm_up_direct_seconds": round(answer["seconds"], 1),
                }
                continue
            through.append(seconds)
            direct.append(answer)
            watches.append(watch)
            for step, spent in taken.items():
                steps[step].append(spent)
            for service, spent in between.items():
                used[service].append(spent - at_first.get(service, 0.0))
            used["postgres directly"].append(at_last["postgres"] - between["postgres"])
            used["idle"].append(sum(at_last[one] - between[one] for one in between if one != "postgres"))
    figures["signals_a_month"] = round(statistics.median(_signals(airflow, FIRST, month)))
    figures |= {
        "airflow_month_seconds": round(statistics.median(through), 2),
        "direct_month_seconds": round(statistics.median(one["seconds"] for one in direct), 2),
        "direct_processor_seconds": round(statistics.median(one["processor_seconds"] for one in direct), 2),
    }
    figures["overhead_factor"] = round(
        statistics.median(one / other["seconds"] for one, other in zip(through, direct, strict=True)), 2
    )
    _tell_steps(steps, direct)
    figures |= _tell_phases(watches)
    figures |= _tell_processor(used)
    return month


@contextmanager
def _direct_side(
    airflow: LocalAirflow, folder: Path, seed: int
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process that runs months directly, with its own warehouse, exchange and sandbox."""
    from include.warehouse.dbt import build_stage

    home, port = folder / "direct", month_in_process.free_port()
    environment = month_in_process.second_warehouse(airflow.instance, home, "directly", port)
    with _environment(environment):
        build_stage("foundation")
    token = airflow.instance.secret("ris_token")
    with month_in_process.sandbox(home / "exchange", home / "sandbox", port=port, token=token, seed=seed):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "bench.month_directly"], cwd=PROJECT_ROOT, text=True,
            env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process, environment
        finally:
            process.stdin.close()
            process.wait(60)


def _through_airflow(airflow: LocalAirflow, month: Month) -> tuple[Watch, float, dict[str, float]]:
    """What was watched, the seconds in all, and those of each step."""
    LocalSandbox(airflow.instance).deliver(month)
    api, display = AirflowApi(airflow), Quiet()
    with Watch(f"{airflow.instance.postgres.superuser_dsn}/airflow", airflow.home / "logs") as watch:
        began = time.perf_counter()
        MonthDriver(api, month, display, approve=True).drive(STEPS, resume=False)
        seconds = time.perf_counter() - began
    api.close()
    ends = [began, *(display.ended[step.name] for step in STEPS)]
    return watch, seconds, {step.name: end - begin for step, begin, end in zip(STEPS, ends, ends[1:], strict=False)}


def _directly(
    process: subprocess.Popen[str], month: Month, environment: Mapping[str, str], seed: int
) -> Mapping[str, Any]:
    month_in_process.partners_deliver(month, Path(environment["VS_EXCHANGE_ROOT"]), seed=seed)
    process.stdin.write(f"{month}\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("month "):
            return json.loads(line.removeprefix("month "))
    raise RuntimeError(f"the direct side stopped in {month} (exit code {process.wait()})")


def _same_rows(airflow: LocalAirflow, month: Month, environment: Mapping[str, str]) -> None:
    """Both sides did the same work: the month's marts and books are the same, row for row."""
    from include.warehouse.fingerprints import month_fingerprint

    through = month_fingerprint(month)
    with _environment(environment):
        directly = month_fingerprint(month)
    if through != directly:
        raise RuntimeError(f"{month} through Airflow and directly differ: the bench compares different work")


def _used(airflow: LocalAirflow) -> dict[str, float]:
    return processor_seconds(airflow.processes, airflow.instance.postgres.data)


def _signals(airflow: LocalAirflow, first: Month, end: Month) -> list[int]:
    from include.warehouse.connection import connect

    with connect(Role.TRANSFORMER) as connection:
        return [
            rows
            for (rows,) in connection.execute(
                "select sum(rows_in_file)::int from ops.deliveries where partner is not null and signal_month >= %s"
                " and signal_month < %s group by signal_month",
                (str(first), str(end)),
            )
        ]


# -- the dbt part ------------------------------------------------------------------------------------------------------


def _dbt(airflow: LocalAirflow, month: Month, turns: int, figures: Figures) -> None:
    """A month up to its outcomes, still open; then its dbt stages again and again, one way and the other."""
    from include.warehouse.fingerprints import month_fingerprint

    LocalSandbox(airflow.instance).deliver(month)
    for step in ("ingest", "build", "deliver", "collect"):
        month_in_process.run_step(step, month)
    api = AirflowApi(airflow)
    _write_manifest()
    for path in (PROJECT_ROOT / "bench" / "dags").glob("*.py"):
        shutil.copy(path, airflow.dags / path.name)
    _wait_for(api, (BY_STAGE, BY_MODEL))
    seconds: dict[str, list[float]] = {BY_STAGE: [], BY_MODEL: []}
    tasks: dict[str, int] = {}
    found: set[str] = set()
    for turn in range(turns + 1):
        for dag in seconds:
            watch = Watch(f"{airflow.instance.postgres.superuser_dsn}/airflow", airflow.home / "logs")
            with watch:
                spent, tasks[dag] = _run(api, dag, month)
            found.add(month_fingerprint(month))
            if turn:
                seconds[dag].append(spent)
            print(
                f"{f'dbt turn {turn}' if turn else 'dbt warm-up'}: {dag} {spent:.1f} s in {tasks[dag]} tasks "
                f"(load {os.getloadavg()[0]:.1f})",
                flush=True,
            )
    api.close()
    if len(found) != 1:
        raise RuntimeError(f"the dbt stages of {month} did not give the same rows in both ways")
    by_stage, by_model = statistics.median(seconds[BY_STAGE]), statistics.median(seconds[BY_MODEL])
    figures |= {
        "dbt_by_stage_seconds": round(by_stage, 2),
        "dbt_by_stage_tasks": tasks[BY_STAGE],
        "dbt_one_task_per_model_seconds": round(by_model, 2),
        "dbt_one_task_per_model_tasks": tasks[BY_MODEL],
        "dbt_faster_than_one_task_per_model": round(
            statistics.median(b / a for a, b in zip(seconds[BY_STAGE], seconds[BY_MODEL], strict=True)), 2
        ),
    }


def _write_manifest() -> None:
    """The house writes none; DbtTaskGroup reads its models from it."""
    from dbt.cli.main import dbtRunner

    folder = str(PROJECT_ROOT / "dbt_project")
    target = str(Settings.from_environment().dbt_target_folder / "bench")
    answer = dbtRunner().invoke(
        ["parse", "--project-dir", folder, "--profiles-dir", folder, "--target-path", target, "--log-level", "none"]
    )
    if not answer.success:
        raise RuntimeError(f"dbt could not read the project: {answer.exception}")


def _wait_for(api: AirflowApi, dags: Sequence[str]) -> None:
    end = time.monotonic() + DAG_APPEARS_WITHIN
    while not all(api.knows(dag) for dag in dags):
        errors = [error for error in api.import_errors() if any(dag in error for dag in dags)]
        if errors or time.monotonic() > end:
            raise RuntimeError(f"the bench's DAGs did not appear: {errors}")
        time.sleep(1)


def _run(api: AirflowApi, dag: str, month: Month) -> tuple[float, int]:
    """Seconds of one run from its start to its end, and how many tasks it had."""
    began = time.perf_counter()
    run = api.trigger(dag, month)
    while (run := api.run(run)).is_unfinished:
        if time.perf_counter() - began > RUN_ENDS_WITHIN:
            raise RuntimeError(f"{dag} did not end in {RUN_ENDS_WITHIN:.0f} s")
        time.sleep(0.2)
    seconds, tasks = time.perf_counter() - began, api.tasks(run)
    if run.state != "success":
        failed = [task for task in tasks if task.state == "failed"]
        raise RuntimeError(f"{dag}: {run.state}; {[(task.name, api.error_of(run, task)) for task in failed[:3]]}")
    return seconds, len(tasks)


# -- result ------------------------------------------------------------------------------------------------------------


def _tell_steps(steps: Mapping[str, Sequence[float]], direct: Sequence[Mapping[str, Any]]) -> None:
    print(f"\n{'step':<10} {'Airflow':>9} {'directly':>9}   seconds, median of the turns")
    for name, spent in steps.items():
        other = statistics.median(one["steps"][name] for one in direct)
        print(f"{name:<10} {statistics.median(spent):>9.2f} {other:>9.2f}")


def _tell_phases(watches: Sequence[Watch]) -> Figures:
    """What the month did at every moment, then every task; medians of the turns."""
    phases = {name for watch in watches for name in watch.seconds}
    medians = {name: statistics.median(watch.seconds.get(name, 0.0) for watch in watches) for name in phases}
    print("\nAt every moment of the month through Airflow (seconds, median of the turns):")
    for name, spent in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{spent:>8.2f}  {name}")
    found: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for watch in watches:
        for task in watch.tasks():
            dag, task_id, _ = task.key
            waiting = sum(task.states.get(state, 0.0) for state in ("awaiting_input", "deferred", "up_for_reschedule"))
            queued = task.states.get("queued", 0.0) + task.states.get("scheduled", 0.0)
            found[f"{dag}.{task_id}"].append((queued, task.process, task.work, waiting))
    rows = {name: [statistics.median(values) for values in zip(*times, strict=True)] for name, times in found.items()}
    print(f"\n{'task (of mapped ones: the median one)':<48} {'queued':>7} {'process':>8} {'work':>7} {'waits':>7}")
    for name, (queued, process, work, waits) in sorted(rows.items(), key=lambda item: -sum(item[1])):
        print(f"{name:<48} {queued:>7.2f} {process:>8.2f} {work:>7.2f} {waits:>7.2f}")
    sums = [round(sum(values), 2) for values in zip(*rows.values(), strict=True)]
    print(f"{'all':<48} {sums[0]:>7.2f} {sums[1]:>8.2f} {sums[2]:>7.2f} {sums[3]:>7.2f}")
    return {
        "tasks": len(rows),
        **{f"seconds_{_as_figure(name)}": round(spent, 2) for name, spent in medians.items()},
        "task_process_seconds": sums[1],
        "task_work_seconds": sums[2],
    }


def _tell_processor(used: Mapping[str, Sequence[float]]) -> Figures:
    medians = {service: round(statistics.median(spent), 1) for service, spent in used.items()}
    services = [service for service in medians if service not in ("postgres directly", "idle")]
    print("\nSeconds of processor during a month through Airflow (median of the turns):")
    for service in sorted(services, key=lambda one: -medians[one]):
        print(f"{medians[service]:>8.1f}  {service}")
    print(
        f"PostgreSQL during a direct month: {medians['postgres directly']} s; meanwhile Airflow, idle beside it, used "
        f"{medians['idle']} s"
    )
    return {
        "airflow_processor_seconds": round(sum(medians[one] for one in services if one != "postgres"), 1),
        "airflow_postgres_processor_seconds": medians["postgres"],
        "direct_postgres_processor_seconds": medians["postgres directly"],
        "idle_airflow_processor_seconds_during_a_direct_month": medians["idle"],
    }


def _as_figure(phase: str) -> str:
    """`queued, until a worker starts it` → `queued`."""
    return re.split(r",| \(", phase)[0].replace(" ", "_")


def _told(figures: Figures) -> int:
    goals: dict[str, bool] = {}
    if "overhead_factor" in figures:
        goals[f"a month through Airflow at most {MOST_TIMES_DIRECT:g}x the direct one"] = (
            float(figures["overhead_factor"]) <= MOST_TIMES_DIRECT
        )
    if "dbt_faster_than_one_task_per_model" in figures:
        goals[f"dbt by stage at least {FASTER_THAN_A_TASK_A_MODEL:g}x faster than one task a model"] = (
            float(figures["dbt_faster_than_one_task_per_model"]) >= FASTER_THAN_A_TASK_A_MODEL
        )
    tell("month", figures, goals)
    return 0


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= values
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    sys.exit(main())
