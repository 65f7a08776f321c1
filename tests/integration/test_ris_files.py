"""RIS by files says the same as RIS by its API, and half a delivery is none."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.ingest.ris import collect_outcomes
from include.settings import Role
from include.warehouse.connection import connect
from tests.integration.faulty_ris import faulty_ris
from tests.integration.test_ris_api import MONTH, client, deliver_records, followup, forget, landed, outcome

OUTCOME_COLUMNS = (
    "outcome_id", "call_record_id", "case_id", "result_code", "result_at", "updated_at", "script_version",
    "callback_part_of_day", "callback_from", "callback_until", "callback_on", "situation_summary",
)  # fmt: skip
ATTEMPT_COLUMNS = (
    "outcome_id", "attempt_id", "attempt_no", "direction", "phone", "started_at", "ended_at", "reached",
    "attempt_result",
)  # fmt: skip
FOLLOWUP_COLUMNS = ("followup_id", "case_id", "kind", "started_on", "ended_on", "updated_at")
CALLBACK = {"part_of_day": "Avond", "from": "18:00", "until": "20:30", "on": "2024-06-14"}
OUTCOMES = [
    outcome(
        1,
        preferred_callback=CALLBACK,
        situation_summary='=Wil, graag; een "gesprek".\nMorgen.',
        result_code="help_accepted",
    ),
    outcome(2, script_version=None),
    outcome(3, attempts=[]),
    outcome(1, updated_at="2024-06-15T08:00:00Z", result_code="payment_arrangement"),
]
FOLLOWUPS = [followup(1), followup(2, ended_on="2024-07-01", updated_at="2024-07-01T10:00:00Z")]


@pytest.fixture
def inbox(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """inbox/ris of a platform without an API, with five call records of June handed over."""
    monkeypatch.setenv("VS_RIS_BY", "files")
    forget()
    inbox = warehouse / "inbox" / "ris"
    inbox.mkdir(parents=True, exist_ok=True)
    with connect(Role.LOADER) as connection:
        connection.execute("insert into ops.months (signal_month) values (%s)", (MONTH,))
    with connect(Role.EXPORTER) as connection:
        deliver_records(connection, 5)
    yield inbox
    forget()
    with connect(Role.ADMIN) as connection:
        connection.execute("delete from ops.deliveries")
    for file in [*inbox.iterdir(), *(warehouse / "archive").rglob("*.csv")]:
        file.unlink()


def write(inbox: Path, name: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row[column]) for column in columns])
    (inbox / name).write_text(text.getvalue(), encoding="utf-8")


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def write_outcomes(inbox: Path, outcomes: list[dict[str, Any]], sequence: int = 1) -> None:
    rows = []
    for item in outcomes:
        callback = item["preferred_callback"] or {}
        rows.append(item | {f"callback_{name}": callback.get(name) for name in ("part_of_day", "from", "until", "on")})
    write(inbox, f"ris_outcomes_202406_{sequence:02d}.csv", OUTCOME_COLUMNS, rows)


def write_attempts(inbox: Path, outcomes: list[dict[str, Any]], sequence: int = 1, *, versions: bool = False) -> None:
    rows = [
        {"outcome_id": item["outcome_id"], "updated_at": item["updated_at"], **attempt}
        for item in outcomes for attempt in item["attempts"]
    ]  # fmt: skip
    columns = (*ATTEMPT_COLUMNS, "updated_at") if versions else ATTEMPT_COLUMNS
    write(inbox, f"ris_attempts_202406_{sequence:02d}.csv", columns, rows)


def everything() -> list[list[tuple[Any, ...]]]:
    """What landing holds of RIS, without how it came."""
    return [
        landed(
            "outcome_id, updated_at, call_record_id, case_id, result_code, result_at, script_version, "
            "callback_part_of_day, callback_from, callback_until, callback_on, situation_summary"
        ),
        landed(
            "updated_at, attempt_id, outcome_id, attempt_no, direction, phone, started_at, ended_at, reached",
            "ris_attempts",
        ),
        landed("followup_id, updated_at, case_id, kind, started_on, ended_on", "ris_followups"),
    ]


def test_files_land_what_the_api_lands(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_outcomes(inbox, OUTCOMES)
    write_attempts(inbox, OUTCOMES, versions=True)
    write(inbox, "ris_followups_202406_01.csv", FOLLOWUP_COLUMNS, FOLLOWUPS)
    found = collect_outcomes()
    assert (found.new_outcomes, found.new_followups, found.rejected, found.files) == (4, 2, 0, 3)
    assert found.months == [MONTH]
    by_files = everything()
    assert [len(rows) for rows in by_files] == [4, 9, 2]
    with connect(Role.ADMIN) as connection:
        for table in ("ris_outcomes", "ris_attempts", "ris_followups"):
            connection.execute(f"delete from landing.{table}")
    monkeypatch.setenv("VS_RIS_BY", "api")
    with faulty_ris() as ris:
        ris.items = {"outcomes": list(OUTCOMES), "followups": list(FOLLOWUPS)}
        collect_outcomes(client(ris))
    for by_api, by_file in zip(everything(), by_files, strict=True):
        assert by_api == by_file


def test_a_delivery_is_read_when_both_its_files_are_there(inbox: Path) -> None:
    write_outcomes(inbox, OUTCOMES)
    assert collect_outcomes().files == 0
    write_attempts(inbox, [], sequence=2)
    assert collect_outcomes().files == 0
    write_attempts(inbox, OUTCOMES[:3])
    assert collect_outcomes().new_outcomes == 4


def test_attempts_without_a_version_belong_to_the_newest(inbox: Path) -> None:
    write_outcomes(inbox, OUTCOMES)
    write_attempts(inbox, OUTCOMES[:2])
    collect_outcomes()
    with connect(Role.LOADER) as connection:
        versions = connection.execute(
            "select distinct outcome_id, updated_at from landing.ris_attempts where outcome_id = %s "
            "except select outcome_id, max(updated_at) from landing.ris_outcomes group by 1",
            (OUTCOMES[0]["outcome_id"],),
        ).fetchall()
    assert versions == []
    assert len(landed("outcome_id, attempt_id", "ris_attempts")) == 6


def test_files_are_archived_and_reading_them_again_changes_nothing(inbox: Path, warehouse: Path) -> None:
    for _ in range(2):
        write_outcomes(inbox, OUTCOMES)
        write_attempts(inbox, OUTCOMES[:2])
        found = collect_outcomes()
    assert (found.files, found.new_outcomes) == (2, 0)
    assert list(inbox.iterdir()) == []
    archived = sorted(path.name for path in (warehouse / "archive" / MONTH).iterdir())
    assert len(archived) == 4, "a second file of the same name must not replace the first"
    with connect(Role.LOADER) as connection:
        rows = connection.execute("select contract, status, rows_in_file from ops.deliveries order by 1").fetchall()
    assert rows == [("ris_attempts-v1", "loaded", 6), ("ris_outcomes-v1", "loaded", 4)]


def test_a_bad_row_is_set_aside_with_its_reasons(inbox: Path) -> None:
    many = [outcome(n) for n in (1, 2, 3, 4, 5)] + [outcome(1, outcome_id=f"out_extra{n}") for n in range(20)]
    many[1] = many[1] | {"result_at": "yesterday", "case_id": None}
    write_outcomes(inbox, many)
    write_attempts(inbox, many)
    found = collect_outcomes()
    assert (found.new_outcomes, found.rejected) == (24, 1)
    ((item_id, reason),) = landed("item_id, reason", "ris_rejected_items")
    assert item_id == many[1]["outcome_id"]
    assert set(reason.split("+")) == {"result_at_invalid", "case_id_missing"}


def test_an_outcome_with_a_bad_attempt_is_set_aside_whole(inbox: Path) -> None:
    many = [outcome(1, outcome_id=f"out_{n}") for n in range(20)]
    many[0] = many[0] | {"attempts": [many[0]["attempts"][0] | {"direction": "sideways"}, many[0]["attempts"][1]]}
    write_outcomes(inbox, many)
    write_attempts(inbox, many)
    found = collect_outcomes()
    assert (found.new_outcomes, found.rejected) == (19, 1)
    assert landed("item_id, reason", "ris_rejected_items") == [("out_0", "attempts_invalid")]


def test_a_refused_file_keeps_its_companion_out_as_well(inbox: Path, warehouse: Path) -> None:
    write_outcomes(inbox, OUTCOMES)
    (inbox / "ris_attempts_202406_01.csv").write_text("something;else\n1;2\n", encoding="utf-8")
    found = collect_outcomes()
    assert (found.new_outcomes, found.files, found.files_refused) == (0, 2, 1)
    assert landed("outcome_id, updated_at") == []
    assert len(list((warehouse / "archive" / MONTH).iterdir())) == 2
    with connect(Role.LOADER) as connection:
        (row,) = connection.execute(
            "select contract, reason_code from ops.deliveries where status = 'rejected'"
        ).fetchall()
    assert row == ("ris_attempts-v1", "file_header")


def test_a_file_that_is_still_being_written_is_left_alone(inbox: Path) -> None:
    write_outcomes(inbox, OUTCOMES)
    write_attempts(inbox, OUTCOMES)
    (inbox / "ris_attempts_202406_01.csv").rename(inbox / "ris_attempts_202406_01.csv.part")
    assert collect_outcomes().files == 0
