"""The header of a delivered file, as a version of its partner's contract says it stands there.

Used to choose the version (include/contracts/versions.py) before the rows are looked at, so it costs the beginning of
a text file, whatever the size of the file; a workbook has to be opened.
"""

from __future__ import annotations

import csv
import io

from include.contracts.registry import Contract
from include.exchange.folders import Exchange
from include.ingest.opening import FileRefused, decode, open_file

LONGEST_BEGINNING = 256 * 1024


def delivered_header(exchange: Exchange, path: str, contract: Contract) -> tuple[str, ...] | None:
    """The labels above the rows; None when the file is not written as this version says."""
    whole = contract.format.kind == "xlsx"
    return header_in(contract, exchange.read(path) if whole else exchange.beginning(path, LONGEST_BEGINNING))


def header_in(contract: Contract, data: bytes) -> tuple[str, ...] | None:
    """The header in these bytes: a workbook, or the beginning of a text file."""
    try:
        if contract.format.kind == "xlsx":
            return open_file(contract, data).header
        return _header_of_text(contract, data[:LONGEST_BEGINNING])
    except (FileRefused, csv.Error):
        return None


def _header_of_text(contract: Contract, beginning: bytes) -> tuple[str, ...] | None:
    whole_lines = beginning if len(beginning) < LONGEST_BEGINNING else beginning[: beginning.rfind(b"\n") + 1]
    text = decode(whole_lines, contract.format.encodings)
    records = csv.reader(io.StringIO(text, newline=""), delimiter=contract.format.delimiter)
    for number, record in enumerate(records):
        if number >= contract.format.title_rows and any(label.strip() for label in record):
            return tuple(record)
    return None
