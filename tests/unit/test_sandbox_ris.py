"""What RIS holds: from the lists lying there, complete under paging, the same by API and by files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest

from include.months import Month
from include.sandbox.ris import InvalidRequest, KeyReused, Ris
from include.sandbox.ris_files import RisFiles
from include.sandbox.settings import SandboxSettings

COLUMNS = (
    "call_record_id;case_id;phone_1;phone_2;initials;name_prefix;surname;house_number;sectors;call_from;call_until;"
    "max_attempts;script_version"
)


def put_list(root: Path, month: str, sequence: int, numbers: range, withdrawn: tuple[str, ...] = ()) -> Path:
    """A call list as Certin gets it, manifest last."""
    rows = [
        f"call_{month}_{n};case_{month}_{n};+31680{n:06d};;J.;van;Voorbeeld;1;Zorg|Water;{month}-10;{month}-28;7;v2"
        for n in numbers
    ]
    content = "\n".join([COLUMNS, *rows, ""]).encode()
    path = root / "outbox" / "certin" / f"certin_call_list_{month.replace('-', '')}_{sequence:02d}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    manifest = {
        "month": month,
        "sequence": sequence,
        "sha256": hashlib.sha256(content).hexdigest(),
        "withdrawn": list(withdrawn),
    }
    path.with_name(f"{path.stem}.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return path


def everything(ris: Ris, feed: str, since: str | None = None, limit: int = 37) -> list[dict]:
    items, cursor = [], None
    while True:
        page = ris.page(feed, since, cursor, limit)
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put_list(tmp_path, "2024-04", 1, range(200))
    put_list(tmp_path, "2024-05", 1, range(150))
    return tmp_path


def ris_of(root: Path, **settings) -> Ris:
    return Ris(SandboxSettings(**settings), root, root / "state")


def test_every_delivered_record_has_one_outcome_and_withdrawn_ones_have_none(root: Path) -> None:
    put_list(root, "2024-04", 2, range(200, 210), withdrawn=("call_2024-04_3", "call_2024-04_4"))
    records = [item["call_record_id"] for item in everything(ris_of(root), "outcomes")]
    expected = {f"call_2024-04_{n}" for n in range(210)} | {f"call_2024-05_{n}" for n in range(150)}
    assert len(records) == len(set(records))
    assert set(records) == expected - {"call_2024-04_3", "call_2024-04_4"}


def test_a_list_counts_only_when_it_is_whole(root: Path) -> None:
    path = put_list(root, "2024-06", 1, range(5))
    manifest = path.with_name(f"{path.stem}.manifest.json")
    text = manifest.read_text(encoding="utf-8")
    manifest.unlink()
    ris = ris_of(root)
    assert len(everything(ris, "outcomes")) == 350
    manifest.write_text(text.replace('"sha256": "', '"sha256": "0'), encoding="utf-8")
    assert len(everything(ris, "outcomes")) == 350
    manifest.write_text(text, encoding="utf-8")
    assert len(everything(ris, "outcomes")) == 355


def test_items_have_exactly_the_fields_of_the_interface(root: Path) -> None:
    ris = ris_of(root)
    outcomes, followups = everything(ris, "outcomes"), everything(ris, "followups")
    assert {tuple(item) for item in outcomes} == {
        ("outcome_id", "call_record_id", "case_id", "result_code", "result_at", "updated_at", "script_version",
         "preferred_callback", "situation_summary", "attempts")
    }  # fmt: skip
    assert {tuple(attempt) for item in outcomes for attempt in item["attempts"]} == {
        ("attempt_id", "attempt_no", "direction", "phone", "started_at", "ended_at", "reached", "attempt_result")
    }
    callbacks = [item["preferred_callback"] for item in outcomes if item["preferred_callback"]]
    assert {tuple(callback) for callback in callbacks} == {("part_of_day", "from", "until", "on")}
    assert {callback["part_of_day"] for callback in callbacks} == {"Ochtend", "Middag", "Avond"}
    assert {tuple(item) for item in followups} == {
        ("followup_id", "case_id", "kind", "started_on", "ended_on", "updated_at")
    }
    assert {item["script_version"] for item in outcomes} == {"v2"}
    assert all(item["updated_at"][:7] in ("2024-04", "2024-05") for item in outcomes + followups)
    assert len({attempt["attempt_id"] for item in outcomes for attempt in item["attempts"]}) == sum(
        len(item["attempts"]) for item in outcomes
    )


@pytest.mark.parametrize("limit", [1, 7, 100, 500])
def test_paging_shows_everything_once_in_order(root: Path, limit: int) -> None:
    ris = ris_of(root)
    items = everything(ris, "outcomes", limit=limit)
    assert [item["updated_at"] for item in items] == sorted(item["updated_at"] for item in items)
    assert len({item["outcome_id"] for item in items}) == len(items) == 350


def test_updated_since_takes_the_moment_itself_and_what_follows(root: Path) -> None:
    ris = ris_of(root)
    items = everything(ris, "outcomes")
    moment = items[100]["updated_at"]
    wanted = [item["outcome_id"] for item in items if item["updated_at"] >= moment]
    assert [item["outcome_id"] for item in everything(ris, "outcomes", since=moment)] == wanted
    with_offset = moment.replace("Z", "+00:00")
    assert [item["outcome_id"] for item in everything(ris, "outcomes", since=with_offset)] == wanted


def test_a_late_list_is_found_by_who_pulls_from_the_newest_moment_seen(root: Path) -> None:
    ris = ris_of(root)
    seen = everything(ris, "outcomes")
    newest = max(item["updated_at"] for item in seen)
    put_list(root, "2024-04", 2, range(200, 230))
    late = [
        item for item in everything(ris, "outcomes", since=newest) if item["call_record_id"].startswith("call_2024-04")
    ]
    assert len(late) == 30
    again = everything(ris_of(root), "outcomes")
    assert [item for item in again if item["updated_at"] > newest] == late
    assert [item for item in again if item["updated_at"] <= newest] == seen


def test_a_page_asked_while_the_feed_grows_loses_nothing(root: Path) -> None:
    ris = ris_of(root)
    first = ris.page("outcomes", None, None, 50)
    put_list(root, "2024-06", 1, range(40))
    rest, cursor = [], first.next_cursor
    while cursor:
        page = ris.page("outcomes", None, cursor, 50)
        rest, cursor = rest + page.items, page.next_cursor
    assert len({item["outcome_id"] for item in first.items + rest}) == 390


@pytest.mark.parametrize(
    ("limit", "cursor", "since"), [(0, None, None), (501, None, None), (10, "no cursor", None), (10, None, "June")]
)
def test_nonsense_is_refused(root: Path, limit: int, cursor: str | None, since: str | None) -> None:
    with pytest.raises(InvalidRequest):
        ris_of(root).page("outcomes", since, cursor, limit)


def batch(key: str, cases: range) -> bytes:
    items = [{"case_id": f"case_{n}", "ddas_result": "x", "reason": "y", "closed_on": "2024-05-01"} for n in cases]
    return json.dumps({"batch_id": key, "month": "2024-04", "items": items}).encode()


def test_the_same_key_gives_the_same_answer_also_after_a_restart(root: Path) -> None:
    answer = ris_of(root).close("batch_1", batch("batch_1", range(400)))
    assert ris_of(root).close("batch_1", batch("batch_1", range(400))) == answer
    with pytest.raises(KeyReused):
        ris_of(root).close("batch_1", batch("batch_1", range(399)))
    rejected = {item["case_id"] for item in answer["rejected"]}
    assert rejected | set(answer["accepted"]) == {f"case_{n}" for n in range(400)}
    assert 0 < len(rejected) <= 12
    assert {item["reason"] for item in answer["rejected"]} <= {"open_callback", "open_followup"}


def test_the_share_of_rejected_closures_can_be_set(root: Path) -> None:
    assert ris_of(root, closures_rejected=0.0).close("b", batch("b", range(300)))["rejected"] == []
    half = ris_of(root, closures_rejected=0.5).close("c", batch("c", range(300)))
    assert 110 < len(half["rejected"]) < 190


def test_by_files_it_says_what_the_api_says(root: Path) -> None:
    ris = ris_of(root)
    written = {path.name: path for path in RisFiles(ris).export(Month.parse("2024-04"))}
    assert sorted(written) == [
        "ris_attempts_202404_01.csv",
        "ris_followups_202404_01.csv",
        "ris_outcomes_202404_01.csv",
    ]
    rows = {name[:-14]: list(csv.DictReader(io.StringIO(path.read_text("utf-8")))) for name, path in written.items()}
    api = [item for item in everything(ris, "outcomes") if item["call_record_id"].startswith("call_2024-04")]
    attempts: dict[str, list[dict]] = {}
    for row in rows["ris_attempts"]:
        fields = {name: value for name, value in row.items() if name != "outcome_id"}
        fields |= {"attempt_no": int(row["attempt_no"]), "reached": row["reached"] == "true"}
        attempts.setdefault(row["outcome_id"], []).append(fields)
    by_file = []
    for row in rows["ris_outcomes"]:
        callback = {name: row.pop(f"callback_{name}") or None for name in ("part_of_day", "from", "until", "on")}
        by_file.append(
            row | {
                "preferred_callback": callback if callback["part_of_day"] else None,
                "situation_summary": row["situation_summary"] or None,
                "attempts": attempts[row["outcome_id"]],
            }
        )  # fmt: skip
    assert by_file == api
    followups = [item for item in everything(ris, "followups") if item["case_id"].startswith("case_2024-04")]
    assert [row | {"ended_on": row["ended_on"] or None} for row in rows["ris_followups"]] == followups


def test_the_same_export_is_written_once_and_another_gets_the_next_number(root: Path) -> None:
    april = Month.parse("2024-04")
    assert len(RisFiles(ris_of(root)).export(april)) == 3
    assert RisFiles(ris_of(root)).export(april) == []
    put_list(root, "2024-04", 2, range(200, 205))
    again = RisFiles(ris_of(root)).export(april)
    assert [path.name for path in again] == [
        "ris_attempts_202404_02.csv", "ris_followups_202404_02.csv", "ris_outcomes_202404_02.csv",
    ]  # fmt: skip
    assert RisFiles(ris_of(root)).export(Month.parse("2023-01")) == []


def test_a_closure_file_is_acknowledged_once_case_by_case(root: Path) -> None:
    ris = ris_of(root, closures_rejected=0.2)
    outbox = root / "outbox" / "ris"
    outbox.mkdir(parents=True)
    lines = ["case_id,ddas_result,reason,closed_on", *(f"case_{n},x,y,2024-05-01" for n in range(60))]
    (outbox / "ris_closures_202404_01.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (outbox / "ris_closures_202404_02.csv.part").write_text("half", encoding="utf-8")
    (path,) = RisFiles(ris).acknowledge()
    assert path == root / "inbox" / "ris" / "ris_closures_202404_01_ack.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert [row["case_id"] for row in rows] == [f"case_{n}" for n in range(60)]
    assert {row["accepted"] for row in rows} == {"true", "false"}
    assert all((row["accepted"] == "true") == (row["reason"] == "") for row in rows)
    by_api = ris.close("b", batch("b", range(60)))
    assert {row["case_id"] for row in rows if row["accepted"] == "true"} == set(by_api["accepted"])
    assert RisFiles(ris).acknowledge() == []


def test_under_faults_some_items_are_corrected_later_and_the_newest_is_the_truth(root: Path) -> None:
    plain = {item["outcome_id"]: item for item in everything(ris_of(root), "outcomes")}
    items = everything(ris_of(root, faults=0.3), "outcomes")
    newest = {item["outcome_id"]: item for item in sorted(items, key=lambda item: item["updated_at"])}
    assert newest == plain
    assert 5 <= len(items) - len(plain) <= 35


def newest(items: list[dict], key: str) -> dict[str, dict]:
    return {item[key]: item for item in sorted(items, key=lambda item: item["updated_at"])}


def test_what_ris_knows_late_it_says_once_the_month_is_over(tmp_path: Path) -> None:
    put_list(tmp_path, "2024-04", 1, range(300))
    told = {"late": 0.1, "corrected": 0.1}
    on_time, truth = newest(everything(ris_of(tmp_path), "outcomes"), "outcome_id"), ris_of(tmp_path, **told)
    during = newest(everything(truth, "outcomes"), "outcome_id")
    followups_during = everything(truth, "followups")
    late = on_time.keys() - during.keys()
    noted_otherwise = {key for key, item in during.items() if item["result_code"] != on_time[key]["result_code"]}
    assert len(late) > 10
    assert len(noted_otherwise) > 10
    assert max(item["updated_at"] for item in during.values()) < "2024-05-02"

    put_list(tmp_path, "2024-05", 1, range(10))
    again = ris_of(tmp_path, **told)
    afterwards = everything(again, "outcomes", since="2024-05-02T00:00:00Z")
    of_april = {item["outcome_id"]: item for item in afterwards if item["call_record_id"].startswith("call_2024-04")}
    assert of_april.keys() == late | noted_otherwise
    assert all("2024-05-03" <= item["updated_at"] < "2024-05-08" for item in of_april.values())
    assert {key: item["result_code"] for key, item in of_april.items()} == {
        key: on_time[key]["result_code"] for key in of_april
    }
    # whoever pulls everything ends with the same truth, corrections last
    everything_now = newest(everything(again, "outcomes"), "outcome_id")
    assert {key: everything_now[key]["result_code"] for key in on_time} == {
        key: item["result_code"] for key, item in on_time.items()
    }

    followups = newest(everything(again, "followups"), "followup_id")
    running = {item["followup_id"] for item in followups_during if item["ended_on"] is None}
    assert running
    assert all(followups[key]["ended_on"] >= "2024-05-03" for key in running)
    assert len(followups) > len(followups_during), "help that was accepted late is followed up late"
