"""When the driver answers a question: as soon as the scheduler knows that the process which asked has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.local.airflow import LocalAirflow
from include.local.airflow_api import AirflowApi, Task
from include.local.instance import Instance
from include.local.month_driver import SETTLED_AFTER, MonthDriver
from include.months import Month

ASKED, ANSWERED, OTHER = "01a22225-75a1", "01a22225-75a2", "01a22225-75a3"
# as Airflow 3.3.2 writes it: an approval that is parked, and one that went on after its answer
LINE = (
    "2026-11-28T12:13:28.304301Z [info     ] TaskInstance Finished: dag_id=close_month, task_id=approve_closure, "
    "run_id=manual__2026-11-28, map_index=-1, ti_id={}, run_start_date=2026-11-28 12:13:27.408103+00:00, "
    "run_end_date=None, run_duration=None, state={}, executor=LocalExecutor(parallelism=4), executor_state=success\n"
)


@pytest.fixture
def airflow(tmp_path: Path) -> LocalAirflow:
    airflow = LocalAirflow(Instance(tmp_path))
    airflow.instance.create()
    return airflow


def write_log(airflow: LocalAirflow, text: str) -> None:
    airflow.processes.log("scheduler").write_text(text, encoding="utf-8")


def test_the_end_of_the_process_that_asked_is_found_in_the_log(airflow: LocalAirflow) -> None:
    assert not airflow.has_noticed_question(ASKED), "there is no log yet"
    write_log(airflow, "loop\n" * 200_000 + LINE.format(ASKED, "awaiting_input") + LINE.format(ANSWERED, "success"))
    assert airflow.has_noticed_question(ASKED)
    assert not airflow.has_noticed_question(ANSWERED)
    assert not airflow.has_noticed_question(OTHER)


def test_a_question_is_answered_when_it_is_noticed_and_at_the_latest_after_a_while(airflow: LocalAirflow) -> None:
    driver = MonthDriver(AirflowApi(airflow), Month(2024, 4), display=None, approve=True)
    asking, deferred = (
        Task(ASKED, "approve_closure", -1, "", state, 1, None) for state in ("awaiting_input", "deferred")
    )
    assert not driver._is_settled(asking, since=0.1)
    assert driver._is_settled(asking, since=SETTLED_AFTER)
    write_log(airflow, LINE.format(ASKED, "awaiting_input"))
    assert driver._is_settled(asking, since=0.1)
    assert not driver._is_settled(deferred, since=0.1), "a wait is not told at once: most are over before"
