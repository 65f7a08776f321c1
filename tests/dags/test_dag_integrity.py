"""The DAGs as Airflow sees them: all there, nothing heavy, documented, owned, retried, and no by default."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT

DAGS_FOLDER = PROJECT_ROOT / "dags"
DAGS = {
    "ingest_partner_files": [
        "open_month", "await_deliveries", "find_deliveries", "ingest_delivery", "record_missing_partners",
        "alert_missing_partner", "gate_g1_landed",
    ],
    "ingest_late_files": [
        "find_late_files", "ingest_delivery", "months_with_news", "prove.gate_g1_landed", "signals_landed",
    ],
    "replay_quarantine": ["judge_again", "prove.gate_g1_landed", "signals_landed"],
    "build_cases": [
        "await_previous_month", "build_matched", "gate_g2_matched", "request_enrichment", "await_enrichment",
        "load_enrichment_results", "build_enriched", "gate_g3_enriched", "build_categorised", "gate_g4_categorised",
    ],
    "deliver_call_lists": [
        "gate_g5_call_list", "count_call_list", "approve_call_list", "deliver_call_list", "deliver_worklist",
        "deliver_feedback", "call_lists_delivered",
    ],
    "collect_ris_outcomes": [
        "collect_outcomes", "notice_late_answers", "deliver_other_worklists", "refresh.gate_g6_outcomes",
        "refresh.build_marts", "refresh.deliver_worklist", "outcomes_collected",
    ],
    "close_month": [
        "await_previous_month", "await_closing_day", "collect_last_outcomes", "gate_g6_outcomes", "build_closure",
        "gate_g7_closure", "count_closure", "approve_closure", "send_closures", "build_marts", "gate_g8_marts",
        "freeze_month", "write_report", "deliver_ddas", "deliver_feedback", "month_closed",
    ],
    "purge_expired_data": ["purge"],
    "watch_months": ["tell_what_waits"],
}  # fmt: skip
ASSETS = {
    "ingest_partner_files": "signals_landed",
    "ingest_late_files": "signals_landed",
    "replay_quarantine": "signals_landed",
    "build_cases": "cases_categorised",
    "deliver_call_lists": "call_lists_delivered",
    "collect_ris_outcomes": "outcomes_collected",
    "close_month": "month_closed",
}
# a run of these finds its months in the data
WITHOUT_MONTH = ("ingest_late_files", "replay_quarantine", "collect_ris_outcomes", "watch_months")
IN_TIME = {"ingest_partner_files", "build_cases", "deliver_call_lists", "close_month"}
HEAVY = {"pandas", "great_expectations", "dbt", "numpy", "psycopg", "psycopg2", "httpx", "openpyxl", "altair"}


def parse(tmp: Path, schedules: str) -> list[dict]:
    """Parse all files in a process with an Airflow home of its own."""
    target = tmp / f"parsed-{schedules}-{len(list(tmp.iterdir()))}.json"
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ} | {
        "PYTHONPATH": str(PROJECT_ROOT),
        "AIRFLOW_HOME": str(tmp / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS_FOLDER),
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "false",
        "VS_SCHEDULES": schedules,
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "parse_dags.py"), str(DAGS_FOLDER), str(target)],
        env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(target.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dags")


@pytest.fixture(scope="module")
def files(tmp: Path) -> list[dict]:
    return parse(tmp, "on")


@pytest.fixture(scope="module")
def dags(files: list[dict]) -> dict[str, dict]:
    return {dag_id: dag for file in files for dag_id, dag in file["dags"].items()}


def test_the_bag_is_the_expected_list(files: list[dict], dags: dict[str, dict]) -> None:
    assert [file["errors"] for file in files] == [[]] * len(DAGS)
    assert sorted(dags) == sorted(DAGS)
    assert {file["file"]: list(file["dags"]) for file in files} == {f"{dag}.py": [dag] for dag in DAGS}
    assert not [dag for dag in dags if dag.startswith("dbt")]


def test_tasks_are_the_steps_of_the_month(dags: dict[str, dict]) -> None:
    assert {dag_id: sorted(dag["tasks"]) for dag_id, dag in dags.items()} == {
        dag_id: sorted(tasks) for dag_id, tasks in DAGS.items()
    }


def test_a_file_parses_within_a_second_and_imports_nothing_heavy(files: list[dict]) -> None:
    assert len(files) == len(DAGS)
    for file in files:
        assert file["seconds"] < 1, file["file"]
        assert not HEAVY & set(file["imported"]), file["file"]


def test_every_dag_is_documented_owned_and_tagged(dags: dict[str, dict]) -> None:
    for dag_id, dag in dags.items():
        assert "**When**" in dag["doc_md"], dag_id
        assert ("**Emits**" in dag["doc_md"]) == (dag_id in ASSETS), dag_id
        assert ASSETS.get(dag_id, "") in dag["doc_md"], dag_id
        runbook = re.search(r"docs/runbooks/[a-z-]+\.md", dag["doc_md"])
        assert runbook, dag_id
        assert (PROJECT_ROOT / runbook[0]).is_file(), runbook[0]
        assert {"impact:tier_1", "pii:yes"} < set(dag["tags"]), dag_id
        assert len([tag for tag in dag["tags"] if tag.startswith("domain:")]) == 1, dag_id
        assert {task["owner"] for task in dag["tasks"].values()} == {"data-platform"}, dag_id


def test_every_task_survives_a_lost_worker(dags: dict[str, dict]) -> None:
    tasks = [task for dag in dags.values() for task in dag["tasks"].values()]
    assert len(tasks) == sum(map(len, DAGS.values()))
    assert all(task["retries"] >= 2 for task in tasks)
    assert {task["policy"] for task in tasks} == {"OnlyPassingFailures"}


def test_what_fails_is_told_and_what_people_wait_for_has_a_deadline(dags: dict[str, dict]) -> None:
    tasks = [task for dag in dags.values() for task in dag["tasks"].values()]
    assert [task["tells"] for task in tasks] == [["tell_failure"]] * len(tasks)
    # an empty task with any other callback would be run by a worker
    assert [task["other_callbacks"] for task in tasks] == [[]] * len(tasks)
    deadlines = {dag_id: dag["deadline"] for dag_id, dag in dags.items() if dag["deadline"]}
    assert deadlines == dict.fromkeys(IN_TIME, "include.orchestration.alerting.tell_deadline")


def test_months_do_not_pile_up_by_themselves(dags: dict[str, dict]) -> None:
    for dag_id, dag in dags.items():
        assert dag["catchup"] is False, dag_id
        assert dag["start_date"], dag_id
    assert all(dags[dag_id]["max_active_runs"] == 1 for dag_id in WITHOUT_MONTH)
    # a later month that waits must not keep out the earlier month it waits for
    assert all(dag["max_active_runs"] > 1 for dag_id, dag in dags.items() if dag_id not in WITHOUT_MONTH)


def test_each_dag_emits_one_asset_at_its_end(dags: dict[str, dict]) -> None:
    for dag_id, dag in dags.items():
        emitting = {task_id: task["outlets"] for task_id, task in dag["tasks"].items() if task["outlets"]}
        assert list(emitting.values()) == ([[ASSETS[dag_id]]] if dag_id in ASSETS else []), dag_id
        last = next(iter(emitting), next(iter(dag["tasks"])))
        assert dag["tasks"][last]["downstream"] == [], dag_id


def test_an_approval_is_no_by_default_and_nothing_leaves_before_it(dags: dict[str, dict]) -> None:
    guarded = {
        ("deliver_call_lists", "approve_call_list"): {"deliver_call_list", "deliver_worklist", "deliver_feedback"},
        ("close_month", "approve_closure"): {"send_closures", "freeze_month", "deliver_ddas", "deliver_feedback"},
    }
    for (dag_id, approval), outgoing in guarded.items():
        tasks = dags[dag_id]["tasks"]
        assert tasks[approval]["defaults"] == ["Reject"]
        assert outgoing <= reached_from(approval, tasks)


def reached_from(task_id: str, tasks: dict[str, dict]) -> set[str]:
    """Every task that cannot start before `task_id` has ended."""
    found: set[str] = set()
    to_do = [task_id]
    while to_do:
        for following in tasks[to_do.pop()]["downstream"]:
            if following not in found:
                found.add(following)
                to_do.append(following)
    return found


def test_a_second_parse_gives_the_same_dags(tmp: Path, dags: dict[str, dict]) -> None:
    again = {dag_id: dag for file in parse(tmp, "on") for dag_id, dag in file["dags"].items()}
    assert len(again) == len(DAGS)
    for dag_id, dag in dags.items():
        assert again[dag_id]["serialised"] == dag["serialised"], dag_id


def test_schedules_can_be_off(tmp: Path, dags: dict[str, dict]) -> None:
    by_asset = {"build_cases": "PartitionedAssetTimetable", "deliver_call_lists": "PartitionedAssetTimetable"}
    by_asset["replay_quarantine"] = "NullTimetable"  # by hand only
    assert {dag_id: dag["timetable"] for dag_id, dag in dags.items()} == by_asset | {
        "ingest_partner_files": "CronPartitionTimetable",
        "ingest_late_files": "CronTriggerTimetable",
        "collect_ris_outcomes": "CronTriggerTimetable",
        "close_month": "CronPartitionTimetable",
        "purge_expired_data": "CronPartitionTimetable",
        "watch_months": "CronTriggerTimetable",
    }
    by_hand = {dag_id: dag["timetable"] for file in parse(tmp, "off") for dag_id, dag in file["dags"].items()}
    assert by_hand == by_asset | {
        "ingest_partner_files": "PartitionedAtRuntime",
        "ingest_late_files": "NullTimetable",
        "collect_ris_outcomes": "NullTimetable",
        "close_month": "PartitionedAtRuntime",
        "purge_expired_data": "PartitionedAtRuntime",
        "watch_months": "NullTimetable",
    }


@pytest.mark.parametrize("dag", sorted(DAGS))
def test_a_dag_file_is_wiring_only(dag: str) -> None:
    text = (DAGS_FOLDER / f"{dag}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    top = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert top
    allowed = ("from airflow.", "from include.orchestration.", "from include.settings ")
    assert all(line.startswith(allowed) for line in top)
    assert not re.search(r"\bconnect\(|\bopen\(|\bselect\b", text)
