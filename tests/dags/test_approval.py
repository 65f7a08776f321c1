"""A person's answer: recorded before it counts; a no stops; a yes is not asked for twice when a worker was lost."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from include.local.instance import Instance
from include.orchestration.approval import NOBODY, MonthApproval

RUN = "asset_triggered__x"
ANSWERED_AT = datetime(2024, 6, 9, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection(warehouse: Path, server: Instance):
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


@pytest.fixture
def approval(connection: psycopg.Connection) -> MonthApproval:
    connection.execute("delete from ops.approvals")
    return MonthApproval(task_id="approve_call_list", about="call_list", month="2024-06", retries=3)


def answer(choice: str, user: dict | None, **remark: str) -> dict:
    return {"chosen_options": [choice], "params_input": remark, "responded_at": ANSWERED_AT, "responded_by_user": user}


def attempt(try_number: int, max_tries: int = 3) -> dict:
    return {"run_id": RUN, "ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}


def recorded(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("select subject, decision, decided_by, remark from ops.approvals").fetchall()


def test_a_yes_is_recorded_with_who_and_when(connection: psycopg.Connection, approval: MonthApproval) -> None:
    given = approval.execute_complete(attempt(1), answer("Approve", {"id": "7", "name": "anna"}, remark=""))
    assert given == {"decision": "approved", "decided_by": "anna", "decided_at": ANSWERED_AT.isoformat()}
    assert recorded(connection) == [("call_list", "approved", "anna", None)]


def test_a_no_is_recorded_and_stops(connection: psycopg.Connection, approval: MonthApproval) -> None:
    with pytest.raises(AirflowFailException, match=r"call list of 2024-06 was not approved \(by anna: twee dubbel\)"):
        approval.execute_complete(attempt(1), answer("Reject", {"id": "7", "name": "anna"}, remark="twee dubbel"))
    assert recorded(connection) == [("call_list", "rejected", "anna", "twee dubbel")]


def test_no_answer_in_time_is_a_no(connection: psycopg.Connection, approval: MonthApproval) -> None:
    assert approval.defaults == ["Reject"]
    assert approval.response_timeout
    with pytest.raises(AirflowFailException, match="Nothing was sent"):
        approval.execute_complete(attempt(1), answer("Reject", None))
    assert recorded(connection) == [("call_list", "rejected", NOBODY, None)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions Airflow got; only the call to its API server is left out."""
    questions: list[str] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
        lambda **detail: questions.append(detail["subject"]),
    )
    return questions


def test_the_first_time_a_person_is_asked(approval: MonthApproval, asked: list[str]) -> None:
    with pytest.raises(TaskAwaitingInput):
        approval.execute({**attempt(1), "task_instance": SimpleNamespace(id="x")})
    assert len(asked) == 1


def test_a_yes_given_before_the_worker_was_lost_counts(approval: MonthApproval, asked: list[str]) -> None:
    approval.execute_complete(attempt(1), answer("Approve", {"id": "7", "name": "anna"}))
    assert approval.execute(attempt(2))["decided_by"] == "anna"
    assert asked == []


def test_after_clearing_the_task_the_question_is_asked_again(approval: MonthApproval, asked: list[str]) -> None:
    approval.execute_complete(attempt(1), answer("Approve", {"id": "7", "name": "anna"}))
    with pytest.raises(TaskAwaitingInput):
        approval.execute({**attempt(2, max_tries=4), "task_instance": SimpleNamespace(id="x")})
    assert len(asked) == 1


def test_a_no_is_asked_again_by_a_later_try(approval: MonthApproval, asked: list[str]) -> None:
    with pytest.raises(AirflowFailException):
        approval.execute_complete(attempt(1), answer("Reject", {"id": "7", "name": "anna"}))
    with pytest.raises(TaskAwaitingInput):
        approval.execute({**attempt(2), "task_instance": SimpleNamespace(id="x")})
    assert len(asked) == 1
