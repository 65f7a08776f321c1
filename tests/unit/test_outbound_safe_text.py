"""Nothing that leaves the house as text becomes a formula at the recipient."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from openpyxl import load_workbook

from include.contracts.registry import Contract, Table, all_contracts, load_contract
from include.outbound.csv_file import render_csv
from include.outbound.safe_text import FORMULA_START, csv_text, workbook_text
from include.outbound.workbook import Sheet, render_workbook
from include.settings import PROJECT_ROOT


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "--1", "+31 6 12", "=", "-"]
)
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert csv_text(text) == "'" + text.replace("\r", "\n")


@pytest.mark.parametrize("text", ["Jansen\r=1+1", "Jansen\r\n=1+1", "\r\r=1+1", 'a"\r@SUM(A1)'])
def test_a_line_break_inside_a_text_begins_no_row(text: str) -> None:
    contract = load_contract("partner_feedback")
    written = render_csv(contract, [[text, "x", "y"]]).decode()
    rows = list(csv.reader(io.StringIO(written, newline=""), delimiter=contract.format.delimiter))
    assert [len(row) for row in rows] == [3, 3]
    assert "\r" not in written


@pytest.mark.parametrize("text", ["+31612345678", "-12,50", "-3", "Jansen", "van 't Hof", "A=B", "12A-3", ""])
def test_phone_numbers_numbers_and_names_stay_as_they_are(text: str) -> None:
    assert csv_text(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (False, "false"), (date(2024, 6, 1), "2024-06-01"), (time(18, 30), "18:30:00"),
        (datetime(2024, 6, 1, 9, 5, tzinfo=UTC), "2024-06-01T09:05:00+00:00"),
        (Decimal("1234.50"), "1234.50"), (7, "7"), (-7, "-7"),
    ],
)  # fmt: skip
def test_values_are_written_the_same_way_everywhere(value: object, text: str) -> None:
    assert csv_text(value) == text


@given(some.text())
def test_no_text_at_all_begins_like_a_formula(text: str) -> None:
    written = csv_text(text)
    assert not written.startswith(FORMULA_START) or written.lstrip("+-").replace(",", "").replace(".", "").isdigit()


@given(some.text())
def test_a_workbook_can_hold_what_is_left(text: str) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    assert not ILLEGAL_CHARACTERS_RE.search(workbook_text(text))


ATTACKS = ("=HYPERLINK(\"http://x\")", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1")
SHEETS = [
    (contract, table)
    for contract in all_contracts()
    if contract.path.parent.name == "outbound" and contract.format.kind in ("csv", "xlsx")
    for table in contract.tables
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("contract", "table"), SHEETS, ids=lambda one: getattr(one, "name", ""))
def test_no_column_of_any_outgoing_file_carries_a_formula(contract: Contract, table: Table, attack: str) -> None:
    """From the contracts, so that a new list or column is asked too: the attack in every column at once."""
    row = [attack] * len(table.columns)
    if contract.format.kind == "csv":
        text = render_csv(contract, [row]).decode(contract.format.encodings[0])
        cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=contract.format.delimiter))[1]
        assert cells == ["'" + attack.replace("\r", "\n")] * len(table.columns)
        return
    data = render_workbook(contract, [Sheet(table, [row])], "titel", datetime(2024, 6, 1, tzinfo=UTC))
    cells = [cell for cell in load_workbook(io.BytesIO(data))[table.label][2]]
    assert len(cells) == len(table.columns)
    assert {(cell.data_type, cell.quotePrefix) for cell in cells} == {("s", True)}
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        assert not [name for name in book.namelist() if b"<f>" in book.read(name)]


def test_every_outgoing_list_is_written_by_these_two() -> None:
    """Whoever writes a spreadsheet another way writes it without this."""
    assert {contract.name for contract, _ in SHEETS} == {
        "certin_call_list", "enrichment_request", "kwadraad_worklist", "partner_feedback", "ris_closures"
    }  # fmt: skip
    own_writers = {"csv_file.py", "workbook.py"}
    for path in sorted((PROJECT_ROOT / "include" / "outbound").glob("*.py")):
        if path.name not in own_writers:
            text = path.read_text(encoding="utf-8")
            assert "csv.writer" not in text, path.name
            assert "openpyxl" not in text, path.name
