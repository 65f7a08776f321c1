"""What a month waits for, asked of a real warehouse; and the trigger that keeps asking."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psycopg
import pytest

from include.local.instance import Instance
from include.months import Month
from include.orchestration.waits import CONDITIONS, Finding, Progress, look

MARCH, APRIL, MAY, JUNE = Month(2024, 3), Month(2024, 4), Month(2024, 5), Month(2024, 6)


@pytest.fixture(scope="module")
def connection(warehouse: Path, server: Instance):
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def deliver(connection: psycopg.Connection, month: Month) -> None:
    connection.execute(
        "insert into ops.deliveries (delivery_id, contract, partner, file_name, sha256, signal_month, status,"
        " rows_in_file, rows_loaded, rows_quarantined, rows_duplicate)"
        " values (%s, 'zorgplus-v1', 'zorgplus', 'f', 's', %s, 'loaded', 1, 1, 0, 0)",
        (f"dlv_{month}", str(month)),
    )


def close(connection: psycopg.Connection, month: Month) -> None:
    connection.execute(
        "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
        " cases_open, cases_excluded, arrears_closed_eur, content_hash) values (%s, 1, 'b', 'c', 0, 0, 0, 0, 0, 'h')",
        (str(month),),
    )


def test_a_month_waits_for_the_earlier_one_and_a_closed_month_skips(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for month in (MARCH, APRIL, MAY, JUNE):
        connection.execute("insert into ops.months (signal_month) values (%s)", (str(month),))
    for month in (APRIL, MAY, JUNE):  # nobody delivered in March: it holds up no other month
        deliver(connection, month)
    assert look("previous_month_closed", "2024-04").progress is Progress.GO

    waiting = look("previous_month_closed", "2024-06")
    assert waiting.progress is Progress.WAIT
    assert "2024-06 waits for 2024-04" in waiting.message

    close(connection, APRIL)
    assert "waits for 2024-05" in look("previous_month_closed", "2024-06").message
    skipped = look("previous_month_closed", "2024-04")
    assert skipped.progress is Progress.SKIP
    assert "2024-04 is closed" in skipped.message

    monkeypatch.setenv("VS_PREVIOUS_MONTH_WAIT_DAYS", "0")
    stopped = look("previous_month_closed", "2024-06")
    assert stopped.progress is Progress.STOP
    assert "Run close_month for 2024-05" in stopped.message

    close(connection, MAY)
    assert look("previous_month_closed", "2024-06").progress is Progress.GO


def test_enrichment_is_waited_for_as_long_as_the_setting_says(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look("enrichment_answered", "2024-06").progress is Progress.GO  # nothing was asked
    connection.execute(
        "insert into ops.enrichment_requests (request_id, signal_month, sequence) values ('request_x', '2024-06', 1)"
    )
    assert look("enrichment_answered", "2024-06").progress is Progress.WAIT
    monkeypatch.setenv("VS_ENRICHMENT_WAIT_MINUTES", "0")
    late = look("enrichment_answered", "2024-06")
    assert late.progress is Progress.GO
    assert "going on without it" in late.message


def test_deliveries_and_closing_day_of_the_past_pass_at_once(connection: psycopg.Connection) -> None:
    deliver(connection, Month(2024, 7))
    passed = look("deliveries_complete", "2024-06")
    assert passed.progress is Progress.GO
    assert "drinkwater_zh" in passed.message
    assert look("closing_day_reached", "2024-07").progress is Progress.GO


def test_a_month_without_deliveries_has_nothing_to_close(warehouse: Path) -> None:
    skipped = look("closing_day_reached", "2024-01")
    assert skipped.progress is Progress.SKIP
    assert "nothing to close" in skipped.message


def test_deliveries_and_closing_day_of_the_future_are_waited_for(connection: psycopg.Connection) -> None:
    deliver(connection, Month(2099, 5))
    waiting = look("deliveries_complete", "2099-06")
    assert waiting.progress is Progress.WAIT
    assert "2099-06 waits until 2099-06-08" in waiting.message
    assert look("closing_day_reached", "2099-05").message == (
        "2099-05 is closed on 2099-06-02, the first working day after it."  # 1 June 2099 is Whit Monday
    )


def answers(trigger) -> list[dict]:
    async def first() -> list[dict]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(first())


def test_the_trigger_asks_again_until_the_answer_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    from include.orchestration import triggers
    from include.orchestration.triggers import ConditionTrigger

    monkeypatch.setattr(triggers, "SETTLED_AFTER", 0.0)
    asked: list[Month] = []

    def third_time(month: Month) -> Finding:
        asked.append(month)
        if len(asked) == 1:
            raise psycopg.OperationalError("server closed the connection")
        return Finding(Progress.WAIT if len(asked) < 3 else Progress.GO, f"{month}, look {len(asked)}")

    monkeypatch.setitem(CONDITIONS, "closing_day_reached", third_time)
    trigger = ConditionTrigger("closing_day_reached", "2024-06", poll_seconds=0.01)
    assert answers(trigger) == [{"progress": "go", "message": "2024-06, look 3"}]
    assert asked == [JUNE] * 3
    path, arguments = trigger.serialize()
    assert path == "include.orchestration.triggers.ConditionTrigger"
    assert ConditionTrigger(**arguments).serialize() == (path, arguments)


def test_a_mistake_in_a_condition_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from include.orchestration.triggers import ConditionTrigger

    monkeypatch.setattr("include.orchestration.triggers.SETTLED_AFTER", 0.0)

    def mistaken(month: Month) -> Finding:
        raise KeyError("no such column")

    monkeypatch.setitem(CONDITIONS, "closing_day_reached", mistaken)
    with pytest.raises(KeyError):
        answers(ConditionTrigger("closing_day_reached", "2024-06", poll_seconds=0.01))
