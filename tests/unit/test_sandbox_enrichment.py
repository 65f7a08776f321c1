"""The enrichment provider: a bit more than half is found, the person before the address, once and always the same."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import pytest

from include.months import Month
from include.sandbox.administration import Administration
from include.sandbox.enrichment import RESULT_COLUMNS, Provider
from include.sandbox.partners import PARTNERS
from include.sandbox.population import Population
from include.sandbox.settings import SandboxSettings

JUNE = Month.parse("2024-06")
COLUMNS = (
    "request_id",
    "initials",
    "name_prefix",
    "surname",
    "birth_date",
    "postcode",
    "house_number",
    "house_letter",
    "house_number_addition",
)


def entries(settings: SandboxSettings) -> list:
    administration = Administration(Population(settings))
    found = [entry for partner in PARTNERS for entry in administration.entries(JUNE, partner.sector)]
    return list({entry.person.key: entry for entry in found if not entry.phone}.values())


def request(settings: SandboxSettings, ids: str = "request") -> bytes:
    """What the platform would ask about everybody without a number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, entry in enumerate(entries(settings)):
        address = entry.address
        name = (entry.initials, entry.surname.prefix, entry.surname.head, entry.birth_on or "")
        postcode = address.postcode.replace(" ", "").upper()
        writer.writerow([f"{ids}_{number}", *name, postcode, address.number, address.letter, address.addition])
    return text.getvalue().encode()


def answers(settings: SandboxSettings, asked: bytes, root: Path) -> list[dict[str, str]]:
    answer = Provider(settings, root, root / "state").answer(asked, JUNE)
    return list(csv.DictReader(io.StringIO(answer.decode())))


@pytest.mark.parametrize("seed", [2711, 4, 9])
def test_a_bit_more_than_half_is_found(seed: int, tmp_path: Path) -> None:
    settings = SandboxSettings(seed=seed)
    rows = answers(settings, request(settings), tmp_path)
    asked = {row["request_id"] for row in rows}
    found = {row["request_id"] for row in rows if row["phone"]}
    assert len(asked) == len(entries(settings)) > 120
    assert 0.47 <= len(found) / len(asked) <= 0.67


def test_an_answer_has_its_provenance_and_the_person_comes_first(tmp_path: Path) -> None:
    settings = SandboxSettings()
    rows = answers(settings, request(settings), tmp_path)
    assert tuple(rows[0]) == RESULT_COLUMNS
    levels: dict[str, list[str]] = {}
    for row in rows:
        if not row["phone"]:
            assert [row[name] for name in RESULT_COLUMNS[1:]] == [""] * 5
            continue
        assert row["phone"].startswith(("+3168", "+3179"))
        assert row["source"]
        assert row["matched_on"] == "2024-06-09"
        assert 0 < float(row["confidence"]) < 1
        levels.setdefault(row["request_id"], []).append(row["match_level"])
    assert all(sorted(each, reverse=True) == each for each in levels.values())
    count = Counter(each[0] for each in levels.values())
    assert count["person"] > 3 * count["address"] > 0
    assert any(len(each) == 2 for each in levels.values())
    by_level = {
        level: [float(row["confidence"]) for row in rows if row["match_level"] == level]
        for level in ("person", "address")
    }
    assert min(by_level["person"]) > max(by_level["address"])


def test_mostly_it_is_the_right_number_and_sometimes_a_housemates(tmp_path: Path) -> None:
    settings = SandboxSettings()
    asked = entries(settings)
    rows = [row for row in answers(settings, request(settings), tmp_path) if row["phone"]]
    own = {"person": Counter(), "address": Counter()}
    for row in rows:
        person = asked[int(row["request_id"].split("_")[1])].person
        own[row["match_level"]][row["phone"] in (person.mobile, person.landline)] += 1
    assert own["person"][True] / own["person"].total() > 0.95
    assert own["address"][False] > 0


def test_the_same_question_gets_the_same_answer_under_any_request_id(tmp_path: Path) -> None:
    settings = SandboxSettings()
    one = answers(settings, request(settings), tmp_path)
    other = answers(settings, request(settings, ids="another"), tmp_path)
    assert [{**row, "request_id": row["request_id"].replace("another", "request")} for row in other] == one


def test_people_the_directory_does_not_know_are_answered_too(tmp_path: Path) -> None:
    lines = [",".join(COLUMNS), *(f"r{n},A.,van,Onbekend{n},1980-01-01,1011AB,{n},," for n in range(1, 401))]
    rows = answers(SandboxSettings(), "\n".join(lines).encode(), tmp_path)
    found = [row for row in rows if row["phone"]]
    assert 0.5 <= len(found) / 400 <= 0.65
    assert {row["match_level"] for row in found} == {"address"}


def test_a_request_is_answered_once_also_when_the_answer_was_archived(tmp_path: Path) -> None:
    outbox = tmp_path / "outbox" / "enrichment"
    outbox.mkdir(parents=True)
    (outbox / "enrichment_request_202406_01.csv").write_bytes(request(SandboxSettings()))
    (outbox / "enrichment_request_202406_02.csv.part").write_bytes(b"half")
    (written,) = Provider(SandboxSettings(), tmp_path, tmp_path / "state").answer_all()
    assert written == tmp_path / "inbox" / "enrichment" / "enrichment_result_202406_01.csv"
    written.unlink()
    assert Provider(SandboxSettings(), tmp_path, tmp_path / "state").answer_all() == []
