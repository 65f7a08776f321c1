"""A dbt stage as Airflow's task runs it: Cosmos starts dbt on a real warehouse, our table keeps what it answered."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.local.instance import Instance
from include.months import Month
from include.orchestration.dbt_stage import PARSE_RESULT, DbtStage, StageInterrupted, dbt_stage
from include.orchestration.retries import passes_by_itself
from include.warehouse.dbt import DbtStageFailed, one_stage_at_a_time


@pytest.fixture(scope="module")
def connection(warehouse: Path, server: Instance):
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def run(stage: str, month: str, run_id: str) -> dict:
    return DbtStage(task_id=f"build_{stage}", stage=stage, month=month).execute({"run_id": run_id})


def test_a_stage_builds_one_month_and_leaves_its_results(connection: psycopg.Connection) -> None:
    counts = run("matched", "2024-06", "run-1")
    assert counts["stage"] == "matched"
    assert counts["month"] == "2024-06"
    assert counts["models"] >= 5
    kept = connection.execute(
        "select signal_month, count(*) from ops.dbt_results where run_id = 'run-1' group by 1"
    ).fetchall()
    assert kept == [("2024-06", counts["models"] + counts["tests"])]


def test_every_month_has_its_own_warm_target(connection: psycopg.Connection) -> None:
    base = Path(os.environ["DBT_TARGET_PATH"])
    parsed = (base / PARSE_RESULT).stat().st_mtime_ns
    run("enriched", "2024-05", "run-2")
    assert (base / "2024-05" / PARSE_RESULT).is_file()
    assert (base / PARSE_RESULT).stat().st_mtime_ns == parsed, "a month wrote into the shared parse"
    assert not list((base / "2024-05").rglob("run_results.json")), "dbt's own results can quote a row"


def test_a_closed_month_is_skipped(connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
        " cases_open, cases_excluded, arrears_closed_eur, content_hash)"
        " values ('2024-01', 1, 'b', 'c', 0, 0, 0, 0, 0, 'h')"
    )
    with pytest.raises(AirflowSkipException, match="2024-01 is closed"):
        run("matched", "2024-01", "run-3")


def test_a_broken_stage_needs_a_person(connection: psycopg.Connection) -> None:
    connection.execute("revoke select on landing.signals from vs_transformer")
    connection.execute("drop view staging.stg_signals cascade")
    try:
        with pytest.raises(DbtStageFailed, match="ops.dbt_results") as failed:
            run("matched", "2024-06", "run-4")
    finally:
        connection.execute("grant select on landing.signals to vs_transformer")
    assert not isinstance(failed.value, StageInterrupted)
    assert not passes_by_itself(failed.value)
    assert connection.execute(
        "select count(*) > 0 from ops.dbt_results where run_id = 'run-4' and status = 'error'"
    ).fetchone() == (True,)


def test_a_warehouse_that_is_away_is_tried_again(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VS_WAREHOUSE_PORT", "1")
    with pytest.raises(psycopg.OperationalError) as failed:
        run("matched", "2024-06", "run-5")
    assert passes_by_itself(failed.value)


def test_one_stage_at_a_time_a_month(connection: psycopg.Connection) -> None:
    order: list[str] = []

    def second() -> None:
        with one_stage_at_a_time(Month(2024, 6)):
            order.append("second")

    with one_stage_at_a_time(Month(2024, 6)):
        waiting = threading.Thread(target=second)
        waiting.start()
        with one_stage_at_a_time(Month(2024, 5)):
            order.append("another month")
        time.sleep(0.5)
        order.append("first")
    waiting.join(10)
    assert order == ["another month", "first", "second"]


def test_the_task_is_named_after_its_stage() -> None:
    task = dbt_stage("matched")
    assert (task.task_id, task.select, task.should_store_compiled_sql) == ("build_matched", "tag:matched", False)
