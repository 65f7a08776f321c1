"""Which failures are tried again, by their class; and what a step may hand to the next."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from decimal import Decimal

import httpx
import psycopg
import pytest
from airflow.sdk import RetryAction

from include.months import Month
from include.orchestration.dbt_stage import INTERRUPTION, StageInterrupted
from include.orchestration.retries import PASSING_FAILURES, OnlyPassingFailures
from include.orchestration.summaries import as_counts
from include.quality.gates import GateBroken, GateStopped
from include.warehouse.dbt import DbtStageFailed, MonthIsClosed

POLICY = OnlyPassingFailures()


def action(failure: BaseException) -> RetryAction:
    return POLICY.evaluate(failure, try_number=1, max_tries=3).action


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.DiskFull(),
        ConnectionResetError(),
        TimeoutError(),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("no route"),
        StageInterrupted("deadlock detected"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_network_and_lock_failures_are_tried_again(failure: BaseException) -> None:
    assert action(failure) is RetryAction.RETRY


@pytest.mark.parametrize(
    "failure",
    [
        GateStopped("a rule"),
        GateBroken("a missing table"),
        DbtStageFailed("a model"),
        MonthIsClosed("2024-05"),
        ValueError("a mistake"),
        psycopg.errors.UniqueViolation(),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_needs_a_person_is_not_tried_again(failure: BaseException) -> None:
    assert action(failure) is RetryAction.FAIL


def test_the_cause_of_a_failure_counts() -> None:
    wrapped = RuntimeError("the call list could not be written")
    wrapped.__cause__ = ConnectionResetError()
    assert action(wrapped) is RetryAction.RETRY


def test_every_named_failure_exists() -> None:
    assert len(PASSING_FAILURES) > 5
    for path in PASSING_FAILURES:
        module, _, name = path.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), name), BaseException), path


@pytest.mark.parametrize(
    "message",
    [
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        "server closed the connection unexpectedly",
        "Database Error in model int_cases: deadlock detected",
        "canceling statement due to lock timeout",
        "terminating connection due to administrator command",
        'could not extend file "pg_tblspc/1/PG_18/2/3": No space left on device',
        'could not write to file "base/pgsql_tmp/pgsql_tmp1.0": No space left on device',
        "connection failed: FATAL:  sorry, too many clients already",
    ],
)
def test_dbt_messages_of_a_lost_connection_or_lock_are_known(message: str) -> None:
    assert INTERRUPTION.search(message)


def test_a_dbt_message_of_a_broken_model_is_no_interruption() -> None:
    assert not INTERRUPTION.search('Database Error in model int_cases: column "x" does not exist')


def test_a_summary_is_plain_json_and_small() -> None:
    @dataclass(frozen=True)
    class Summary:
        month: Month
        files: tuple[str, ...]
        arrears_eur: Decimal

    assert as_counts(Summary(Month(2024, 6), ("a.csv",), Decimal("1.50"))) == {
        "month": "2024-06", "files": ["a.csv"], "arrears_eur": "1.50",
    }  # fmt: skip
    with pytest.raises(ValueError, match="no summary"):
        as_counts(["row"] * 1000)
