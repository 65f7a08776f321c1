"""Judge a delivery by its contract: which rows are good, which are not and why, or why the whole file is refused.

Rule (interfaces §2): every row of the file ends in exactly one of good, quarantined (with all its reasons) or
duplicate; a file is refused as a whole when it cannot be opened, lacks a column, or has more bad rows than its contract
allows. Everything follows from two contracts: the sender's (which column fills which field, by which reader) and the
one of the table the rows land in (what must be there, what may be left out, which rules hold between fields).
How it works: a file is judged part by part (`judge_parts`), so that memory follows the part; what must be known of the
whole file (references seen, counts) is carried along. Columns are read set-wise (include/ingest/readers.py), verdicts
are masks over all rows; no row is looked at by itself. No I/O happens here, so a contract can be tried on a sample.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from include.contracts.headers import match_header
from include.contracts.registry import Column, Contract, ContractProblem, RowRule, load_contract
from include.ingest.opening import FILE_HEADER, FileRefused, OpenedFile, nothing, open_parts, together
from include.ingest.readers import PHONE_FIRST, PHONE_SECOND, PHONE_UNUSABLE, fields_filled, read_column
from include.ingest.references import ReferencesSeen
from include.ingest.values import (
    AMOUNT,
    BOOLEAN,
    DATE,
    INTEGER,
    TEXT,
    FieldValues,
    Letters,
    first_of,
    first_text_of,
    joined,
    parts_as_one,
    written_phones,
)
from include.months import Month

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

FILE_THRESHOLD = "file_threshold"
FILE_EMPTY = "file_empty"
COLUMN_UNKNOWN = "column_unknown"
COLUMN_ABSENT = "column_absent"
ROW_MISSHAPEN = "row_invalid"
REFERENCE_DUPLICATE = "reference_duplicate"

# A header that is quoted in a receipt must look like a label: a file without a header begins with somebody's data.
_LABEL = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ _.\-/()]{0,39}")


@dataclass(frozen=True)
class Rejection:
    """Why a file is refused as a whole."""

    code: str
    detail: str


@dataclass(frozen=True)
class DeliveryWarning:
    """Something to tell the sender that keeps nothing out."""

    code: str
    detail: str


@dataclass(frozen=True)
class GoodRows:
    """The good rows: of all rows of a part, `fields` has the values and `rows` says which are good.

    Each of them has the flags of one of the `flag_sets` (`flag_set_of_row`), most of them none.
    """

    line_numbers_of_all: np.ndarray
    fields: Mapping[str, FieldValues]
    rows: np.ndarray
    flag_sets: tuple[tuple[str, ...], ...]
    flag_set_of_row: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def line_numbers(self) -> np.ndarray:
        return self.line_numbers_of_all[self.rows]

    def only(self, is_kept: np.ndarray) -> GoodRows:
        """Those of them the mask says."""
        return replace(self, rows=self.rows[is_kept], flag_set_of_row=self.flag_set_of_row[is_kept])

    def flagged(self, flag: str) -> GoodRows:
        """The same with one more flag at every row."""
        return replace(self, flag_sets=tuple((*flags, flag) for flags in self.flag_sets))

    def values_of(self, field: str) -> list[Any]:
        """The values of one field, as Python has them."""
        values = self.fields[field].to_list()
        return [values[row] for row in self.rows.tolist()]

    @cached_property
    def flags(self) -> pl.DataFrame:
        """line_number and flags of the rows that have any."""
        import polars as pl

        has_any = np.array([bool(flags) for flags in self.flag_sets], dtype=bool)[self.flag_set_of_row]
        flags = _as_lists(self.flag_sets, self.flag_set_of_row[has_any])
        return pl.DataFrame({"line_number": self.line_numbers[has_any], "flags": flags})

    @cached_property
    def frame(self) -> pl.DataFrame:
        """line_number, a column for every field (null where there is no value) and flags."""
        import polars as pl

        rows = pl.Series(self.rows, dtype=pl.UInt32)
        return pl.DataFrame({
            "line_number": pl.Series(self.line_numbers, dtype=pl.Int64),
            **{name: found.values.gather(rows) for name, found in self.fields.items()},
            "flags": _as_lists(self.flag_sets, self.flag_set_of_row),
        })  # fmt: skip


def _as_lists(sets: Sequence[tuple[str, ...]], set_of_row: np.ndarray) -> pl.Series:
    """The codes of every row as a column of lists."""
    import polars as pl

    return pl.Series(list(map(list, sets)), dtype=pl.List(pl.String)).gather(pl.Series(set_of_row, dtype=pl.UInt32))


@dataclass(frozen=True)
class JudgedDelivery:
    """A delivery, or one part of it, with its verdicts.

    `held` and `doubled` hold line_number and reasons of the quarantined rows and the duplicates; `other_months` says
    how many rows are of which other month than the file. With a `rejection`, `good` is empty and the others say what
    was found.
    """

    contract: Contract
    file_name: str
    rejection: Rejection | None
    warnings: tuple[DeliveryWarning, ...]
    good: GoodRows
    held: pl.DataFrame
    doubled: pl.DataFrame
    opened: OpenedFile
    other_months: Mapping[Month, int]

    @property
    def rows_in_file(self) -> int:
        return len(self.opened)

    @property
    def is_accepted(self) -> bool:
        return self.rejection is None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The good rows with values of Python, None where there is none; `flags` are tuples."""
        import pandas as pd

        good = self.good
        columns: dict[str, Any] = {"line_number": good.line_numbers.tolist()}
        columns |= {name: good.values_of(name) for name in good.fields}
        columns["flags"] = [good.flag_sets[number] for number in good.flag_set_of_row.tolist()]
        return pd.DataFrame(columns, dtype=object)

    @cached_property
    def quarantined(self) -> pd.DataFrame:
        """Line number and reasons (tuples) of the bad rows."""
        return _lines_with_reasons(self.held)

    @cached_property
    def duplicates(self) -> pd.DataFrame:
        """Line number and reasons (tuples) of the rows whose reference a good row before them has."""
        return _lines_with_reasons(self.doubled)


def _lines_with_reasons(frame: pl.DataFrame) -> pd.DataFrame:
    import pandas as pd

    reasons = list(map(tuple, frame["reasons"].to_list()))
    return pd.DataFrame({"line_number": frame["line_number"].to_list(), "reasons": reasons}, dtype=object)


def read_delivery(contract: Contract, file_name: str, data: bytes) -> JudgedDelivery:
    """Judge the bytes of one file of `contract` as a whole; never raises for what is in them."""
    try:
        parts = list(judge_parts(contract, file_name, io.BytesIO(data)))
    except FileRefused as refusal:
        return rejected(contract, file_name, Rejection(refusal.code, refusal.detail))
    return _within_threshold(_whole(parts))


def judge_parts(contract: Contract, file_name: str, file: BinaryIO) -> Iterator[JudgedDelivery]:
    """Judge a file part by part, at least one part; FileRefused, at any part, when it cannot be opened.

    Whether too many rows are bad shows at the end: see `too_many_bad_rows`. The warnings come with the first part.
    """
    landing, rules = _landing(contract), _rules(contract)
    named = contract.read_file_name(file_name)
    month = named.month if named else None
    seen = ReferencesSeen()
    is_first = True
    for opened in open_parts(contract, file):
        if is_first:
            places, warnings = _first_look(contract, opened)
        part = _judge(contract, file_name, landing, rules, month, opened, places, seen)
        yield replace(part, warnings=tuple(warnings)) if is_first else part
        is_first = False


def _first_look(contract: Contract, opened: OpenedFile) -> tuple[dict[str, int], list[DeliveryWarning]]:
    """Where the columns are, and what is to be told about the file."""
    if not opened.header:
        return {}, [DeliveryWarning(FILE_EMPTY, "the file has no rows")]
    places, warnings = _match_header(contract, opened)
    if opened.is_empty:
        warnings.append(DeliveryWarning(FILE_EMPTY, "the file has a header and no rows"))
    return places, warnings


def _judge(
    contract: Contract,
    file_name: str,
    landing: tuple[Column, ...],
    rules: tuple[RowRule, ...],
    month: Month | None,
    opened: OpenedFile,
    places: Mapping[str, int],
    seen: ReferencesSeen,
) -> JudgedDelivery:
    if opened.is_empty:
        return _judged(contract, file_name, opened)
    fields, unusable = _read_fields(contract, landing, opened, places)
    reasons, flags = _Verdicts(len(opened)), _Verdicts(len(opened))
    _judge_fields(landing, fields, unusable, reasons, flags)
    for rule in rules:
        reasons.add(rule.reason, ROW_RULES[rule.rule]([fields[name] for name in rule.fields], rule, month))
    if opened.misshapen.any():
        # its values stand in the wrong columns, so what they say about each other means nothing
        reasons.clear(opened.misshapen)
        reasons.add(ROW_MISSHAPEN, opened.misshapen)
    is_bad = reasons.any
    is_duplicate = _mark_duplicates(landing, fields, is_bad, reasons, seen)
    judged = _divided(contract, file_name, opened, fields, reasons, flags, is_bad, is_duplicate)
    return replace(judged, other_months=_other_months(rules, fields, month))


def too_many_bad_rows(
    contract: Contract, file_name: str, bad: int, rows: int, other_months: Mapping[Month, int]
) -> Rejection | None:
    """The refusal of a file with more bad rows than its contract allows; it says when most are of one other month."""
    if bad <= contract.quarantine_threshold * rows:
        return None
    remark = "; repair the file and deliver it again"
    for other, found in Counter(other_months).most_common(1):
        named = contract.read_file_name(file_name)
        if named and 2 * found > rows:
            remark = f"; {found} rows are of {other} and the file is named after {named.month}: "
            remark += "correct its name or its rows"
    detail = (
        f"{bad} of {rows} rows are bad, more than the {contract.quarantine_threshold:.0%} that {contract.reference} "
        f"allows{remark}"
    )
    return Rejection(FILE_THRESHOLD, detail)


def _landing(contract: Contract) -> tuple[Column, ...]:
    """The fields the rows become; the contract must fill each that has to be there."""
    if contract.lands_in is None:
        return contract.columns
    landing = load_contract(contract.lands_in).columns
    filled = {field for column in contract.columns for field in fields_filled(column) + column.fills}
    unfilled = [field.name for field in landing if field.is_required and field.name not in filled]
    if unfilled:
        raise ContractProblem(
            f"{contract.path.name} fills no {', '.join(unfilled)}, which {contract.lands_in} requires; "
            "name the column that does in its property fills"
        )
    return landing


def _rules(contract: Contract) -> tuple[RowRule, ...]:
    own = contract.table.rules
    return own + load_contract(contract.lands_in).table.rules if contract.lands_in else own


# -- header ------------------------------------------------------------------------------------------------------------


def _match_header(contract: Contract, opened: OpenedFile) -> tuple[dict[str, int], list[DeliveryWarning]]:
    """Where each column of the contract stands in the file, and what to tell about the others."""
    found = match_header(contract, opened.header)
    if found.missing:
        raise FileRefused(FILE_HEADER, f"missing columns: {_labels(found.missing)} ({contract.reference})")
    if found.twice:
        raise FileRefused(FILE_HEADER, f"columns that stand there twice: {_labels(found.twice)} ({contract.reference})")
    warnings = []
    if found.unknown:
        quoted = ", ".join(_quotable(opened.header[index], index) for index in found.unknown)
        warnings.append(DeliveryWarning(COLUMN_UNKNOWN, f"{len(found.unknown)} not in {contract.reference}: {quoted}"))
    if found.absent:
        warnings.append(DeliveryWarning(COLUMN_ABSENT, _labels(found.absent)))
    return dict(found.places), warnings


def _labels(columns: Iterable[Column]) -> str:
    return ", ".join(column.label for column in columns)


def _quotable(label: str, index: int) -> str:
    return label if _LABEL.fullmatch(label) else f"column {index + 1}"


# -- fields ------------------------------------------------------------------------------------------------------------


def _read_fields(
    contract: Contract, landing: Sequence[Column], opened: OpenedFile, places: Mapping[str, int]
) -> tuple[dict[str, FieldValues], np.ndarray]:
    """Every landing field over all rows, and where a telephone number was unusable."""
    found: dict[str, list[FieldValues]] = {}
    for column in contract.columns:
        if column.name in places and fields_filled(column):
            place = places[column.name]
            numbers = opened.number_cells.get(place)
            is_number = numbers if numbers is not None and numbers.any() else None
            for field, values in read_column(column, opened.texts(place), is_number).items():
                found.setdefault(field, []).append(values)
    fields = _fill(landing, found, opened)
    unusable = np.zeros(len(opened), dtype=bool)
    if PHONE_UNUSABLE in found:
        unusable = reduce(np.logical_or, (values.invalid for values in found[PHONE_UNUSABLE]))
    return fields, unusable


_FIELD_KINDS = {"number": AMOUNT, "integer": INTEGER, "boolean": BOOLEAN, "date": DATE}


def _fill(
    landing: Sequence[Column], found: Mapping[str, Sequence[FieldValues]], opened: OpenedFile
) -> dict[str, FieldValues]:
    """Each landing field from the columns that fill it."""
    filled = {field.name: _combined(field, found.get(field.name, ()), opened) for field in landing}
    if PHONE_FIRST in found:
        filled |= _chosen_phones(found[PHONE_FIRST], found[PHONE_SECOND], opened.letters)
    return {field.name: _not_too_long(filled[field.name], field.max_length) for field in landing}


def _combined(field: Column, columns: Sequence[FieldValues], opened: OpenedFile) -> FieldValues:
    """A field from its columns: texts are joined with a space, of other values the first one counts."""
    if not columns:
        values = FieldValues.absent(_FIELD_KINDS.get(field.logical_type, TEXT), opened.letters, len(opened))
    elif len(columns) == 1:
        values = columns[0]
    else:
        invalid = reduce(np.logical_or, (column.invalid for column in columns))
        kind, is_null = columns[0].kind, np.logical_and.reduce([column.is_null for column in columns])
        if kind.dtype is None:
            combine = joined if field.logical_type == "string" else first_text_of
            values = FieldValues(kind, combine([column.texts for column in columns]), is_null, invalid)
        else:
            values = FieldValues(kind, first_of(columns), is_null, invalid)
    when_empty = field.option("whenEmpty")
    return values if when_empty is None else values.filled(when_empty)


def _chosen_phones(
    firsts: Sequence[FieldValues], seconds: Sequence[FieldValues], letters: Letters
) -> dict[str, FieldValues]:
    """The first two different callable numbers, in the order of the contract's columns."""
    offered = [values for pair in zip(firsts, seconds, strict=True) for values in pair]
    first, has_first = np.zeros_like(offered[0].numbers), np.zeros(len(offered[0].is_null), dtype=bool)
    second, has_second = first.copy(), has_first.copy()
    for values in offered:
        is_first = ~has_first & ~values.is_null
        is_second = has_first & ~has_second & ~values.is_null & (values.numbers != first)
        first, has_first = np.where(is_first, values.numbers, first), has_first | is_first
        second, has_second = np.where(is_second, values.numbers, second), has_second | is_second
    return {
        "phone_1": written_phones(letters, first, ~has_first),
        "phone_2": written_phones(letters, second, ~has_second),
    }


def _not_too_long(values: FieldValues, limit: int | None) -> FieldValues:
    """Invalid where a text has more characters than it may; none has more of them than bytes, so few are counted."""
    if limit is None or values.kind.dtype is not None:
        return values
    rows = np.flatnonzero(values.texts.lengths > limit)
    if not len(rows):
        return values
    invalid = values.invalid.copy()
    invalid[rows] |= [len(text) > limit for text in values.texts.take(rows)]
    return replace(values, invalid=invalid)


# -- verdicts ----------------------------------------------------------------------------------------------------------


class _Verdicts:
    """Reason codes over all rows, one mask a code, in the order in which they were added."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._masks: dict[str, np.ndarray] = {}

    def add(self, code: str, mask: np.ndarray) -> None:
        if mask.any():
            self._masks[code] = self._masks[code] | mask if code in self._masks else mask

    def clear(self, rows: np.ndarray) -> None:
        self._masks = {code: kept for code, mask in self._masks.items() if (kept := mask & ~rows).any()}

    @property
    def any(self) -> np.ndarray:
        return reduce(np.logical_or, self._masks.values(), np.zeros(self._count, dtype=bool))

    def codes(self, rows: np.ndarray) -> tuple[tuple[tuple[str, ...], ...], np.ndarray]:
        """The different sets of codes these rows (a mask) have, and which of them each row has."""
        combined = np.zeros(int(rows.sum()), dtype=np.int64)
        for bit, mask in enumerate(self._masks.values()):
            combined |= mask[rows].astype(np.int64) << bit
        with_any = np.flatnonzero(combined)
        combinations, positions_of_any = np.unique(combined[with_any], return_inverse=True)
        # the first one is of the rows without any
        combinations, positions = np.append(0, combinations), np.zeros(len(combined), dtype=np.int64)
        positions[with_any] = positions_of_any + 1
        names = list(self._masks)
        sets = (tuple(name for bit, name in enumerate(names) if combination >> bit & 1) for combination in combinations)
        return tuple(sets), positions


def _judge_fields(
    landing: Iterable[Column],
    fields: Mapping[str, FieldValues],
    unusable_phones: np.ndarray,
    reasons: _Verdicts,
    flags: _Verdicts,
) -> None:
    """`<field>_missing` and `<field>_invalid`, as reasons or as flags, as the landing contract says."""
    for field in landing:
        found = fields[field.name]
        if field.option("filledBy") == "phone":
            flags.add(f"{field.reason_name}_invalid", unusable_phones)
            continue
        verdicts = flags if field.is_flagged_when_invalid else reasons
        verdicts.add(f"{field.reason_name}_invalid", found.invalid)
        if field.is_required:
            reasons.add(f"{field.reason_name}_missing", found.is_null & ~found.invalid)


Rule = Callable[[Sequence[FieldValues], RowRule, Month | None], np.ndarray]


def _not_positive(fields: Sequence[FieldValues], _rule: RowRule, _month: Month | None) -> np.ndarray:
    return ~fields[0].is_null & (fields[0].numbers <= 0)


def _out_of_order(fields: Sequence[FieldValues], _rule: RowRule, _month: Month | None) -> np.ndarray:
    earlier, later = fields
    if earlier.kind is DATE and later.kind is DATE:
        return ~earlier.is_null & ~later.is_null & (earlier.numbers > later.numbers)
    pairs = zip(earlier.to_list(), later.to_list(), strict=True)
    return np.array([None not in (first, second) and first > second for first, second in pairs], dtype=bool)


def _outside_file_month(fields: Sequence[FieldValues], rule: RowRule, month: Month | None) -> np.ndarray:
    """Days before or after the month the file is named after, but for the days the contract leaves on either side."""
    days = fields[0]
    if month is None:
        return np.zeros(len(days.is_null), dtype=bool)
    first = DATE.store(month.first_day) - rule.limits.get("daysBefore", 0)
    last = DATE.store(month.last_day) + rule.limits.get("daysAfter", 0)
    return ~days.is_null & ((days.numbers < first) | (days.numbers > last))


# What a contract may ask of a row (quality, engine vroegsignalering); each answers where it is broken, and a row
# without one of the values cannot break it.
_IN_FILE_MONTH = "in_file_month"
ROW_RULES: dict[str, Rule] = {
    "positive": _not_positive,
    "in_order": _out_of_order,
    _IN_FILE_MONTH: _outside_file_month,
}


def _other_months(
    rules: Iterable[RowRule], fields: Mapping[str, FieldValues], month: Month | None
) -> Mapping[Month, int]:
    """How many rows are of which other month than the file's."""
    for rule in rules:
        if rule.rule != _IN_FILE_MONTH or month is None:
            continue
        found = fields[rule.fields[0]]
        days = Counter(found.numbers[_outside_file_month([found], rule, month)].tolist())
        counted: Counter[Month] = Counter()
        for number, rows in days.items():
            day = DATE.restore(number)
            counted[Month(day.year, day.month)] += rows
        return counted
    return {}


def _mark_duplicates(
    landing: Iterable[Column],
    fields: Mapping[str, FieldValues],
    is_bad: np.ndarray,
    reasons: _Verdicts,
    seen: ReferencesSeen,
) -> np.ndarray:
    """Good rows whose key a good row before them has; a bad row behind that row gets the reason beside its own."""
    key = [fields[field.name].values for field in landing if field.is_key]
    if not key:
        return np.zeros(len(is_bad), dtype=bool)
    comes_after_good = seen.come_again(key, ~is_bad)
    reasons.add(REFERENCE_DUPLICATE, comes_after_good)
    return comes_after_good & ~is_bad


# -- result ------------------------------------------------------------------------------------------------------------


def _divided(
    contract: Contract,
    file_name: str,
    opened: OpenedFile,
    fields: Mapping[str, FieldValues],
    reasons: _Verdicts,
    flags: _Verdicts,
    is_bad: np.ndarray,
    is_duplicate: np.ndarray,
) -> JudgedDelivery:
    is_good = ~is_bad & ~is_duplicate
    return JudgedDelivery(
        contract=contract,
        file_name=file_name,
        rejection=None,
        warnings=(),
        good=GoodRows(opened.line_numbers, fields, np.flatnonzero(is_good), *flags.codes(is_good)),
        held=_with_reasons(opened.line_numbers[is_bad], _as_lists(*reasons.codes(is_bad))),
        doubled=_with_reasons(opened.line_numbers[is_duplicate], _as_lists(*reasons.codes(is_duplicate))),
        opened=opened,
        other_months={},
    )


def _whole(parts: Sequence[JudgedDelivery]) -> JudgedDelivery:
    """The parts of a delivery as one."""
    import polars as pl

    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        good=_good_of_all(parts),
        held=pl.concat([part.held for part in parts]),
        doubled=pl.concat([part.doubled for part in parts]),
        opened=together([part.opened for part in parts]),
        other_months=sum((Counter(part.other_months) for part in parts), Counter()),
    )


def _good_of_all(parts: Sequence[JudgedDelivery]) -> GoodRows:
    good, letters = [part.good for part in parts], Letters()
    begins = [letters.add(part.opened.letters.whole) for part in parts]
    rows_before = np.cumsum([0, *(len(one.line_numbers_of_all) for one in good)])
    sets_before = np.cumsum([0, *(len(one.flag_sets) for one in good)])
    return GoodRows(
        np.concatenate([one.line_numbers_of_all for one in good]),
        {name: parts_as_one([one.fields[name] for one in good], letters, begins) for name in good[0].fields},
        np.concatenate([one.rows + before for one, before in zip(good, rows_before, strict=False)]),
        tuple(flags for one in good for flags in one.flag_sets),
        np.concatenate([one.flag_set_of_row + before for one, before in zip(good, sets_before, strict=False)]),
    )


def rejected(contract: Contract, file_name: str, rejection: Rejection) -> JudgedDelivery:
    """A delivery that is refused without being opened."""
    return replace(_judged(contract, file_name, nothing()), rejection=rejection)


def withhold(judged: JudgedDelivery, is_withheld: np.ndarray, reason: str) -> JudgedDelivery:
    """Move good rows to quarantine for a reason that only the warehouse knows (a request nobody made)."""
    import polars as pl

    if not is_withheld.any():
        return judged
    lines = judged.good.line_numbers[is_withheld]
    held = _with_reasons(lines, pl.Series([[reason]] * len(lines), dtype=pl.List(pl.String)))
    return replace(judged, good=judged.good.only(~is_withheld), held=pl.concat([judged.held, held]))


def _within_threshold(judged: JudgedDelivery) -> JudgedDelivery:
    """The delivery, or its rejection when too many of its rows are bad."""
    rejection = too_many_bad_rows(
        judged.contract, judged.file_name, len(judged.held), judged.rows_in_file, judged.other_months
    )
    nobody = np.zeros(len(judged.good), dtype=bool)
    return replace(judged, rejection=rejection, good=judged.good.only(nobody)) if rejection else judged


def _with_reasons(lines: np.ndarray, reasons: pl.Series) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"line_number": pl.Series(lines, dtype=pl.Int64), "reasons": reasons})


def _judged(contract: Contract, file_name: str, opened: OpenedFile) -> JudgedDelivery:
    """A delivery (or part) without rows."""
    import polars as pl

    none, kinds = (
        np.empty(0, dtype=np.int64),
        {field.name: _FIELD_KINDS.get(field.logical_type, TEXT) for field in _landing(contract)},
    )
    fields = {name: FieldValues.absent(kind, opened.letters, 0) for name, kind in kinds.items()}
    no_reasons = _with_reasons(none, pl.Series([], dtype=pl.List(pl.String)))
    return JudgedDelivery(
        contract=contract,
        file_name=file_name,
        rejection=None,
        warnings=(),
        good=GoodRows(none, fields, none, (), none),
        held=no_reasons,
        doubled=no_reasons,
        opened=opened,
        other_months={},
    )
