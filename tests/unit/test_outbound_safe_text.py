"""Nothing that leaves the house as text becomes a formula at the recipient."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from include.outbound.safe_text import FORMULA_START, csv_text, workbook_text


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "--1", "+31 6 12", "=", "-"]
)
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert csv_text(text) == f"'{text}"


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
