"""Closures of a closed month: only an approved restatement sends anything, and only what could not be closed before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from include.exchange.ris import RisClient, RisConnection
from include.months import Month
from include.outbound.approvals import record_approval
from include.outbound.ris_closures import (
    AcknowledgementPending,
    collect_late_acknowledgements,
    send_closures,
    send_closures_in_time,
)
from include.settings import Role
from include.warehouse.closure_ledger import month_is_closed
from include.warehouse.connection import connect
from include.warehouse.restatements import propose_restatement, request_restatement
from tests.integration.faulty_ris import FaultyRis, faulty_ris
from tests.integration.outbound_tables import create_outbound_tables, fill

WHEN = datetime(2024, 7, 1, 9, tzinfo=UTC)
_months = iter(range(1, 100))


@pytest.fixture
def month(warehouse: Path) -> Iterator[Month]:
    """A month of its own for each test (the ledger cannot be emptied), approved, with three cases to close."""
    create_outbound_tables()
    month = Month(2024, 1).plus(next(_months))
    record_approval(month, "closure", "run", "approved", "coordinator", WHEN)
    propose(month, 1, 2, 3)
    yield month
    for file in [*warehouse.rglob("*.csv"), *warehouse.rglob("*.part")]:
        file.unlink()


def case(month: Month, number: int) -> str:
    return f"case_{month}_{number}"


def propose(month: Month, *numbers: int, reason: str = "not_reached") -> None:
    rows = [
        {
            "case_id": case(month, number), "ddas_result": "Definitief geen contact kunnen krijgen", "reason": reason,
            "closed_on": date(2024, 7, 1),
        }
        for number in numbers
    ]  # fmt: skip
    fill("out_ris_closures", str(month), rows)


def client(ris: FaultyRis) -> RisClient:
    return RisClient(connection_source=lambda: RisConnection(ris.url, "valid-token"), sleep=lambda seconds: None)


def freeze(month: Month, version: int = 1) -> None:
    """The ledger row of a version, as close_month adds it."""
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
            " cases_open, cases_excluded, arrears_closed_eur, content_hash)"
            " values (%s, %s, 'b', 'c', 0, 0, 0, 0, 0, 'h')",
            (str(month), version),
        )


def approve_restatement(month: Month) -> None:
    request_restatement(month, "asked for by the test")
    propose_restatement(month)
    record_approval(month, "restatement", "later run", "approved", "coordinator", WHEN)


def states(month: Month) -> dict[str, str]:
    with connect(Role.EXPORTER) as connection:
        return dict(
            connection.execute(
                "select case_id, state from ops.closure_items where signal_month = %s", (str(month),)
            ).fetchall()
        )


def test_a_closed_month_sends_nothing_until_its_restatement_is_approved(month: Month) -> None:
    with faulty_ris() as ris:
        send_closures(month, "coordinator", client(ris))
        freeze(month)
        propose(month, 1, 2, 3, 4)
        send_closures(month, "coordinator", client(ris))
        request_restatement(month, "asked for by the test")
        propose_restatement(month)
        send_closures(month, "coordinator", client(ris))
        assert len(ris.bodies) == 1
        record_approval(month, "restatement", "run", "approved", "coordinator", WHEN)
        summary = send_closures(month, "coordinator", client(ris))
        assert [item["case_id"] for item in ris.bodies[1]["items"]] == [case(month, 4)]
        assert send_closures(month, "coordinator", client(ris)) == summary
    assert (summary.version, summary.accepted, summary.rejected) == (2, 4, 0)
    assert len(ris.requests) == 2


def test_a_reopened_case_can_be_sent_again(month: Month) -> None:
    with faulty_ris() as ris:
        send_closures(month, "coordinator", client(ris))
        freeze(month)
        with connect(Role.EXPORTER) as connection:
            connection.execute(
                "update ops.closure_items set reopened_in_version = 2 where case_id = %s", (case(month, 2),)
            )
        freeze(month, version=2)
        approve_restatement(month)
        propose(month, 1, 2, 3, reason="followup_ended")
        summary = send_closures(month, "coordinator", client(ris))
        assert [item["case_id"] for item in ris.bodies[1]["items"]] == [case(month, 2)]
    assert (summary.version, summary.accepted) == (3, 3)


def test_a_version_without_closable_cases_has_its_empty_batch(month: Month) -> None:
    with faulty_ris() as ris:
        first = send_closures(month, "coordinator", client(ris))
        freeze(month)
        approve_restatement(month)
        summary = send_closures(month, "coordinator", client(ris))
        assert len(ris.requests) == 1
    assert summary.version == 2
    assert summary.batch_id != first.batch_id


def test_a_month_does_not_wait_for_an_answer_for_ever(
    month: Month, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VS_RIS_BY", "files")
    with pytest.raises(AcknowledgementPending):
        send_closures_in_time(month, "coordinator")
    assert collect_late_acknowledgements() == [], "an open month waits by itself"
    monkeypatch.setenv("VS_ACKNOWLEDGEMENT_WAIT_HOURS", "0")
    summary = send_closures_in_time(month, "coordinator")
    assert (summary.unanswered, summary.accepted, summary.items) == (3, 0, 3)

    freeze(month)
    assert collect_late_acknowledgements() == []
    # a later version does not send these cases once more, and does not wait for them
    approve_restatement(month)
    assert send_closures(month, "coordinator").version == 2
    lines = [f"{case(month, 1)},true,", f"{case(month, 2)},false,open_followup", f"{case(month, 3)},true,", ""]
    answer = warehouse / "inbox" / "ris" / f"ris_closures_{month.compact}_01_ack.csv"
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.write_text("\n".join(["case_id,accepted,reason", *lines]), encoding="utf-8")
    assert collect_late_acknowledgements() == [str(month)]
    assert states(month) == {case(month, 1): "accepted", case(month, 2): "rejected", case(month, 3): "accepted"}
    assert len(list((warehouse / "outbox" / "ris").glob("ris_closures_*.csv"))) == 1, "the batch was not sent again"
    assert collect_late_acknowledgements() == []
    assert month_is_closed(month)
