"""From the bytes of a delivery to rows of text, or to the reason why it cannot be opened.

Rule: nothing is guessed. The encoding is proven (strict UTF-8, else the single-byte one the contract allows) and text
that went through the wrong encoding before (`Ã©`, U+FFFD) is refused. Everything stays text: what a value means is
decided later, by the readers the contract names. Only for number cells of a workbook it is kept that they were numbers.
Reason: a partner's file may be broken or hostile; it must cost one refused delivery, never the process that opens it.
How to change: what a file looks like (sheet, title rows, total row, separator, encodings, size) stands in the contract.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from include.contracts.registry import Contract, FileFormat

FILE_UNREADABLE = "file_unreadable"
FILE_HEADER = "file_header"

# A workbook is a compressed archive: these bound what it may become in memory, whatever its size on disk.
MOST_UNPACKED_BYTES = 256 * 1024 * 1024
MOST_ARCHIVE_MEMBERS = 1_000
MOST_CELLS = 10_000_000
_BROKEN_ARCHIVE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)

# UTF-8 bytes that were once read as Windows-1252 and saved again: é became Ã©, ‘ became â€˜.
_CONTINUATIONS = "".join(
    dict.fromkeys(
        bytes([byte]).decode("cp1252", errors="ignore") + chr(byte)
        for byte in range(0x80, 0xC0)
    )
)  # fmt: skip
_MOJIBAKE = re.compile(f"[ÃÂ][{re.escape(_CONTINUATIONS)}]|[ÄÅ][\u0080-\u00bf]|â€[{re.escape(_CONTINUATIONS)}]")
_CELL_ADDRESS = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,3})(\d{1,7})["']""")


class FileRefused(Exception):
    """The file as a whole cannot be read; `code` is the reason code of interfaces §2."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class OpenedFile:
    """The header and the rows of a file, as text. `rows` are as wide as the header; `misshapen` says which were not."""

    header: tuple[str, ...]
    rows: list[Sequence[str]]
    line_numbers: np.ndarray
    misshapen: np.ndarray
    number_cells: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not self.rows


NOTHING = OpenedFile((), [], np.empty(0, dtype=np.int64), np.empty(0, dtype=bool))


def too_large(contract: Contract) -> FileRefused:
    """The refusal of a file above the contract's limit."""
    limit = f"{contract.format.max_bytes // 1024 // 1024} MB of {contract.reference}"
    return FileRefused(FILE_UNREADABLE, f"the file is larger than the {limit}; deliver it in parts (_01, _02, …)")


def open_file(contract: Contract, data: bytes) -> OpenedFile:
    """The rows of a delivery; FileRefused when it cannot be opened."""
    shape = contract.format
    if len(data) > shape.max_bytes:
        raise too_large(contract)
    if not data.strip():
        return NOTHING
    return _open_workbook(shape, data) if shape.kind == "xlsx" else _open_csv(shape, data)


def decode(data: bytes, encodings: Sequence[str]) -> str:
    """The text, in the first of `encodings` that fits every byte; FileRefused when none does or the text is garbled."""
    for encoding in encodings:
        try:
            text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        known = " or ".join(encodings)
        raise FileRefused(FILE_UNREADABLE, f"the file is not written in {known}; save it as {encodings[0]}")
    if "\x00" in text:
        raise FileRefused(FILE_UNREADABLE, f"the file is UTF-16 or no text at all; save it as {encodings[0]}")
    if not text.isascii():
        if "\ufffd" in text:
            raise FileRefused(FILE_UNREADABLE, "letters were lost before the file reached us (U+FFFD); export it again")
        if garbled := _MOJIBAKE.search(text):
            line = text.count("\n", 0, garbled.start()) + 1
            detail = f"letters with accents are garbled (first on line {line}); export it again as {encodings[0]}"
            raise FileRefused(FILE_UNREADABLE, detail)
    return text


def _open_csv(shape: FileFormat, data: bytes) -> OpenedFile:
    text = decode(data, shape.encodings)
    if not text.strip():
        return NOTHING
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=shape.delimiter, strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        raise FileRefused(
            FILE_UNREADABLE, f"line {reader.line_num}: {error} (a quotation mark that is not closed, or not doubled)"
        ) from error
    if reader.line_num == len(records):
        lines = np.arange(1, len(records) + 1)
    else:
        lines = _first_lines(text, shape.delimiter)
    records, lines = records[shape.title_rows :], lines[shape.title_rows :]
    return _as_opened(shape, records, lines)


def _first_lines(text: str, delimiter: str) -> np.ndarray:
    """The line on which each record begins, when values with line breaks make records longer than a line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    ends = np.fromiter((reader.line_num for _ in reader), dtype=np.int64)
    return np.concatenate(([1], ends[:-1] + 1))


def _open_workbook(shape: FileFormat, data: bytes) -> OpenedFile:
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound

    _refuse_bombs(data)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        name = shape.sheet or workbook.sheet_names[0]
        cells = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except WorksheetNotFound as error:
        raise FileRefused(FILE_HEADER, f"the workbook has no sheet {shape.sheet}") from error
    except (CalamineError, IndexError, ValueError, OSError) as error:
        raise FileRefused(FILE_UNREADABLE, "the workbook cannot be opened; save it again as xlsx") from error
    except BaseException as error:
        # a fault inside the (compiled) workbook reader arrives as its own kind of BaseException
        if type(error).__name__ != "PanicException":
            raise
        raise FileRefused(FILE_UNREADABLE, "the workbook is damaged; save it again as xlsx") from error
    body = cells[shape.title_rows :]
    width = max((index + 1 for row in body for index, cell in enumerate(row) if cell != ""), default=0)
    records = [[_cell_text(cell) for cell in row[:width]] for row in body]
    opened = _as_opened(shape, records, np.arange(1, len(cells) + 1)[shape.title_rows :])
    kept = [cells[line - 1] for line in opened.line_numbers]
    numbers = {
        index: np.fromiter((isinstance(row[index], float) for row in kept), dtype=bool, count=len(kept))
        for index in range(len(opened.header))
    }
    return replace(opened, number_cells=numbers)


def _cell_text(cell: Any) -> str:
    """A cell as text: real dates as jjjj-mm-dd, numbers in full (no exponent, no trailing .0), booleans true/false."""
    if isinstance(cell, str):
        return cell.replace("\x00", "\ufffd")
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else format(Decimal(repr(cell)), "f")
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _refuse_bombs(data: bytes) -> None:
    """Refuse an archive that would unpack to more than we hold, or a sheet that claims more cells than it has rows for.

    Every member is unpacked once, in small pieces: a member that lies about its size fails its checksum here.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARCHIVE_MEMBERS or sum(member.file_size for member in members) > MOST_UNPACKED_BYTES:
                raise FileRefused(FILE_UNREADABLE, "the workbook unpacks to more than a delivery can be")
            if any(member.flag_bits & 0x1 for member in members):
                raise FileRefused(FILE_UNREADABLE, "the workbook is protected with a password")
            for member in members:
                content = archive.read(member)
                if member.filename.lower().startswith("xl/worksheets/"):
                    _refuse_endless_sheet(content)
    except FileRefused:
        raise
    except _BROKEN_ARCHIVE as error:
        raise FileRefused(FILE_UNREADABLE, "the file is not a workbook (xlsx), or a damaged one") from error


def _refuse_endless_sheet(content: bytes) -> None:
    """Two cells, A1 and the last one Excel knows, would make a sheet of 17 billion cells."""
    if b"\x00" in content:
        raise FileRefused(FILE_UNREADABLE, "the workbook is not written in UTF-8; save it again as xlsx")
    columns: set[bytes] = set()
    last_row = 0
    for column, row in _CELL_ADDRESS.findall(content):
        columns.add(column)
        last_row = max(last_row, int(row))
    widest = max((_column_number(column) for column in columns), default=0)
    if widest * last_row > MOST_CELLS:
        detail = f"the sheet claims {last_row} rows and {widest} columns; delete what is below and beside the list"
        raise FileRefused(FILE_UNREADABLE, detail)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _as_opened(shape: FileFormat, records: list[list[str]], lines: np.ndarray) -> OpenedFile:
    """Header and rows: rows without any value are no rows, the total row is no row."""
    filled = np.fromiter((any(map(str.strip, record)) for record in records), dtype=bool, count=len(records))
    if not filled.any():
        return NOTHING
    if not filled.all():
        records = list(itertools.compress(records, filled))
        lines = lines[filled]
    # a workbook's columns cannot shift: there, a column without a label is an unknown column
    header = records[0] if shape.kind == "xlsx" else _without_empty_end(records[0])
    header, rows, lines = [label.strip() for label in header], records[1:], lines[1:]
    if rows and shape.total_row_label and _is_total_row(rows[-1], shape.total_row_label):
        rows, lines = rows[:-1], lines[:-1]
    width = len(header)
    widths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    misshapen = np.zeros(len(rows), dtype=bool)
    for index in np.flatnonzero(widths != width):
        row = rows[index]
        misshapen[index] = len(row) < width or any(value.strip() for value in row[width:])
        # what is too much stays visible in the raw row, in its last value
        surplus = [value for value in row[width - 1 :] if value.strip()]
        fitted = [*row[:width], *[""] * (width - len(row))]
        if misshapen[index] and len(row) > width:
            fitted[-1] = shape.delimiter.join(surplus)
        rows[index] = fitted
    return OpenedFile(tuple(header), rows, lines, misshapen)


def _without_empty_end(header: list[str]) -> list[str]:
    """The header without the empty cells at its end."""
    last = max(index for index, label in enumerate(header) if label.strip())
    return header[: last + 1]


def _is_total_row(row: Sequence[str], label: str) -> bool:
    first = next((value.strip() for value in row if value.strip()), "")
    return first.casefold().rstrip(":") == label.casefold()
