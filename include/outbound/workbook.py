"""A workbook as its contract describes it: one sheet a table, Dutch headings, real dates and amounts, never a formula.

The same rows give the same bytes: what a workbook program writes of its own (times in the properties and in the zip) is
set to the time the delivery was prepared.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.worksheet import Worksheet

from include.contracts.registry import Column, Contract, Table
from include.outbound.safe_text import FORMULA_START, workbook_text

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
HEADER_FONT = Font(name="Calibri", size=11, bold=True, color="FFFFFF")
HEADER_FILL = PatternFill("solid", start_color="154273")  # the blue of Dutch public administration
BODY_FONT = Font(name="Calibri", size=11)
STRIPE = PatternFill("solid", start_color="F3F6FA")
LINE = Border(bottom=Side(style="thin", color="D5DCE5"))
NARROWEST, WIDEST, WRAPS_FROM, LINE_HEIGHT = 8, 52, 40, 15

DATE, TIME, AMOUNT, WHOLE = "dd-mm-yyyy", "hh:mm", '"€" #,##0.00', "0"


@dataclass(frozen=True)
class Sheet:
    """One table of the contract with its rows, values in the order of the contract's columns."""

    table: Table
    rows: Sequence[Sequence[Any]]


def render_workbook(contract: Contract, sheets: Sequence[Sheet], title: str, prepared_at: datetime) -> bytes:
    """The bytes of the workbook."""
    workbook = Workbook()
    workbook.remove(workbook.active)
    for sheet in sheets:
        _write(workbook.create_sheet(sheet.table.label), sheet)
    workbook.properties.title = title
    workbook.properties.creator = contract.owner or "Vroegsignalering"
    saved = io.BytesIO()
    workbook.save(saved)
    return _with_fixed_times(saved.getvalue(), prepared_at)


def _write(page: Worksheet, sheet: Sheet) -> None:
    columns = sheet.table.columns
    for number, column in enumerate(columns, start=1):
        cell = page.cell(1, number, column.label)
        cell.font, cell.fill = HEADER_FONT, HEADER_FILL
        cell.alignment = Alignment(vertical="center", wrap_text=True)
    widths = [_width(column, [row[number] for row in sheet.rows]) for number, column in enumerate(columns)]
    for line, row in enumerate(sheet.rows, start=2):
        for number, value in enumerate(row, start=1):
            cell = page.cell(line, number)
            _fill(cell, value, columns[number - 1])
            if line % 2:
                cell.fill = STRIPE
        page.row_dimensions[line].height = LINE_HEIGHT * max(map(_lines, row, widths), default=1)
    page.row_dimensions[1].height = 32
    page.freeze_panes = "A2"
    page.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{len(sheet.rows) + 1}"
    for number, column in enumerate(columns, start=1):
        page.column_dimensions[get_column_letter(number)].width = _width(
            column, [row[number - 1] for row in sheet.rows]
        )
    page.sheet_view.showGridLines = False
    page.sheet_view.zoomScale = 100
    page.page_setup.orientation, page.page_setup.paperSize = "landscape", page.PAPERSIZE_A4
    page.page_setup.fitToWidth, page.page_setup.fitToHeight = 1, 0
    page.sheet_properties.pageSetUpPr.fitToPage = True
    page.print_title_rows = "1:1"
    page.page_margins = PageMargins(left=0.3, right=0.3, top=0.4, bottom=0.6)
    page.oddFooter.center.text = "Vertrouwelijk · &A · pagina &P van &N"


def _fill(cell: Cell, value: Any, column: Column) -> None:
    """A real date, time or amount; everything else is text, and marked as text when it looks like a formula."""
    cell.font, cell.border = BODY_FONT, LINE
    cell.alignment = Alignment(vertical="top", horizontal="left")
    match value:
        case None:
            return
        case bool():
            cell.value = "Ja" if value else "Nee"
        case datetime():
            cell.value, cell.number_format = _local(value), f"{DATE} {TIME}"
        case date():
            cell.value, cell.number_format = value, DATE
        case time():
            cell.value, cell.number_format = value, TIME
        case Decimal() | float():
            cell.value, cell.number_format = value, AMOUNT if column.name.endswith("_eur") else "0.00"
            cell.alignment = Alignment(vertical="top", horizontal="right", indent=1)
        case int():
            cell.value, cell.number_format = value, AMOUNT if column.name.endswith("_eur") else WHOLE
        case _:
            text = workbook_text(str(value))
            cell.value = text
            cell.data_type = "s"  # openpyxl would take a leading = for a formula
            cell.quotePrefix = text.startswith(FORMULA_START)
            cell.alignment = Alignment(vertical="top", horizontal="left", wrap_text=len(text) > WRAPS_FROM)


def _lines(value: Any, width: float) -> int:
    """How many lines a value takes; only long text is wrapped."""
    text = value if isinstance(value, str) else ""
    return ceil(len(text) / (width - 2)) if len(text) > WRAPS_FROM else 1


def _local(moment: datetime) -> datetime:
    """The clock on the wall in the Netherlands; a cell knows no zone."""
    return moment.astimezone(AMSTERDAM).replace(tzinfo=None) if moment.tzinfo else moment


def _width(column: Column, values: Sequence[Any]) -> float:
    longest = max((len(_shown(value, column)) for value in values), default=0)
    heading = max(len(word) for word in column.label.split()) + 4  # room for the filter's arrow
    return float(min(max(longest + 2, heading, NARROWEST), WIDEST))


def _shown(value: Any, column: Column) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return "31-12-2024 23:59"
        case date():
            return "31-12-2024"
        case Decimal() | float():
            return f"€ {value:,.2f}"
    return str(value)


_CHANGED = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(</dcterms:)")


def _with_fixed_times(data: bytes, prepared_at: datetime) -> bytes:
    stamp = prepared_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _CHANGED.sub(rb"\g<1>" + stamp + rb"\g<2>", content)
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return written.getvalue()


def content_of(sheets: Sequence[Sheet]) -> Mapping[str, list[list[str]]]:
    """What the workbook says, without how it looks."""
    return {sheet.table.name: [[str(value) for value in row] for row in sheet.rows] for sheet in sheets}
