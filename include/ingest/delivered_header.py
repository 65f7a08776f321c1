"""The header of a delivered file, as a version of its partner's contract says it stands there.

Used to choose the version (include/contracts/versions.py) before the rows are looked at, so it costs the beginning of
a text file, whatever the size of the file; a workbook has to be opened.
"""

from __future__ import annotations

import io

from include.contracts.registry import Contract
from include.exchange.folders import Exchange
from include.ingest.opening import FileRefused, read_labels

LONGEST_BEGINNING = 256 * 1024


def delivered_header(exchange: Exchange, path: str, contract: Contract) -> tuple[str, ...] | None:
    """The labels above the rows; None when the file is not written as this version says."""
    whole = contract.format.kind == "xlsx"
    return header_in(contract, exchange.read(path) if whole else exchange.beginning(path, LONGEST_BEGINNING))


def header_in(contract: Contract, data: bytes) -> tuple[str, ...] | None:
    """The header in these bytes: a workbook, or the beginning of a text file."""
    if contract.format.kind == "csv" and len(data) >= LONGEST_BEGINNING:
        data = data[: data.rfind(b"\n", 0, LONGEST_BEGINNING) + 1]
    try:
        return read_labels(contract, io.BytesIO(data)) or None
    except FileRefused:
        return None
