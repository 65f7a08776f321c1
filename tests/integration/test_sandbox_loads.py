"""The sandbox's files against the contracts: what they say loads, and exactly the accidents are quarantined."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contracts.registry import load_contract
from include.ingest.reading import JudgedDelivery, read_delivery
from include.months import Month
from include.sandbox.administration import Administration, Entry
from include.sandbox.enrichment import Provider
from include.sandbox.partners import PARTNERS, Partner
from include.sandbox.population import Population
from include.sandbox.ris import Ris
from include.sandbox.ris_files import RisFiles
from include.sandbox.settings import SandboxSettings

CALL_LIST_HEADER = (
    "call_record_id;case_id;phone_1;phone_2;initials;name_prefix;surname;house_number;sectors;call_from;call_until;"
    "max_attempts;script_version"
)
MONTHS = Month.parse_range("2024-04..2024-06")


@pytest.fixture(autouse=True)
def _bsn_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "a key for this test")


def judged(partner: Partner, month: Month, settings: SandboxSettings) -> tuple[list[Entry], JudgedDelivery]:
    entries = Administration(Population(settings)).entries(month, partner.sector)
    content = partner.file(partner.columns, partner.rows(entries), month)
    return entries, read_delivery(load_contract(partner.name), partner.file_name(month), content)


@pytest.mark.parametrize("seed", [2711, 8])
def test_exactly_the_accidents_are_quarantined(seed: int) -> None:
    rows = quarantined = 0
    for partner in PARTNERS:
        for month in MONTHS:
            entries, verdict = judged(partner, month, SandboxSettings(seed=seed))
            assert verdict.rejection is None
            assert not verdict.warnings
            assert len(verdict.quarantined) == sum(entry.accident is not None for entry in entries)
            assert len(verdict.duplicates) == sum(entry.is_repeated for entry in entries)
            rows += verdict.rows_in_file
            quarantined += len(verdict.quarantined)
    assert 0.005 <= quarantined / rows <= 0.025


@pytest.mark.parametrize("partner", PARTNERS, ids=lambda partner: partner.name)
def test_without_dirt_what_is_read_is_what_was_meant(partner: Partner) -> None:
    entries, verdict = judged(partner, MONTHS[0], SandboxSettings(dirt=0))
    by_reference = {entry.reference: entry for entry in entries}
    assert len(verdict.rows) == len(entries) > 50
    for row in verdict.rows.to_dict("records"):
        entry = by_reference[row["partner_reference"]]
        address = entry.address
        assert row["postcode"] == address.postcode
        assert row["house_number"] == address.number
        found = f"{row['house_letter'] or ''}{row['house_number_addition'] or ''}"
        assert found.upper() == f"{address.letter}{address.addition}".upper()
        assert round(row["arrears_eur"] * 100) == entry.amount_cents
        assert str(row["arrears_since_on"]) == str(entry.since_on)
        assert str(row["signal_on"]) == str(entry.signal_on)
        assert (row["phone_1"] or "") == entry.phone


def test_answers_of_the_provider_load_without_loss(tmp_path: Path) -> None:
    header = (
        "request_id,initials,name_prefix,surname,birth_date,postcode,house_number,house_letter,house_number_addition"
    )
    asked = "\n".join([header, *(f"r{n},A.,,Onbekend,,2711AB,{n},," for n in range(200))])
    answer = Provider(SandboxSettings(), tmp_path, tmp_path).answer(asked.encode(), MONTHS[0])
    verdict = read_delivery(load_contract("enrichment_result"), "enrichment_result_202404_01.csv", answer)
    assert verdict.rejection is None
    assert len(verdict.quarantined) == 0
    assert len(verdict.rows) == verdict.rows_in_file >= 200


def test_ris_files_load_without_loss(tmp_path: Path) -> None:
    rows = [f"call_{n};case_{n};+31680{n:06d};;J.;;Voorbeeld;1;Zorg;2024-04-10;2024-04-30;7;v1" for n in range(120)]
    content = "\n".join([CALL_LIST_HEADER, *rows, ""]).encode()
    folder = tmp_path / "outbox" / "certin"
    folder.mkdir(parents=True)
    (folder / "certin_call_list_202404_01.csv").write_bytes(content)
    (folder / "certin_call_list_202404_01.manifest.json").write_text("{}", encoding="utf-8")
    written = RisFiles(Ris(SandboxSettings(), tmp_path, tmp_path / "state")).export(MONTHS[0])
    verdicts = {
        path.name[:-14]: read_delivery(load_contract(path.name[:-14]), path.name, path.read_bytes()) for path in written
    }
    assert sorted(verdicts) == ["ris_attempts", "ris_followups", "ris_outcomes"]
    for verdict in verdicts.values():
        assert verdict.rejection is None
        assert len(verdict.quarantined) == len(verdict.duplicates) == 0
    assert len(verdicts["ris_outcomes"].rows) == 120
    assert set(verdicts["ris_attempts"].rows["outcome_id"]) == set(verdicts["ris_outcomes"].rows["outcome_id"])
