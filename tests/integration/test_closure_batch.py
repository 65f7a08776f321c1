"""Closures reach RIS once, are answered case by case, and can be sent again without harm: by API and by file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.exchange.ris import RisClient, RisRefused, RisUnavailable
from include.exchange.ris_connection import RisConnection
from include.months import Month
from include.outbound.approvals import NotApproved, record_approval
from include.outbound.ris_closures import AcknowledgementPending, AcknowledgementUnreadable, send_closures
from include.settings import Role
from include.warehouse.connection import connect
from tests.integration.faulty_ris import FaultyRis, faulty_ris
from tests.integration.outbound_tables import create_outbound_tables, fill

MONTH = Month(2024, 6)


@pytest.fixture
def month(warehouse: Path) -> Iterator[Month]:
    """June, approved, with four cases to close."""
    create_outbound_tables()
    forget()
    record_approval(MONTH, "closure", "run", "approved", "coordinator", datetime(2024, 7, 1, 9, tzinfo=UTC))
    propose(1, 2, 3, 4)
    yield MONTH
    forget()


def forget() -> None:
    with connect(Role.ADMIN) as connection:
        for table in ("closure_items", "closure_batches", "exchange_ledger", "approvals"):
            connection.execute(f"delete from ops.{table}")


def propose(*numbers: int, **changes: Any) -> None:
    rows = [
        {
            "case_id": f"case_{number}",
            "ddas_result": "Definitief geen contact kunnen krijgen",
            "reason": "not_reached",
            "closed_on": date(2024, 7, 1),
        }
        | changes
        for number in numbers
    ]
    fill("out_ris_closures", str(MONTH), rows)


def client(ris: FaultyRis) -> RisClient:
    return RisClient(connection_source=lambda: RisConnection(ris.url, "valid-token"), sleep=lambda seconds: None)


def items() -> dict[str, tuple[str, str | None]]:
    with connect(Role.EXPORTER) as connection:
        rows = connection.execute("select case_id, state, rejection_reason from ops.closure_items").fetchall()
    return {case_id: (state, reason) for case_id, state, reason in rows}


def batches() -> list[tuple[str, int, str]]:
    with connect(Role.EXPORTER) as connection:
        return connection.execute(
            "select batch_id, items, state from ops.closure_batches order by prepared_at, batch_id"
        ).fetchall()


def test_a_batch_is_sent_and_answered_case_by_case(month: Month) -> None:
    with faulty_ris(rejects={"case_3": "open_followup"}) as ris:
        summary = send_closures(month, "coordinator", client(ris))
    assert (summary.items, summary.accepted, summary.rejected) == (4, 3, 1)
    assert items()["case_1"] == ("accepted", None)
    assert items()["case_3"] == ("rejected", "open_followup")
    (body,) = ris.bodies
    assert body["batch_id"] == summary.batch_id
    assert body["month"] == "2024-06"
    assert body["items"][0] == {
        "case_id": "case_1", "ddas_result": "Definitief geen contact kunnen krijgen", "reason": "not_reached",
        "closed_on": "2024-07-01",
    }  # fmt: skip


def test_sending_again_sends_nothing(month: Month) -> None:
    with faulty_ris(rejects={"case_3": "open_followup"}) as ris:
        first = send_closures(month, "coordinator", client(ris))
        assert send_closures(month, "coordinator", client(ris)) == first
    assert len(ris.requests) == 1
    assert batches() == [(first.batch_id, 4, "acknowledged")]


def test_only_what_became_closable_since_is_sent_later(month: Month) -> None:
    with faulty_ris(rejects={"case_3": "open_followup"}) as ris:
        send_closures(month, "coordinator", client(ris))
        propose(1, 2, 3, 4, 5)
        summary = send_closures(month, "coordinator", client(ris))
        assert [item["case_id"] for item in ris.bodies[1]["items"]] == ["case_5"]
        # the proposal says something new about the rejected case; the others were accepted and stay as they are
        propose(1, 3, reason="followup_ended")
        ris.rejects.clear()
        last = send_closures(month, "coordinator", client(ris))
        assert [item["case_id"] for item in ris.bodies[2]["items"]] == ["case_3"]
    assert (summary.accepted, summary.rejected) == (4, 1)
    assert (last.items, last.accepted, last.rejected) == (5, 5, 0)


def test_an_answer_lost_on_the_way_is_asked_again_with_the_same_key(month: Month) -> None:
    with faulty_ris(planned=["cut_half", "broken"]) as ris:
        summary = send_closures(month, "coordinator", client(ris))
    assert len(ris.requests) == 3
    assert len(ris.bodies) == 1, "RIS must have handled the batch once"
    assert list(ris.batches) == [summary.batch_id]
    assert summary.accepted == 4


def test_a_run_that_died_before_the_answer_finishes_the_same_batch(month: Month) -> None:
    with faulty_ris(planned=["broken"] * 50) as ris:
        with pytest.raises(RisUnavailable):
            send_closures(month, "coordinator", client(ris))
    ((batch_id, _, state),) = batches()
    assert state == "prepared"
    # the proposal has changed since, the batch has not
    propose(1, 2, 3, 4, 5)
    with faulty_ris() as ris:
        summary = send_closures(month, "coordinator", client(ris))
    assert [body["batch_id"] for body in ris.bodies][0] == batch_id
    assert [len(body["items"]) for body in ris.bodies] == [4, 1]
    assert summary.accepted == 5


def test_an_answer_that_leaves_out_cases_is_not_taken(month: Month) -> None:
    with faulty_ris() as ris:
        ris.close = lambda key, body: {"batch_id": key, "accepted": ["case_1"], "rejected": []}  # type: ignore[method-assign]
        with pytest.raises(RisRefused, match="without 3 of its 4 cases"):
            send_closures(month, "coordinator", client(ris))
    assert {state for state, _ in items().values()} == {"sent"}


def test_text_that_is_no_code_does_not_enter_ops(month: Month) -> None:
    with faulty_ris(rejects={"case_1": "Mevrouw J. de Vries belde op 12 juni", "case_2": "Open callback"}) as ris:
        send_closures(month, "coordinator", client(ris))
    assert items()["case_1"] == ("rejected", "rejected_by_ris")
    assert items()["case_2"] == ("rejected", "open_callback")


def test_a_month_without_closable_cases_has_an_empty_batch(month: Month) -> None:
    propose()
    with faulty_ris() as ris:
        summary = send_closures(month, "coordinator", client(ris))
        assert send_closures(month, "coordinator", client(ris)) == summary
    assert (summary.items, ris.requests) == (0, [])
    assert batches() == [(summary.batch_id, 0, "acknowledged")]


def test_nothing_is_closed_without_approval(month: Month) -> None:
    record_approval(month, "closure", "later", "rejected", "coordinator", datetime(2024, 7, 2, 9, tzinfo=UTC))
    with faulty_ris() as ris, pytest.raises(NotApproved):
        send_closures(month, "coordinator", client(ris))
    assert ris.requests == []


# -- by file ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(month: Month, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VS_RIS_BY", "files")
    (warehouse / "inbox" / "ris").mkdir(parents=True, exist_ok=True)
    yield warehouse
    for file in [*warehouse.rglob("*.csv"), *warehouse.rglob("*.part")]:
        file.unlink()


def sent_rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))


def acknowledge(folders: Path, text: str, folder: str = "inbox/ris") -> None:
    (folders / folder / "ris_closures_202406_01_ack.csv").write_text(text, encoding="utf-8")


GOOD_ANSWER = "case_id,accepted,reason\ncase_1,true,\ncase_2,true,\ncase_3,false,open_followup\ncase_4,true,\n"


def test_by_file_the_batch_waits_for_its_answer(month: Month, folders: Path) -> None:
    for _ in range(2):
        with pytest.raises(AcknowledgementPending, match="ris_closures_202406_01_ack.csv"):
            send_closures(month, "coordinator")
    (file,) = (folders / "outbox" / "ris").iterdir()
    assert file.name == "ris_closures_202406_01.csv"
    assert [row["case_id"] for row in sent_rows(file)] == ["case_1", "case_2", "case_3", "case_4"]
    assert file.read_text(encoding="utf-8").splitlines()[0] == "case_id,ddas_result,reason,closed_on"
    assert [state for _, _, state in batches()] == ["sent"]


@pytest.mark.parametrize("folder", ["inbox/ris", "outbox/ris"])
def test_by_file_the_answer_is_stored_and_archived(month: Month, folders: Path, folder: str) -> None:
    with pytest.raises(AcknowledgementPending):
        send_closures(month, "coordinator")
    acknowledge(folders, GOOD_ANSWER, folder)
    summary = send_closures(month, "coordinator")
    assert (summary.accepted, summary.rejected) == (3, 1)
    assert items()["case_3"] == ("rejected", "open_followup")
    assert (folders / "archive" / "2024-06" / "ris_closures_202406_01_ack.csv").exists()
    assert send_closures(month, "coordinator") == summary
    assert len(list((folders / "outbox" / "ris").glob("*.csv"))) == 1


def test_by_file_the_batch_is_the_one_of_the_api(month: Month, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AcknowledgementPending):
        send_closures(month, "coordinator")
    ((by_file, _, _),) = batches()
    forget()
    record_approval(MONTH, "closure", "run", "approved", "coordinator", datetime(2024, 7, 1, 9, tzinfo=UTC))
    monkeypatch.setenv("VS_RIS_BY", "api")
    with faulty_ris() as ris:
        assert send_closures(month, "coordinator", client(ris)).batch_id == by_file


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("case;accepted\ncase_1;true\n", AcknowledgementUnreadable),
        (GOOD_ANSWER.replace("case_2,true", "case_2,perhaps"), AcknowledgementUnreadable),
        (GOOD_ANSWER.replace("case_2,true,\n", ""), RisRefused),
    ],
)
def test_by_file_a_bad_answer_is_not_taken(month: Month, folders: Path, answer: str, error: type[Exception]) -> None:
    with pytest.raises(AcknowledgementPending):
        send_closures(month, "coordinator")
    acknowledge(folders, answer)
    with pytest.raises(error):
        send_closures(month, "coordinator")
    assert {state for state, _ in items().values()} == {"sent"}
    acknowledge(folders, GOOD_ANSWER)
    assert send_closures(month, "coordinator").accepted == 3


def test_what_was_sent_cannot_be_forgotten(month: Month) -> None:
    with connect(Role.EXPORTER) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from ops.closure_items")
