"""Files of the exchange in which somebody stands: found by their ids and by the partner's own reference, and forgotten.

Rule: of the months a person was reported in, every file that came in or went out is looked into, whatever its form. A
row is the person's when one of its cells is one of their ids, or (in a partner's file) the partner's reference. What
was encrypted cannot be looked into: it counts as theirs. Receipts and manifests hold no personal data and are left
alone.
Forgetting empties those rows and keeps the lines, so that line numbers still mean what they meant; a file that is no
table (JSON, encrypted) is deleted: the ledger keeps that it went out.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass

from include.contracts.registry import all_contracts
from include.exchange.folders import Exchange
from include.outbound.encryption import SUFFIX

FOLDERS = ("inbox", "archive", "outbox")
_MONTH = re.compile(r"(?:^|/)(\d{4})-(\d{2})/|_(\d{4})(\d{2})(?:_|\.)")
_WITHOUT_PERSONS = re.compile(r"(?:^|/)receipt_[^/]*$|\.manifest\.json$")
_ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")


@dataclass(frozen=True)
class Marks:
    """What a person's row in a file is recognised by: our ids, and references by partner."""

    ids: frozenset[str]
    references: tuple[tuple[str, str], ...]
    months: frozenset[str]

    def of(self, path: str) -> frozenset[str]:
        """The marks that count in this file: a reference only in files of the partner that gave it."""
        name = path.rsplit("/", 1)[-1]
        return self.ids | {reference for partner, reference in self.references if f"{partner}_" in name}


def files_of(marks: Marks) -> list[str]:
    """The paths of the files with a row of this person, or that cannot be looked into."""
    exchange = Exchange.from_settings()
    return [path for path in _of_months(exchange, marks.months) if _holds(exchange, path, marks)]


def forget_in_files(marks: Marks) -> int:
    """Empty the person's rows; returns in how many files."""
    exchange, changed = Exchange.from_settings(), 0
    for path in files_of(marks):
        data = exchange.read(path)
        emptied = _emptied(path, data, marks.of(path))
        if emptied is None:
            exchange.delete(path)
        else:
            exchange.write(path, emptied)
        changed += 1
    return changed


def _of_months(exchange: Exchange, months: frozenset[str]) -> Iterator[str]:
    for folder in FOLDERS:
        for path in exchange.all_files(folder):
            found = _MONTH.search(path)
            month = found and f"{found[1] or found[3]}-{found[2] or found[4]}"
            if month in months and not _WITHOUT_PERSONS.search(path):
                yield path


def _holds(exchange: Exchange, path: str, marks: Marks) -> bool:
    if path.endswith(SUFFIX):
        return True
    data, wanted = exchange.read(path), marks.of(path)
    if path.lower().endswith(".json"):
        return any(mark.encode() in data for mark in wanted)
    return any(not wanted.isdisjoint(row) for row in _rows(path, data))


def _rows(path: str, data: bytes) -> Iterator[list[str]]:
    if zipfile.is_zipfile(io.BytesIO(data)):
        from python_calamine import CalamineWorkbook

        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        for name in book.sheet_names:
            for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False):
                yield [_cell(value) for value in row]
        return
    text, _ = _decoded(data)
    for record in csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text)):
        yield [cell.strip() for cell in record]


def _emptied(path: str, data: bytes, wanted: frozenset[str]) -> bytes | None:
    """The file without what stands in the person's rows; None when it has to go as a whole."""
    if path.endswith(SUFFIX) or path.lower().endswith(".json"):
        return None
    if zipfile.is_zipfile(io.BytesIO(data)):
        return _emptied_workbook(data, wanted)
    text, encoding = _decoded(data)
    lines = text.splitlines(keepends=True)
    delimiter = _delimiter(path, text)
    reader, kept, begins = csv.reader(lines, delimiter=delimiter), [], 0
    for record in reader:
        # a record may stand on several lines
        physical, begins = lines[begins : reader.line_num], reader.line_num
        if wanted.isdisjoint(cell.strip() for cell in record):
            kept += physical
        else:
            ending = physical[-1][len(physical[-1].rstrip("\r\n")) :]
            kept.append(delimiter * (len(record) - 1) + ending)
    return "".join(kept).encode(encoding)


def _emptied_workbook(data: bytes, wanted: frozenset[str]) -> bytes:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data))
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            if not wanted.isdisjoint(_cell(cell.value) for cell in row):
                for cell in row:
                    cell.value = None
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _decoded(data: bytes) -> tuple[str, str]:
    for encoding in _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text, "utf-8" if encoding == "utf-8-sig" and not data.startswith(BOM_UTF8) else encoding
    raise AssertionError("latin-1 decodes everything")


def _delimiter(path: str, text: str) -> str:
    """That of the contract whose name the file bears, or else the one its first line has most of."""
    name = path.rsplit("/", 1)[-1]
    first = text.partition("\n")[0]
    for contract in all_contracts():
        if name.startswith(contract.file_name_template.partition("<")[0] or "\x00") and contract.format.kind == "csv":
            if contract.format.delimiter in first:
                return contract.format.delimiter
    return max((";", ",", "\t"), key=first.count)
