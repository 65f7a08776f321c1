"""A RIS that misbehaves in every way its interface allows still ends in exactly what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.exchange.ris import RisClient, RisRefused, RisUnauthorized, RisUnavailable
from include.exchange.ris_connection import RisConnection
from include.ingest.ris import collect_outcomes
from include.settings import Role
from include.warehouse.connection import connect
from tests.integration.faulty_ris import FAULTS, FaultyRis, faulty_ris

MONTH = "2024-06"
TABLES = ("ris_outcomes", "ris_attempts", "ris_followups", "ris_rejected_items")


@pytest.fixture
def records(warehouse: Path) -> Iterator[int]:
    """Sixty call records of June that went out, and a landing without anything from RIS."""
    forget()
    with connect(Role.LOADER) as connection:
        connection.execute("insert into ops.months (signal_month) values (%s)", (MONTH,))
    with connect(Role.EXPORTER) as connection:
        deliver_records(connection, 60)
    yield 60
    forget()


def forget() -> None:
    with connect(Role.ADMIN) as connection:
        for table in (*(f"landing.{table}" for table in TABLES), "ops.ris_pulls", "ops.call_records", "ops.months"):
            connection.execute(f"delete from {table}")
        connection.execute("delete from ops.dbt_results")


def deliver_records(connection: Any, count: int, month: str = MONTH) -> None:
    connection.execute(
        """
        insert into ops.call_records
            (call_record_id, case_id, signal_month, sequence, file_name, content_sha256, script_version)
        select 'call_' || %(month)s || n, 'case_' || %(month)s || n, %(month)s, 1, 'list.csv', 'sha', '2024-2'
        from generate_series(1, %(count)s) as n
        """,
        {"month": month, "count": count},
    )


def outcome(number: int, *, day: int = 12, month: str = MONTH, **changes: Any) -> dict[str, Any]:
    moment = datetime(2024, int(month[-2:]), day, 10, tzinfo=UTC) + timedelta(minutes=number)
    stamp = moment.isoformat().replace("+00:00", "Z")
    return {
        "outcome_id": f"out_{month}{number}",
        "call_record_id": f"call_{month}{number}",
        "case_id": f"case_{month}{number}",
        "result_code": "no_answer",
        "result_at": stamp,
        "updated_at": stamp,
        "script_version": "2024-2",
        "preferred_callback": None,
        "situation_summary": None,
        "attempts": [
            {
                "attempt_id": f"att_{month}{number}_{attempt}",
                "attempt_no": attempt,
                "direction": "outbound",
                "phone": "+31612345678",
                "started_at": (moment + timedelta(hours=attempt)).isoformat(),
                "ended_at": None,
                "reached": False,
                "attempt_result": "no_answer",
            }
            for attempt in (1, 2, 3)
        ],
    } | changes


def followup(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "followup_id": f"fol_{number}",
        "case_id": f"case_{MONTH}{number}",
        "kind": "quick_fix",
        "started_on": "2024-06-20",
        "ended_on": None,
        "updated_at": f"2024-06-20T09:{number:02d}:00",
    } | changes


def client(ris: FaultyRis, waits: list[float] | None = None, page_size: int = 7) -> RisClient:
    return RisClient(
        connection_source=lambda: RisConnection(ris.url, "valid-token"),
        sleep=(waits if waits is not None else []).append,
        page_size=page_size,
    )


def landed(columns: str, table: str = "ris_outcomes") -> list[tuple[Any, ...]]:
    with connect(Role.LOADER) as connection:
        return connection.execute(f"select {columns} from landing.{table} order by 1, 2").fetchall()


def test_a_pull_lands_outcomes_attempts_and_followups(records: int) -> None:
    with faulty_ris() as ris:
        ris.items = {"outcomes": [outcome(n) for n in range(1, 31)], "followups": [followup(1), followup(2)]}
        found = collect_outcomes(client(ris))
    assert (found.new_outcomes, found.new_followups, found.rejected, found.months) == (30, 2, 0, [MONTH])
    assert len(landed("outcome_id, updated_at")) == 30
    assert len(landed("outcome_id, attempt_id", "ris_attempts")) == 90
    with connect(Role.LOADER) as connection:
        pulls = connection.execute(
            "select kind, source, items, new_items, months from ops.ris_pulls order by pull_id"
        ).fetchall()
    assert pulls == [("outcomes", "api", 30, 30, [MONTH]), ("followups", "api", 2, 2, [MONTH])]


def test_pulling_again_changes_nothing_and_asks_with_overlap(records: int) -> None:
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(n) for n in range(1, records + 1)]
        collect_outcomes(client(ris))
        ris.requests.clear()
        again = collect_outcomes(client(ris))
    assert (again.new_outcomes, again.rejected) == (0, 0)
    newest = datetime.fromisoformat(outcome(records)["updated_at"])
    since = (newest - timedelta(days=2)).strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ")
    assert f"updated_since={since}" in ris.requests[0]


def test_while_records_wait_for_an_outcome_the_month_is_read_from_its_start(records: int) -> None:
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(n, day=28) for n in range(1, 10)]
        collect_outcomes(client(ris))
        # something RIS showed too late: it is older than the overlap
        ris.items["outcomes"].append(outcome(20, day=11))
        found = collect_outcomes(client(ris))
    assert found.new_outcomes == 1


def test_thirty_percent_faults_end_with_exactly_the_truth(records: int) -> None:
    waits: list[float] = []
    with faulty_ris(fault_share=0.4, seed=3) as ris:
        ris.items = {"outcomes": [outcome(n) for n in range(1, 61)], "followups": [followup(n) for n in range(1, 21)]}
        for _ in range(4):
            collect_outcomes(client(ris, waits, page_size=4))
        assert len(ris.faults) > 0.3 * len(ris.requests)
        assert set(ris.faults) == set(FAULTS)
    assert landed("outcome_id, updated_at") == sorted(
        (item["outcome_id"], datetime.fromisoformat(item["updated_at"])) for item in ris.items["outcomes"]
    )
    assert len(landed("outcome_id, attempt_id", "ris_attempts")) == 180
    assert len(landed("followup_id, updated_at", "ris_followups")) == 20
    assert waits
    assert 1.0 in waits, "Retry-After was not heeded"


def test_pages_that_shift_while_they_are_read_lose_nothing(records: int) -> None:
    def touch(ris: FaultyRis, page: dict[str, Any]) -> None:
        # the first item of the page just read is corrected, so everything behind it moves one place forward
        if page["items"] and len(moved) < 12:
            one = page["items"][0]
            moved.append(one["outcome_id"])
            corrected = one | {"updated_at": f"2024-06-29T10:{len(moved):02d}:00Z", "result_code": "voicemail_only"}
            ris.items["outcomes"] = [item for item in ris.items["outcomes"] if item is not one] + [corrected]

    moved: list[str] = []
    with faulty_ris(between_pages=touch) as ris:
        ris.items["outcomes"] = [outcome(n) for n in range(1, 61)]
        collect_outcomes(client(ris, page_size=5))
    assert len(moved) == 12
    newest = dict(landed("outcome_id, (array_agg(result_code order by updated_at desc))[1]", "ris_outcomes group by 1"))
    assert newest == {item["outcome_id"]: item["result_code"] for item in ris.items["outcomes"]}


def test_a_correction_is_a_new_version_and_the_old_one_stays(records: int) -> None:
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(1)]
        collect_outcomes(client(ris))
        ris.items["outcomes"] = [outcome(1, result_code="help_accepted", updated_at="2024-06-13T09:00:00Z")]
        assert collect_outcomes(client(ris)).new_outcomes == 1
    assert [code for _, code in landed("updated_at, result_code")] == ["no_answer", "help_accepted"]
    assert len(landed("updated_at, attempt_id", "ris_attempts")) == 6


def test_an_outcome_of_a_record_we_never_delivered_is_kept_and_reported(records: int) -> None:
    stranger = outcome(2, call_record_id="call_stranger", outcome_id="out_stranger")
    other_case = outcome(3, case_id="case_other", outcome_id="out_other_case")
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(1), stranger, other_case]
        found = collect_outcomes(client(ris))
        assert (found.new_outcomes, found.rejected) == (1, 2)
        assert collect_outcomes(client(ris)).rejected == 0
        assert landed("item_id, reason", "ris_rejected_items") == [
            ("out_other_case", "case_differs"), ("out_stranger", "call_record_unknown"),
        ]  # fmt: skip
        # the record goes out after all: the next pull lands what was set aside
        with connect(Role.EXPORTER) as connection:
            connection.execute(
                "insert into ops.call_records values ('call_stranger', %s, %s, 2, 'list.csv', 'sha', '2024-2')",
                (stranger["case_id"], MONTH),
            )
        assert collect_outcomes(client(ris)).new_outcomes == 1
    assert [item for item, _ in landed("item_id, reason", "ris_rejected_items")] == ["out_other_case"]


def test_an_unknown_code_is_landed_for_the_gate_to_stop_at(records: int) -> None:
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(1, result_code="moved_to_the_moon")]
        assert collect_outcomes(client(ris)).new_outcomes == 1
    assert landed("outcome_id, result_code") == [(f"out_{MONTH}1", "moved_to_the_moon")]


def test_items_that_cannot_be_stored_are_set_aside_with_their_reason(records: int) -> None:
    without_id = outcome(4) | {"outcome_id": None}
    with faulty_ris() as ris:
        ris.items["outcomes"] = [
            outcome(1, result_at="yesterday"),
            outcome(2, attempts=[outcome(2)["attempts"][0] | {"direction": "sideways"}]),
            outcome(3, situation_summary="nul \x00 and half a pair \ud800"),
            without_id,
        ]
        ris.items["followups"] = [followup(1, kind="miracle"), followup(2, started_on=None)]
        found = collect_outcomes(client(ris))
    assert (found.new_outcomes, found.new_followups, found.rejected) == (1, 0, 5)
    assert sorted(reason for _, reason in landed("item_id, reason", "ris_rejected_items")) == [
        "direction_invalid", "kind_invalid", "outcome_id_invalid", "result_at_invalid", "started_on_invalid",
    ]  # fmt: skip
    with connect(Role.LOADER) as connection:
        (kept,) = connection.execute(
            "select item from landing.ris_rejected_items where item_id like 'without_id_%'"
        ).fetchone()
    assert kept["call_record_id"] == without_id["call_record_id"]


def test_times_without_a_zone_are_local_and_z_is_utc(records: int) -> None:
    with faulty_ris() as ris:
        ris.items["outcomes"] = [
            outcome(1, updated_at="2024-06-12T12:00:00"), outcome(2, updated_at="2024-06-12T12:00:00Z"),
            outcome(3, updated_at="2024-06-12T12:00:00+02:00"),
        ]  # fmt: skip

        def page(kind: str, query: Any) -> dict[str, Any]:
            return {"items": ris.items[kind], "next_cursor": None}

        ris.page = page  # type: ignore[method-assign]
        collect_outcomes(client(ris))
    hours = [moment.astimezone(UTC).hour for _, moment in landed("outcome_id, updated_at")]
    assert hours == [10, 12, 10]


def test_a_preferred_callback_arrives(records: int) -> None:
    callback = {"part_of_day": "Avond", "from": "18:00", "until": "20:30", "on": "2024-06-14"}
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(1, preferred_callback=callback, situation_summary="Wil graag een gesprek.")]
        collect_outcomes(client(ris))
    (row,) = landed(
        "callback_part_of_day, callback_from::text, callback_until::text, callback_on::text, situation_summary"
    )
    assert row == ("Avond", "18:00:00", "20:30:00", "2024-06-14", "Wil graag een gesprek.")


def test_a_token_that_expired_says_what_to_do(records: int) -> None:
    with faulty_ris(token="another-token") as ris, pytest.raises(RisUnauthorized, match="connection `ris`") as stopped:
        collect_outcomes(client(ris))
    assert "valid-token" not in str(stopped.value)
    assert len(ris.requests) == 3


def test_a_token_renewed_while_we_run_is_picked_up(records: int) -> None:
    tokens = iter(["old-token"])
    with faulty_ris(token="new-token") as ris:
        ris.items["outcomes"] = [outcome(1)]
        renewing = RisClient(
            connection_source=lambda: RisConnection(ris.url, next(tokens, "new-token")), sleep=lambda seconds: None
        )
        assert collect_outcomes(renewing).new_outcomes == 1


def test_a_ris_that_stays_broken_is_given_up_and_nothing_is_half_landed(records: int) -> None:
    waits: list[float] = []
    with faulty_ris(planned=["broken"] * 50) as ris:
        with pytest.raises(RisUnavailable, match="answered 500 after 10 tries"):
            collect_outcomes(client(ris, waits))
    assert len(waits) == 9
    assert waits == sorted(waits), "the waits grow"
    assert landed("outcome_id, updated_at") == []


def test_nobody_there_is_given_up_as_well(records: int) -> None:
    nowhere = RisClient(
        connection_source=lambda: RisConnection("http://127.0.0.1:9/ris/v1", "t"), sleep=lambda seconds: None
    )
    with pytest.raises(RisUnavailable, match="out of reach"):
        collect_outcomes(nowhere)


def test_a_wait_beyond_reason_is_left_to_the_next_run(records: int) -> None:
    waits: list[float] = []
    with faulty_ris(planned=["busy"], retry_after="3600") as ris:
        with pytest.raises(RisUnavailable, match="asks to wait 3600"):
            collect_outcomes(client(ris, waits))
    assert waits == []


def test_a_refused_batch_is_no_passing_fault(records: int) -> None:
    with faulty_ris() as ris:
        ris.batches["b1"] = {"batch_id": "b2", "accepted": [], "rejected": []}
        with pytest.raises(RisRefused, match="another closure batch"):
            client(ris).close("b1", MONTH, [])


def test_a_run_killed_before_the_refresh_is_refreshed_by_the_next(records: int) -> None:
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(1)]
        assert collect_outcomes(client(ris)).months == [MONTH]
        # nobody built the marts since
        assert collect_outcomes(client(ris)).months == [MONTH]
        with connect(Role.TRANSFORMER) as connection:
            connection.execute(
                "insert into ops.dbt_results (stage, signal_month, invocation_id, unique_id, status) "
                "values ('marts', %s, 'i', 'model', 'success')",
                (MONTH,),
            )
        assert collect_outcomes(client(ris)).months == []


def test_an_outcome_of_a_closed_month_is_landed_and_listed_as_late(records: int) -> None:
    with connect(Role.EXPORTER) as connection:
        deliver_records(connection, 2, "2024-03")
        connection.execute("insert into ops.closure_ledger values ('2024-03', 1, 'b', 'c', 0, 0, 0, 0, 0, 'h', now())")
    with faulty_ris() as ris:
        ris.items["outcomes"] = [outcome(1, month="2024-03"), outcome(1)]
        found = collect_outcomes(client(ris))
    assert (found.months, found.late_months, found.new_outcomes) == ([MONTH], ["2024-03"], 2)


def test_the_connection_is_read_as_json_or_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        json.dumps(
            {"conn_type": "http", "host": "http://127.0.0.1:81/ris/v1", "password": "a/b"}
        ): "http://127.0.0.1:81/ris/v1",
        json.dumps({"conn_type": "http", "host": "ris.example.nl", "schema": "https", "password": "a/b"}): (
            "https://ris.example.nl/ris/v1"
        ),
        json.dumps({"conn_type": "http", "host": "https://ris.example.nl", "port": 8443, "password": "a/b"}): (
            "https://ris.example.nl:8443/ris/v1"
        ),
        "https://:a%2Fb@ris.example.nl:444/ris/v1": "https://ris.example.nl:444/ris/v1",
    }
    for text, url in given.items():
        monkeypatch.setenv("AIRFLOW_CONN_RIS", text)
        connection = RisConnection.from_settings()
        assert (connection.base_url, connection.token) == (url, "a/b")
        assert "a/b" not in repr(connection)
