"""Text that a spreadsheet must never take for a formula.

Rule: a text that begins with `=`, `+`, `-`, `@`, a tab or a line break is data. In CSV it gets an apostrophe in front
(the recipient's program shows it, nothing runs); phone numbers (`+31…`) and plain numbers stay as they are, because
they are no formula and must arrive unchanged. A line break inside a text is a single line feed, which is always quoted.
In a workbook the text stays as it is, and its cell is marked as text.
Reason: names, references and summaries come from outside, and the recipient opens our files in Excel.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal

FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n")
_HARMLESS = re.compile(r"\+\d{6,15}|-?\d+([.,]\d+)?")
#: XML 1.0, and so a workbook, knows no control characters besides tab and line breaks
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


def is_formula_like(text: str) -> bool:
    return text.startswith(FORMULA_START) and not _HARMLESS.fullmatch(text)


def csv_text(value: object) -> str:
    """One value as it stands in a CSV file: ISO dates, a decimal point, nothing for nothing."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(timespec="seconds")
        case date() | time():
            return value.isoformat()
        case int() | float() | Decimal():
            return str(value)
    # a lone carriage return is not quoted by the csv module, and a spreadsheet begins a row at it
    text = str(value).replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if is_formula_like(text) else text


def workbook_text(text: str) -> str:
    """The text without what a workbook cannot hold."""
    return _CONTROL.sub("", text)
