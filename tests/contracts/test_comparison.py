"""Every kind of change to a contract, done once, with the class it has when the data comes in and when it goes out.

B breaking · C compatible · D documentation · . cannot happen in that direction
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from include.contracts.comparison import CHANGES, Direction, Level, compare, direction_of, heaviest
from include.contracts.registry import all_contracts
from include.settings import CONTRACTS_FOLDER

Document = dict[str, Any]
CLASS = {"B": Level.BREAKING, "C": Level.COMPATIBLE, "D": Level.DOCUMENTATION}

BASE = """
apiVersion: v3.1.0
kind: DataContract
id: exchange-v1
name: An exchange
version: 1.0.0
status: active
domain: vroegsignalering
description: {purpose: Why., usage: How., limitations: What not.}
team: {name: Somebody}
support: [{channel: mail, url: "mailto:somebody@example"}]
roles: [{role: bi_reader, access: read}, {role: vs_exporter, access: read}]
slaProperties:
  - {property: deliveryDay, value: 8, unit: d, description: End of day.}
  - {property: retention, value: 12, unit: months}
  - {property: frequency, value: 1, unit: month}
customProperties:
  - {property: exchange, value: partner_delivery}
  - {property: partner, value: exchange}
  - {property: partnerName, value: The Exchange}
  - {property: sector, value: Zorg}
  - {property: consumer, value: Gemeente}
  - {property: legalGround, value: Wgs art. 3}
  - {property: landsIn, value: signals-v1}
  - {property: folder, value: inbox/exchange}
  - {property: fileName, value: "exchange_<YYYYMM>.csv"}
  - {property: format, value: csv}
  - {property: delimiter, value: ";"}
  - {property: encodings, value: [utf-8, cp1252]}
  - {property: sheet, value: One}
  - {property: titleRows, value: 2}
  - {property: maxFileMegabytes, value: 64}
  - {property: quarantineThreshold, value: 0.1}
  - {property: manifest, value: true}
  - {property: validFrom, value: 2024-06}
schema:
  - name: rows
    physicalName: Rows
    physicalType: file
    logicalType: object
    description: The rows.
    dataGranularityDescription: One signal.
    customProperties: [{property: gate, value: G1}]
    properties:
      - name: reference
        physicalName: Referentie
        logicalType: string
        primaryKey: true
        primaryKeyPosition: 1
        required: true
        classification: internal
        description: The number.
        customProperties: [{property: fills, value: partner_reference}, {property: reasonName, value: reference}]
      - name: amount
        physicalName: Bedrag
        logicalType: integer
        physicalType: integer
        classification: confidential
        description: The amount.
        logicalTypeOptions: {minimum: 0, maximum: 100, maxLength: 5, pattern: "[0-9]+"}
        customProperties:
          - {property: reader, value: amount}
          - {property: fills, value: [arrears_eur, amount]}
          - {property: notation, value: nl}
          - {property: whenEmpty, value: 0}
          - {property: mayBeAbsent, value: true}
      - name: gender
        physicalName: Geslacht
        logicalType: string
        unique: true
        classification: confidential
        description: The gender.
        customProperties:
          - {property: codes, value: {M: M, V: V}}
          - {property: formats, value: [dd-mm-jjjj, jjjjmmdd]}
          - {property: whenInvalid, value: flag}
        quality:
          - {name: known, type: library, metric: invalidValues, arguments: {validValues: [M, V]}, mustBe: 0,
             severity: critical, description: Known genders., dimension: conformity}
      - name: note
        logicalType: string
        classification: internal
        description: A note.
        customProperties: [{property: fills, value: []}]
    quality:
      - {name: once, type: library, metric: duplicateValues, mustBe: 0, severity: critical, description: Once.}
      - {name: few, type: library, metric: rowCount, mustBeGreaterThan: 0, severity: warning, description: Some.}
"""


@dataclass(frozen=True)
class Case:
    """What is done, which kind of change that is, and its class inbound and outbound."""

    kind: str
    classes: str
    change: Callable[[Document], Any]

    def __str__(self) -> str:
        return self.kind


def column(document: Document, name: str) -> Document:
    return next(one for one in document["schema"][0]["properties"] if one["name"] == name)


def entry(item: Document, name: str, within: str = "customProperties") -> Document:
    return next(one for one in item[within] if one["property"] == name)


def option(name: str, value: Any, of: str | None = None) -> Callable[[Document], Any]:
    def change(document: Document) -> None:
        item = column(document, of) if of else document
        item["customProperties"] = [one for one in item["customProperties"] if one["property"] != name]
        if value is not None:
            item["customProperties"].append({"property": name, "value": value})

    return change


def sla(name: str, value: Any) -> Callable[[Document], Any]:
    return lambda d: entry(d, name, "slaProperties").update(value=value)


def of_column(of: str, **parts: Any) -> Callable[[Document], Any]:
    return lambda d: column(d, of).update(parts)


def bounds(**options: Any) -> Callable[[Document], Any]:
    return lambda d: column(d, "amount")["logicalTypeOptions"].update(options)


def rule(name: str, **parts: Any) -> Callable[[Document], Any]:
    return lambda d: next(one for one in d["schema"][0]["quality"] if one["name"] == name).update(parts)


def known(**parts: Any) -> Callable[[Document], Any]:
    return lambda d: column(d, "gender")["quality"][0].update(parts)


def new_column(name: str, at: int, **parts: Any) -> Callable[[Document], Any]:
    made = {"name": name, "logicalType": "string", "classification": "internal", "description": "New."} | parts
    return lambda d: d["schema"][0]["properties"].insert(at, made)


def remove(name: str) -> Callable[[Document], Any]:
    return lambda d: d["schema"][0]["properties"].remove(column(d, name))


def table(document: Document) -> Document:
    return document["schema"][0]


def as_table(change: Callable[[Document], Any]) -> Callable[[Document], Any]:
    """The change in a table, where it has to be there before too: see `test_the_class_of_a_change`."""
    change.on_table = True  # type: ignore[attr-defined]
    return change


MAY_BE_ABSENT = [{"property": "mayBeAbsent", "value": True}]
CASES = (
    # columns
    Case("column_removed", "BB", remove("gender")),
    Case("column_not_kept", "CB", remove("note")),
    Case("column_added", "BC", new_column("new", 4)),
    Case("column_added_optional", "C.", new_column("new", 4, customProperties=MAY_BE_ABSENT)),
    Case("column_added_between", ".B", new_column("new", 1)),
    Case("columns_reordered", "CB", lambda d: table(d)["properties"].reverse()),
    Case("columns_rearranged", "CC", as_table(lambda d: table(d)["properties"].reverse())),
    Case("label_changed", "BB", of_column("amount", physicalName="Saldo")),
    Case("label_changed", "BB", lambda d: column(d, "amount").pop("physicalName")),
    Case("label_changed", ".B", of_column("amount", physicalName="BEDRAG")),
    Case("name_changed", "CC", of_column("amount", name="arrears")),
    Case("type_changed", "BB", of_column("amount", logicalType="string")),
    Case("type_widened", "CB", of_column("amount", logicalType="number")),
    Case("stored_type_changed", "CB", of_column("amount", physicalType="bigint")),
    Case("nullability_tightened", "BC", of_column("amount", required=True)),
    Case("nullability_loosened", "CB", of_column("reference", required=False)),
    Case("nullability_loosened", "CB", lambda d: column(d, "reference").pop("required")),
    Case("absence_refused", "BB", option("mayBeAbsent", None, "amount")),
    Case("absence_allowed", "CB", option("mayBeAbsent", True, "gender")),
    Case("key_changed", "BB", of_column("amount", primaryKey=True)),
    Case("key_changed", "BB", of_column("reference", primaryKey=False)),
    Case("key_changed", "BB", of_column("reference", primaryKeyPosition=2)),
    Case("uniqueness_demanded", "BC", of_column("amount", unique=True)),
    Case("uniqueness_dropped", "CB", of_column("gender", unique=False)),
    Case("value_added", "CB", option("codes", {"M": "M", "V": "V", "X": "O"}, "gender")),
    Case("value_added", "CB", known(arguments={"validValues": ["M", "V", "O"]})),
    Case("value_added", "CB", option("trueWhen", ["J", "Ja", "Y"], "amount")),
    Case("value_removed", "BC", option("codes", {"M": "M"}, "gender")),
    Case("value_removed", "BC", known(arguments={"validValues": ["M"]})),
    Case("value_means_other", "BB", option("codes", {"M": "V", "V": "M"}, "gender")),
    Case("bound_narrowed", "BC", bounds(maxLength=4)),
    Case("bound_narrowed", "BC", bounds(minimum=1)),
    Case("bound_narrowed", "BC", option("maximum", 5, "amount")),
    Case("bound_widened", "CB", bounds(maximum=101)),
    Case("bound_widened", "CB", lambda d: column(d, "amount")["logicalTypeOptions"].pop("maxLength")),
    Case("pattern_changed", "BB", bounds(pattern="[0-9]*")),
    Case("format_refused", "BB", option("formats", ["dd-mm-jjjj"], "gender")),
    Case("format_accepted", "CB", option("formats", ["dd-mm-jjjj", "jjjjmmdd", "excel"], "gender")),
    Case("reading_changed", "BB", option("reader", "decimal", "amount")),
    Case("reading_changed", "BB", option("notation", "point", "amount")),
    Case("field_unfilled", "BB", option("fills", "arrears_eur", "amount")),
    Case("field_filled", "CC", option("fills", ["arrears_eur", "amount", "other"], "amount")),
    Case("field_filled", "C.", option("fills", None, "note")),
    Case("default_changed", "BB", option("whenEmpty", 1, "amount")),
    Case("faults_quarantine_now", "BC", option("whenInvalid", None, "gender")),
    Case("faults_are_flagged_now", "CB", option("whenInvalid", "flag", "amount")),
    Case("reason_renamed", "BB", option("reasonName", "number", "reference")),
    # classification
    Case("classification_raised", "CB", of_column("amount", classification="restricted")),
    Case("classification_lowered", "BB", of_column("amount", classification="internal")),
    # tables and sheets
    Case("table_removed", "BB", lambda d: d["schema"].pop(1)),
    Case("table_added", "BC", lambda d: d["schema"].append({"name": "third", "properties": []})),
    Case("table_label_changed", "BB", lambda d: table(d).update(physicalName="Other rows")),
    Case("table_kind_changed", "BB", lambda d: table(d).update(physicalType="view")),
    # quality
    Case("rule_added", "BC", lambda d: table(d)["quality"].append({"name": "new", "severity": "critical"})),
    Case("rule_added", "BC", rule("few", severity="critical")),
    Case("rule_removed", "CB", lambda d: table(d)["quality"].pop(0)),
    Case("rule_removed", "CB", rule("once", severity="warning")),
    Case("rule_changed", "BB", rule("once", mustBe=1)),
    Case("rule_changed", "BB", known(metric="missingValues")),
    Case("warning_added", "CC", lambda d: table(d)["quality"].append({"name": "new", "severity": "info"})),
    Case("warning_removed", "CC", lambda d: table(d)["quality"].pop(1)),
    Case("warning_changed", "CC", rule("few", mustBeGreaterThan=1)),
    # the file
    Case("file_name_changed", "BB", option("fileName", "signals_<YYYYMM>.csv")),
    Case("folder_changed", "BB", option("folder", "inbox/other")),
    Case("file_format_changed", "BB", option("format", "xlsx")),
    Case("delimiter_changed", "BB", option("delimiter", ",")),
    Case("delimiter_changed", "BB", option("delimiter", None)),
    Case("encoding_refused", "BB", option("encodings", ["utf-8"])),
    Case("encoding_accepted", "CB", option("encodings", ["utf-8", "cp1252", "latin-1"])),
    Case("sheet_changed", "BB", option("sheet", "Two")),
    Case("layout_changed", "BB", option("titleRows", None)),
    Case("layout_changed", "BB", option("totalRowLabel", "Totaal")),
    Case("size_lowered", "BC", option("maxFileMegabytes", 32)),
    Case("size_raised", "CB", option("maxFileMegabytes", 512)),
    Case("manifest_changed", "BB", option("manifest", None)),
    Case("companion_changed", "BB", option("accompanies", "other-v1")),
    Case("interface_changed", "BB", option("api", "GET /other")),
    Case("standard_changed", "BB", option("standard", "DDAS v1.3")),
    Case("language_changed", "BB", option("language", "nl")),
    # promises
    Case("threshold_lowered", "BC", option("quarantineThreshold", 0.05)),
    Case("threshold_raised", "CB", option("quarantineThreshold", 0.2)),
    Case("delivery_day_earlier", "BC", sla("deliveryDay", 5)),
    Case("delivery_day_later", "CB", sla("deliveryDay", 9)),
    Case("kept_longer", "BC", sla("retention", 24)),
    Case("kept_shorter", "CB", sla("retention", 6)),
    Case("promise_added", "CC", lambda d: d["slaProperties"].append({"property": "latency", "value": 1})),
    Case("promise_removed", "CB", lambda d: d["slaProperties"].pop(2)),
    Case("promise_changed", "BB", sla("frequency", 2)),
    Case("promise_changed", "BB", lambda d: entry(d, "retention", "slaProperties").update(unit="years")),
    Case("reader_added", "CC", lambda d: d["roles"].append({"role": "vs_loader", "access": "read"})),
    Case("reader_removed", "CB", lambda d: d["roles"].pop()),
    Case("ground_changed", "CC", option("legalGround", "Wgs art. 8")),
    Case("ground_changed", "CC", option("consumer", "GGD")),
    Case("version_begins_later", "BB", option("validFrom", "2024-07")),
    Case("version_begins_earlier", "CC", option("validFrom", None)),
    Case("version_ends", "CC", option("validTo", "2024-12")),
    Case("status_changed", "CC", lambda d: d.update(status="deprecated")),
    # what it lands in, who delivers
    Case("sender_changed", "BB", option("partner", "other")),
    Case("sector_changed", "BB", option("sector", "Huur")),
    Case("landing_changed", "BB", option("landsIn", "signals-v2")),
    # the rest
    Case("text_changed", "DD", lambda d: d["description"].update(purpose="Other words.")),
    Case("text_changed", "DD", of_column("amount", description="Other words.")),
    Case("text_changed", "DD", of_column("amount", examples=["5"])),
    Case("text_changed", "DD", rule("once", description="Other words.")),
    Case("text_changed", "DD", option("partnerName", "Exchange BV")),
    Case("text_changed", "DD", option("purposeNl", "Waarom.")),
    Case("text_changed", "DD", option("labelNl", "Bedrag", "amount")),
    Case("text_changed", "DD", lambda d: d["team"].update(name="Somebody else")),
    Case("text_changed", "DD", lambda d: entry(d, "deliveryDay", "slaProperties").update(description="Noon.")),
    Case("text_changed", "DD", lambda d: table(d).update(dataGranularityDescription="One row.")),
    Case("work_changed", "DD", lambda d: table(d).update(customProperties=[{"property": "gate", "value": "G2"}])),
    Case("unclassified", "BB", option("horoscope", "Leo")),
    Case("unclassified", "BB", lambda d: d.update(servers=[{"server": "other"}])),
    Case("unclassified", "BB", of_column("amount", transformLogic="x * 2")),
)


def base(direction: Direction) -> Document:
    document = yaml.safe_load(BASE)
    document["schema"].append({"name": "second", "properties": []})
    kind = "partner_delivery" if direction is Direction.INBOUND else "outbound"
    entry(document, "exchange")["value"] = kind
    return document


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_class_of_a_change(case: Case, direction: Direction) -> None:
    old = base(direction)
    if getattr(case.change, "on_table", False):
        table(old)["physicalType"] = "table"
    new = copy.deepcopy(old)
    case.change(new)
    changes = compare(old, new)
    expected = case.classes[0 if direction is Direction.INBOUND else 1]
    if expected == ".":
        assert case.kind not in {change.kind for change in changes}
        return
    assert [(change.kind, change.level) for change in changes] == [(case.kind, CLASS[expected])], changes
    assert changes[0].place
    assert changes[0].whom in ({"sender", "us", "sender and us"} if direction is Direction.INBOUND else {"reader"})
    assert heaviest(changes) is CLASS[expected]


def test_every_kind_of_change_has_a_case_in_each_direction_it_can_happen_in() -> None:
    assert {case.kind for case in CASES} == set(CHANGES)
    assert len(CASES) > 100


@pytest.mark.parametrize("contract", all_contracts(), ids=lambda contract: contract.reference)
def test_a_contract_is_no_change_from_itself_and_knows_its_direction(contract) -> None:
    document = yaml.safe_load(contract.path.read_text(encoding="utf-8"))
    assert compare(document, copy.deepcopy(document)) == []
    wanted = Direction.INBOUND if contract.path.parent.name == "inbound" else Direction.OUTBOUND
    assert direction_of(document) is wanted


def test_nothing_in_our_contracts_is_unclassified() -> None:
    """Each part of each contract taken away: the change has a class of its own."""
    seen = 0
    for path in sorted(CONTRACTS_FOLDER.glob("*/*.odcs.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for smaller, what in _each_part_less(document):
            kinds = {change.kind for change in compare(document, smaller)}
            # to leave out what is the default anyway is no change
            seen += bool(kinds)
            assert "unclassified" not in kinds, f"{path.name}: {what}"
    assert seen > 1000


def _each_part_less(document: Document) -> Iterator[tuple[Document, str]]:
    never = {"id", "version", "kind", "schema", "properties", "name", "customProperties", "slaProperties", "quality"}
    places: list[tuple[Any, ...]] = [()]
    for number, each in enumerate(document["schema"]):
        places.append(("schema", number))
        places += [("schema", number, "properties", one) for one in range(len(each["properties"]))]
    for at in places:
        item = _at(document, at)
        parts: list[tuple[Any, ...]] = [(name,) for name in item if name not in never]
        for within in ("customProperties", "slaProperties"):
            parts += [(within, n) for n, one in enumerate(item.get(within, [])) if one["property"] != "exchange"]
        for part in parts:
            smaller = copy.deepcopy(document)
            _at(smaller, (*at, *part[:-1])).pop(part[-1])
            yield smaller, f"{at} {part}"


def _at(item: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        item = item[step]
    return item
