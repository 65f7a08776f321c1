"""How the month's bench reads a task's log, and names what a month does at a moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.task_times import BETWEEN, PHASES, TaskTimes, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch("", tmp_path)


def write_log(watch: Watch, run: str, task: str, *events: tuple[float, str]) -> None:
    folder = watch.logs / "dag_id=close_month" / f"run_id={run}" / f"task_id={task}"
    folder.mkdir(parents=True)
    lines = [json.dumps({"timestamp": f"2024-06-01T10:00:{at:09.6f}Z", "event": event}) for at, event in events]
    (folder / "attempt=1.log").write_text("\n".join(["not JSON", *lines]) + "\n", encoding="utf-8")


def test_work_is_between_preparation_and_clearing_up_of_every_try(watch: Watch) -> None:
    events = ("::group::Pre Execute", "::endgroup::", "::group::Post Execute", "::endgroup::")
    asked = list(zip((1.0, 1.5, 1.75, 2.0), events, strict=True))
    answered = [(at + 10, event) for at, event in asked]
    write_log(watch, "run-1", "approve_closure", *asked, *answered)
    write_log(watch, "run-2", "approve_closure", *asked)
    watch._runs.add("run-1")
    watch.per_task["close_month", "approve_closure", -1] |= {"running": 2.0, "awaiting_input": 9.0}
    (task,) = watch.tasks()
    assert task.work == pytest.approx(0.5), "another run's log was counted, or one of the tries was not"
    assert task.process == pytest.approx(1.5)
    assert task.name == "close_month.approve_closure"


def test_a_try_that_was_killed_counts_no_work(watch: Watch) -> None:
    write_log(watch, "run-1", "build_marts", (1.0, "::group::Pre Execute"), (2.0, "::endgroup::"))
    watch._runs.add("run-1")
    assert watch._work() == {("close_month", "build_marts", -1): 0}


def test_a_part_of_a_mapped_task_has_its_number() -> None:
    assert TaskTimes(("ingest_partner_files", "ingest_delivery", 3), {}, 0.0).name.endswith("ingest_delivery[3]")


def test_what_runs_goes_before_what_waits() -> None:
    assert list(PHASES)[:3] == ["running", "queued", "scheduled"]
    assert BETWEEN not in PHASES.values()
