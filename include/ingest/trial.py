"""What a contract would make of a sample, before anything goes live: columns, rows, reasons, canonical rows.

Rule: a trial is the judgement of a real delivery (include/ingest/reading.py) and nothing else; it writes nothing, and
what it finds is what the first real file will meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.contracts.headers import HeaderMatch, match_header
from include.contracts.registry import Column, Contract, FileName, load_contract
from include.ingest.delivered_header import header_in
from include.ingest.readers import PHONE_FIRST, fields_filled
from include.ingest.reading import JudgedDelivery, read_delivery

if TYPE_CHECKING:
    import pandas as pd

READ, KEPT, ABSENT, MISSING, UNKNOWN = "read", "kept in the raw row only", "absent, may be", "missing", "not used"
SHOWN_AS_IS = ("public", "internal")


@dataclass(frozen=True)
class TriedColumn:
    """One column of the contract or of the sample: where it stands there, who reads it and what that fills."""

    label: str
    place: int | None
    reader: str
    fields: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Reason:
    """One reason code, with the lines it was given to."""

    code: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Trial:
    """A sample with everything the contract says about it."""

    contract: Contract
    file_name: str
    named: FileName | None
    columns: tuple[TriedColumn, ...]
    judged: JudgedDelivery

    @property
    def would_be_loaded(self) -> bool:
        return self.judged.is_accepted and len(self.judged.rows) > 0

    @property
    def quarantined(self) -> list[Reason]:
        return _reasons(self.judged.quarantined, "reasons")

    @property
    def duplicates(self) -> list[Reason]:
        return _reasons(self.judged.duplicates, "reasons")

    @property
    def loaded_without(self) -> list[Reason]:
        return _reasons(self.judged.rows, "flags")

    def canonical_rows(self, count: int, *, masked: bool) -> list[dict[str, str]]:
        """The first good rows as they would be loaded, as text; masked, a value shows its form and not itself."""
        rows = self.judged.rows.head(count).to_dict("records")
        return [{name: text for name, text in self._texts(row, masked)} for row in rows]

    def _texts(self, row: dict[str, Any], masked: bool) -> Iterator[tuple[str, str]]:
        landing = load_contract(self.contract.lands_in).columns if self.contract.lands_in else self.contract.columns
        for field in landing:
            value = row[field.name]
            if value is not None:
                is_shown = not masked or field.classification in SHOWN_AS_IS
                yield field.name, str(value) if is_shown else form_of(value)


def try_sample(contract: Contract, file_name: str, data: bytes) -> Trial:
    """Judge the sample; a ContractProblem when the contract itself cannot be used."""
    judged = read_delivery(contract, file_name, data)
    # a missing column is best seen beside the header of the file that was refused for it
    header = judged.opened.header or header_in(contract, data) or ()
    return Trial(
        contract=contract,
        file_name=file_name,
        named=contract.read_file_name(file_name),
        columns=tuple(_tried_columns(contract, header, match_header(contract, header))),
        judged=judged,
    )


def _tried_columns(contract: Contract, header: tuple[str, ...], match: HeaderMatch) -> Iterator[TriedColumn]:
    for column in contract.columns:
        place = match.places.get(column.name)
        fields = _fields(column)
        if place is not None:
            yield TriedColumn(column.label, place + 1, column.reader, fields, READ if fields else KEPT)
        else:
            yield TriedColumn(column.label, None, column.reader, fields, ABSENT if column.may_be_absent else MISSING)
    for index in match.unknown:
        yield TriedColumn(header[index] or "(no label)", index + 1, "", (), UNKNOWN)


def _fields(column: Column) -> tuple[str, ...]:
    fields = fields_filled(column)
    return ("phone_1", "phone_2") if PHONE_FIRST in fields else fields


def _reasons(rows: pd.DataFrame, codes: str) -> list[Reason]:
    """Each code with its lines, the most frequent first."""
    if not len(rows):
        return []
    single = rows[["line_number", codes]].explode(codes).dropna()
    grouped = single.groupby(codes, sort=True)["line_number"].agg(tuple)
    reasons = [Reason(str(code), tuple(map(int, lines))) for code, lines in grouped.items()]
    return sorted(reasons, key=lambda reason: -len(reason.lines))


def form_of(value: Any) -> str:
    """The form of a value without the value: `Xxxxxx`, `+99999999999`, `9999XX`, `9999-99-99`."""
    if isinstance(value, bool):
        return str(value)
    letters = re.sub(r"[^\W\d_]", lambda letter: "X" if letter[0].isupper() else "x", str(value))
    return re.sub(r"\d", "9", letters)
