"""A page of a contract tells a partner everything its contract and the platform know, and nothing about a person."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from include.contracts.pages import page_files
from include.contracts.registry import Contract, all_contracts
from include.contracts.versions import contracts_in
from include.ingest import booking, opening, reading
from include.ingest.readers import READERS
from include.ingest.reading import read_delivery
from include.months import Month
from include.settings import CONTRACTS_FOLDER

MONTH = Month(2024, 6)
PARTNERS = contracts_in(MONTH)
WORDS = yaml.safe_load((CONTRACTS_FOLDER / "partner_page.nl.yaml").read_text(encoding="utf-8"))


def page(contract: Contract) -> str:
    return page_files()[f"{contract.path.parent.name}/{contract.reference}.md"]


def test_every_contract_has_a_page_and_the_index_names_it() -> None:
    written = page_files()
    index = written["README.md"]
    contracts = [contract for contract in all_contracts() if contract.status == "active"]
    assert len(written) == len(contracts) + 1 >= 40
    for contract in contracts:
        assert f"({contract.path.parent.name}/{contract.reference}.md)" in index


def test_every_reader_has_words() -> None:
    assert set(WORDS["readers"]) == set(READERS)


def test_every_reason_code_of_files_and_rows_has_words() -> None:
    explained = set(WORDS["refused"]) | set(WORDS["set_aside"]) | set(WORDS["remarked"])
    codes = {
        value
        for module in (opening, reading, booking)
        for name, value in vars(module).items()
        if re.fullmatch(r"(FILE|COLUMN|ROW|REFERENCE)_[A-Z]+", name) and isinstance(value, str)
    }
    assert len(codes) >= 9
    assert codes == explained


@pytest.mark.parametrize("contract", PARTNERS, ids=lambda contract: contract.reference)
def test_a_page_of_a_partner_tells_it_all(contract: Contract) -> None:
    text = page(contract)
    for told in (
        contract.partner_name, contract.contact, contract.file_name(MONTH, 2),
        f"{contract.delivery_day}e", f"{contract.retention_months} maanden", contract.legal_ground,
        f"inbox/{contract.partner}/", f"outbox/partners/{contract.partner}/",
        "amount_not_positive", "reference_duplicate", "file_threshold",
    ):  # fmt: skip
        assert told in text, told
    rows = {line.split(" | ")[0].strip("| *"): line for line in text.splitlines() if line.startswith("| **")}
    for column in contract.columns:
        cells = [cell.strip() for cell in rows[column.label].strip("|").split(" | ")]
        assert len(cells) == 5, cells
        assert all(cells[:4]), f"{column.label} is not wholly described"
        assert (cells[2] == "**ja**") == column.is_required
    assert "None" not in text


@pytest.mark.parametrize("contract", [c for c in PARTNERS if c.format.kind == "csv"], ids=lambda c: c.reference)
def test_the_example_on_the_page_is_a_good_file(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "a key")
    sample = re.search(r"```csv\n(.*?)```", page(contract), re.S)
    assert sample
    judged = read_delivery(contract, contract.file_name(MONTH, 1), sample[1].encode())
    assert judged.rejection is None
    assert (len(judged.rows), len(judged.quarantined)) == (1, 0)
    assert judged.rows["flags"].tolist() == [()]


def test_links_between_pages_lead_somewhere() -> None:
    written = page_files()
    links = 0
    for path, text in written.items():
        for target in re.findall(r"\]\(([^)]+\.md)\)", text):
            links += 1
            assert os.path.normpath(Path(path).parent / target) in written, (path, target)
    assert links > 80
