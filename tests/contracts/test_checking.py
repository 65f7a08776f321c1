"""Everything that is wrong with a contract file is told at once: where, what stands there and what is expected."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contracts.checking import Problem, broken_contracts, errors_in, problems_in
from include.contracts.registry import all_contracts
from include.local.status import broken_contract_lines
from include.settings import CONTRACTS_FOLDER

DRINKWATER = CONTRACTS_FOLDER / "inbound" / "drinkwater_zh-v1.odcs.yaml"
COLUMN, OURS = "schema › signals › column", "customProperties"
Document = dict[str, Any]


@pytest.mark.parametrize("contract", all_contracts(), ids=lambda contract: contract.reference)
def test_nothing_is_wrong_with_our_own_contracts(contract) -> None:
    assert problems_in(contract.path) == ()


def option(item: Document, name: str) -> Document:
    return next(entry for entry in item["customProperties"] if entry["property"] == name)


def without(item: Document, name: str) -> None:
    item["customProperties"] = [entry for entry in item["customProperties"] if entry["property"] != name]


def column(document: Document, name: str) -> Document:
    return next(one for one in document["schema"][0]["properties"] if one["name"] == name)


def set_option(item: Document, name: str, value: Any) -> None:
    option(item, name)["value"] = value


BROKEN: dict[str, tuple[Callable[[Document], Any], str, str]] = {
    # what is done to the contract → the place that is named, a word of what is expected
    "no version": (lambda d: d.pop("version"), "version", "requires"),
    "an unknown name": (lambda d: d.update(retention=12), "retention", "customProperties"),
    "an unknown type": (
        lambda d: column(d, "saldo").update(logicalType="guilder"),
        f"{COLUMN} saldo › logicalType",
        "number",
    ),
    "a text for yes": (lambda d: column(d, "saldo").update(required="yes"), f"{COLUMN} saldo › required", "boolean"),
    "another id": (lambda d: d.update(id="water"), "id", "drinkwater_zh-v1"),
    "another major": (lambda d: d.update(version="2.0.0"), "version", "1.<minor>.<patch>"),
    "nobody answers": (lambda d: d["team"].pop("name"), "team › name", "who answers"),
    "no purpose": (lambda d: d["description"].pop("purpose"), "description › purpose", "why"),
    "no ground": (lambda d: without(d, "legalGround"), "customProperties › legalGround", "legal ground"),
    "no receiver": (lambda d: without(d, "consumer"), "customProperties › consumer", "receives"),
    "a day that is none": (lambda d: d["slaProperties"][0].update(value=32), "slaProperties › deliveryDay", "1 to 31"),
    "kept for ever": (lambda d: d["slaProperties"].pop(1), "slaProperties › retention", "months"),
    "no class": (lambda d: column(d, "tel").pop("classification"), f"{COLUMN} tel › classification", "confidential"),
    "an unknown class": (
        lambda d: column(d, "tel").update(classification="secret"),
        f"{COLUMN} tel › classification",
        "restricted",
    ),
    "no meaning": (lambda d: column(d, "tel").pop("description"), f"{COLUMN} tel › description", "means"),
    "a label twice": (lambda d: column(d, "tel").update(physicalName="saldo"), f"{COLUMN} saldo", "label of its own"),
    "an unknown format": (lambda d: set_option(d, "format", "pdf"), "customProperties › format", "xlsx"),
    "a long separator": (lambda d: set_option(d, "delimiter", "||"), "customProperties › delimiter", "one character"),
    "an unknown encoding": (lambda d: set_option(d, "encodings", ["utf-9"]), "customProperties › encodings", "cp1252"),
    "a share of ten": (
        lambda d: set_option(d, "quarantineThreshold", 10),
        "customProperties › quarantineThreshold",
        "0.1",
    ),
    "no month in the name": (
        lambda d: set_option(d, "fileName", "water.csv"),
        "customProperties › fileName",
        "<YYYYMM>",
    ),
    "the folder of another": (
        lambda d: set_option(d, "folder", "inbox/zorgplus"),
        "customProperties › folder",
        "inbox/drinkwater_zh",
    ),
    "the name of another": (
        lambda d: set_option(d, "partner", "zorgplus"),
        "customProperties › partner",
        "drinkwater_zh",
    ),
    "no sector": (lambda d: without(d, "sector"), "customProperties › sector", "Huur"),
    "a start that is no month": (
        lambda d: d["customProperties"].append({"property": "validFrom", "value": "July"}),
        "customProperties › validFrom",
        "2024-07",
    ),
    "an unknown reader": (
        lambda d: set_option(column(d, "saldo"), "reader", "amont"),
        f"{COLUMN} saldo › {OURS} › reader",
        "perhaps amount",
    ),
    "an unknown notation": (
        lambda d: set_option(column(d, "saldo"), "notation", "us"),
        f"{COLUMN} saldo › {OURS} › reader",
        "nl or point",
    ),
    "an unknown date format": (
        lambda d: set_option(column(d, "datum"), "formats", ["mm/dd/yy"]),
        f"{COLUMN} datum › {OURS} › reader",
        "dd/mm/jjjj",
    ),
    "an unknown field": (
        lambda d: set_option(column(d, "saldo"), "fills", "arrears_eurs"),
        f"{COLUMN} saldo › {OURS} › fills",
        "perhaps arrears_eur",
    ),
    "a reader that does not make the field": (
        lambda d: set_option(column(d, "adres"), "fills", ["postcode"]),
        f"{COLUMN} adres › {OURS} › fills",
        "house_number",
    ),
    "a text for a date": (
        lambda d: set_option(column(d, "datum"), "reader", "text"),
        f"{COLUMN} datum › {OURS} › reader",
        "date",
    ),
    "a BSN that is not hashed": (
        lambda d: set_option(column(d, "aansluitnummer"), "fills", "bsn_key"),
        f"{COLUMN} aansluitnummer › {OURS} › reader",
        "bsn",
    ),
    "a field nobody fills": (
        lambda d: d["schema"][0]["properties"].remove(column(d, "datum")),
        "schema › signals",
        "signals-v1 requires it",
    ),
    "an unknown landing": (lambda d: set_option(d, "landsIn", "signals-v9"), "the contract", "can be read"),
}


def written(document: Document, folder: Path) -> Path:
    path = folder / DRINKWATER.name
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("what", BROKEN)
def test_a_problem_is_told_with_its_place(what: str, tmp_path: Path) -> None:
    breaks, place, expected = BROKEN[what]
    document = yaml.safe_load(DRINKWATER.read_text(encoding="utf-8"))
    breaks(document)
    found = errors_in(written(document, tmp_path))
    assert [problem for problem in found if problem.place == place and expected in problem.expected], found
    assert all(problem.line for problem in found)


def test_all_problems_are_told_at_once_and_where_they_stand(tmp_path: Path) -> None:
    text = DRINKWATER.read_text(encoding="utf-8")
    text = text.replace("property: sector,", "property: sectr,").replace("reader, value: amount", "reader, value: geld")
    text = text.replace("logicalType: date", "logicalType: day", 1)
    path = tmp_path / DRINKWATER.name
    path.write_text(text, encoding="utf-8")
    lines = text.splitlines()
    found = problems_in(path)
    told = {problem.place: problem for problem in found}
    assert "sectr" in lines[_line(told, "customProperties › sectr") - 1]
    assert "geld" in lines[_line(told, f"{COLUMN} saldo › {OURS} › reader") - 1]
    assert "logicalType: day" in lines[_line(told, f"{COLUMN} oudste_vervaldatum › logicalType") - 1]
    assert [(problem.place, problem.is_advice) for problem in found] == [
        ("customProperties › sector", False),
        (f"{COLUMN} saldo › {OURS} › reader", False),
        (f"{COLUMN} oudste_vervaldatum › logicalType", False),
        ("customProperties › sectr", True),
    ]


def _line(told: dict[str, Problem], place: str) -> int:
    line = told[place].line
    assert line
    return line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id: [", "is not YAML on line"),
        ("", "no contract"),
        ("- a list", "no contract"),
        ("a: 1", "requires"),
        ("schema: 5\nid: drinkwater_zh-v1\nkind: DataContract", "array"),
        ("schema: [{name: signals, properties: [5]}]", "object"),
    ],
)
def test_a_file_that_is_no_contract_at_all(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / DRINKWATER.name
    path.write_text(text, encoding="utf-8")
    assert says in " ".join(map(str, errors_in(path)))


def test_a_file_in_latin_1_and_one_with_a_wrong_name(tmp_path: Path) -> None:
    path = tmp_path / DRINKWATER.name
    path.write_bytes("name: café".encode("latin-1"))
    assert "is not written in UTF-8" in str(errors_in(path)[0])
    wrong = tmp_path / "Drink Water.yaml"
    shutil.copy(DRINKWATER, wrong)
    assert "<name>-v<number>.odcs.yaml" in str(errors_in(wrong)[0])


def test_broken_contracts_are_those_with_an_error_and_those_nobody_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONTRACTS_FOLDER, tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setenv("VS_CONTRACTS", str(tmp_path / "contracts"))
    assert broken_contracts() == []
    inbound = tmp_path / "contracts" / "inbound"
    document = yaml.safe_load(DRINKWATER.read_text(encoding="utf-8"))
    set_option(column(document, "saldo"), "reader", "money")
    written(document, inbound)
    for name in ("ris_outcomes", "zorgplus"):
        file = inbound / f"{name}-v1.odcs.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace("status:", "status: ["), encoding="utf-8")
    assert [(broken.path.name, broken.partner) for broken in broken_contracts()] == [
        ("drinkwater_zh-v1.odcs.yaml", "drinkwater_zh"),
        ("ris_outcomes-v1.odcs.yaml", None),
        ("zorgplus-v1.odcs.yaml", "zorgplus"),
    ]
    assert all(broken.problems for broken in broken_contracts())
    lines = broken_contract_lines()
    assert len(lines) == 3
    assert lines[0].startswith("contract drinkwater_zh-v1.odcs.yaml is not used: 1 problem(s); vs contract check ")
