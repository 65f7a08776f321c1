"""Judge a delivery by its contract: which rows are good, which are not and why, or why the whole file is refused.

Rule (interfaces §2): every row of the file ends in exactly one of good, quarantined (with all its reasons) or
duplicate; a file is refused as a whole when it cannot be opened, lacks a column, or has more bad rows than its contract
allows. Everything follows from two contracts: the sender's (which column fills which field, by which reader) and the
one of the table the rows land in (what must be there, what may be left out, which rules hold between fields).
How it works: columns are read set-wise (include/ingest/readers.py), verdicts are masks over all rows; no row is looked
at by itself. No I/O happens here, so a contract can be tried on a sample.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from include.contracts.headers import match_header
from include.contracts.registry import Column, Contract, ContractProblem, RowRule, load_contract
from include.ingest.opening import FILE_HEADER, NOTHING, FileRefused, OpenedFile, open_file
from include.ingest.readers import (
    PHONE_FIRST,
    PHONE_SECOND,
    PHONE_UNUSABLE,
    DistinctTexts,
    FieldValues,
    fields_filled,
    read_column,
)
from include.months import Month

if TYPE_CHECKING:
    import pandas as pd

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
class JudgedDelivery:
    """A delivery with its verdicts.

    `rows` holds the good rows: line_number, one column per field of the landing contract (Python values, None where
    there is none) and `flags` (tuples). `quarantined` and `duplicates` hold line_number and reasons (tuples).
    With a `rejection`, `rows` is empty and the others say what was found.
    """

    contract: Contract
    file_name: str
    rejection: Rejection | None
    warnings: tuple[DeliveryWarning, ...]
    rows: pd.DataFrame
    quarantined: pd.DataFrame
    duplicates: pd.DataFrame
    opened: OpenedFile

    @property
    def rows_in_file(self) -> int:
        return len(self.opened.rows)

    @property
    def is_accepted(self) -> bool:
        return self.rejection is None


def read_delivery(contract: Contract, file_name: str, data: bytes) -> JudgedDelivery:
    """Judge the bytes of one file of `contract`; never raises for what is in them."""
    landing = _landing(contract)
    try:
        opened = open_file(contract, data)
        if not opened.header:
            return _judged(contract, file_name, NOTHING, warnings=[DeliveryWarning(FILE_EMPTY, "the file has no rows")])
        places, warnings = _match_header(contract, opened)
    except FileRefused as refusal:
        return _judged(contract, file_name, NOTHING, rejection=Rejection(refusal.code, refusal.detail))
    if opened.is_empty:
        warnings.append(DeliveryWarning(FILE_EMPTY, "the file has a header and no rows"))
        return _judged(contract, file_name, opened, warnings=warnings)

    fields, unusable = _read_fields(contract, landing, opened, places)
    reasons = _Verdicts(len(opened.rows))
    flags = _Verdicts(len(opened.rows))
    _judge_fields(landing, fields, unusable, reasons, flags)
    named = contract.read_file_name(file_name)
    month = named.month if named else None
    rules = _rules(contract)
    for rule in rules:
        reasons.add(rule.reason, ROW_RULES[rule.rule]([fields[name].values for name in rule.fields], rule, month))
    if opened.misshapen.any():
        # its values stand in the wrong columns, so what they say about each other means nothing
        reasons.clear(opened.misshapen)
        reasons.add(ROW_MISSHAPEN, opened.misshapen)
    is_bad = reasons.any
    is_duplicate = _mark_duplicates(landing, fields, is_bad, reasons)
    judged = _divided(contract, file_name, opened, fields, warnings, reasons, flags, is_bad, is_duplicate)
    return _within_threshold(judged, _other_month(rules, fields, month))


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
    count = len(opened.rows)
    cells = list(zip(*opened.rows, strict=True))
    found: dict[str, list[FieldValues]] = {}
    for column in contract.columns:
        if column.name in places and fields_filled(column):
            index = places[column.name]
            distinct = DistinctTexts.of(cells[index], opened.number_cells.get(index))
            for field, values in read_column(column, distinct).items():
                found.setdefault(field, []).append(values)
    fields = {field.name: _filled(field, found.get(field.name, []), count) for field in landing}
    unusable = np.zeros(count, dtype=bool)
    if PHONE_FIRST in found:
        fields |= _choose_phones(found)
        unusable = reduce(np.logical_or, (values.invalid for values in found[PHONE_UNUSABLE]))
    return fields, unusable


def _filled(field: Column, found: Sequence[FieldValues], count: int) -> FieldValues:
    """One field from the columns that fill it: texts are joined with a space."""
    if not found:
        values, invalid = np.full(count, None, dtype=object), np.zeros(count, dtype=bool)
    else:
        combined = _joined if field.logical_type == "string" else _first_given
        values = reduce(combined, (one.values for one in found))
        invalid = reduce(np.logical_or, (one.invalid for one in found))
    when_empty = field.option("whenEmpty")
    if when_empty is not None:
        values = np.where(_is_none(values), when_empty, values)
    if field.max_length is not None:
        invalid = invalid | (_lengths(values) > field.max_length)
    return FieldValues(values, invalid)


def _first_given(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.where(_is_none(left), right, left)


def _joined(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    no_left, no_right = _is_none(left), _is_none(right)
    joined = np.where(no_left, right, left)
    both = ~no_left & ~no_right
    if both.any():
        joined[both] = left[both] + " " + right[both]
    return joined


def _choose_phones(found: Mapping[str, Sequence[FieldValues]]) -> dict[str, FieldValues]:
    """The first two different callable numbers, in the order of the contract's columns."""
    pairs = zip(found[PHONE_FIRST], found[PHONE_SECOND], strict=True)
    candidates = [one.values for pair in pairs for one in pair]
    first = reduce(lambda chosen, offered: np.where(_is_none(chosen), offered, chosen), candidates)
    second = np.full(len(first), None, dtype=object)
    for offered in candidates:
        second = np.where(_is_none(second) & (offered != first), offered, second)
    nowhere = np.zeros(len(first), dtype=bool)
    return {"phone_1": FieldValues(first, nowhere), "phone_2": FieldValues(second, nowhere)}


def _is_none(values: np.ndarray) -> np.ndarray:
    return np.equal(values, None).astype(bool)


def _lengths(values: np.ndarray) -> np.ndarray:
    return np.fromiter((len(value) if value else 0 for value in values), dtype=np.int64, count=len(values))


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

    def codes(self, rows: np.ndarray) -> np.ndarray:
        """The codes of each of these rows, as tuples."""
        combined = np.zeros(self._count, dtype=np.int64)
        for bit, mask in enumerate(self._masks.values()):
            combined |= mask.astype(np.int64) << bit
        combinations, positions = np.unique(combined[rows], return_inverse=True)
        names = list(self._masks)
        tuples = np.empty(len(combinations), dtype=object)
        for index, combination in enumerate(combinations):
            tuples[index] = tuple(name for bit, name in enumerate(names) if combination >> bit & 1)
        return tuples[positions] if len(combinations) else tuples


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
            reasons.add(f"{field.reason_name}_missing", _is_none(found.values) & ~found.invalid)


def _not_positive(columns: Sequence[np.ndarray], _rule: RowRule, _month: Month | None) -> np.ndarray:
    return _where_all(columns, lambda amounts: amounts <= 0)


def _out_of_order(columns: Sequence[np.ndarray], _rule: RowRule, _month: Month | None) -> np.ndarray:
    return _where_all(columns, lambda first, second: first > second)


def _outside_file_month(columns: Sequence[np.ndarray], rule: RowRule, month: Month | None) -> np.ndarray:
    """Days before or after the month the file is named after, but for the days the contract leaves on either side."""
    if month is None:
        return np.zeros(len(columns[0]), dtype=bool)
    first = month.first_day - timedelta(days=rule.limits.get("daysBefore", 0))
    last = month.last_day + timedelta(days=rule.limits.get("daysAfter", 0))
    return _where_all(columns, lambda days: (days < first) | (days > last))


def _where_all(columns: Sequence[np.ndarray], broken: Callable[..., np.ndarray]) -> np.ndarray:
    """Where the rule is broken; a row without one of the values cannot break it."""
    present = reduce(np.logical_and, (~_is_none(values) for values in columns))
    mask = np.zeros(len(columns[0]), dtype=bool)
    mask[present] = broken(*(values[present] for values in columns)).astype(bool)
    return mask


# What a contract may ask of a row (quality, engine vroegsignalering); each answers where it is broken.
_IN_FILE_MONTH = "in_file_month"
ROW_RULES: dict[str, Callable[[Sequence[np.ndarray], RowRule, Month | None], np.ndarray]] = {
    "positive": _not_positive,
    "in_order": _out_of_order,
    _IN_FILE_MONTH: _outside_file_month,
}


def _other_month(rules: Iterable[RowRule], fields: Mapping[str, FieldValues], month: Month | None) -> str:
    """When most rows are of one other month than the file's: which month that is, in words for the sender."""
    for rule in rules:
        if rule.rule != _IN_FILE_MONTH or month is None:
            continue
        days = fields[rule.fields[0]].values
        months = Counter(f"{day:%Y-%m}" for day in days[_outside_file_month([days], rule, month)])
        for other, rows in months.most_common(1):
            if 2 * rows > len(days):
                return f"; {rows} rows are of {other} and the file is named after {month}: correct its name or its rows"
    return ""


def _mark_duplicates(
    landing: Iterable[Column], fields: Mapping[str, FieldValues], is_bad: np.ndarray, reasons: _Verdicts
) -> np.ndarray:
    """Good rows whose key a good row before them has; a bad row behind that row gets the reason beside its own."""
    import pandas as pd

    key = [field.name for field in landing if field.is_key]
    if not key:
        return np.zeros(len(is_bad), dtype=bool)
    groups = pd.DataFrame({name: fields[name].values for name in key}).groupby(key, dropna=False, sort=False).ngroup()
    positions = pd.Series(np.arange(len(is_bad)))
    first_good = positions[~is_bad].groupby(groups[~is_bad]).min()
    comes_after_good = (positions > groups.map(first_good)).to_numpy(dtype=bool)
    has_key = reduce(np.logical_or, (~_is_none(fields[name].values) for name in key))
    reasons.add(REFERENCE_DUPLICATE, comes_after_good & has_key)
    return comes_after_good & ~is_bad


# -- result ------------------------------------------------------------------------------------------------------------


def _divided(
    contract: Contract,
    file_name: str,
    opened: OpenedFile,
    fields: Mapping[str, FieldValues],
    warnings: list[DeliveryWarning],
    reasons: _Verdicts,
    flags: _Verdicts,
    is_bad: np.ndarray,
    is_duplicate: np.ndarray,
) -> JudgedDelivery:
    import pandas as pd

    is_good = ~is_bad & ~is_duplicate
    columns: dict[str, Any] = {"line_number": opened.line_numbers[is_good]}
    columns |= {name: values.values[is_good] for name, values in fields.items()}
    return _judged(
        contract,
        file_name,
        opened,
        warnings=warnings,
        rows=pd.DataFrame(columns | {"flags": flags.codes(is_good)}, dtype=object),
        quarantined=_with_reasons(opened.line_numbers[is_bad], reasons.codes(is_bad)),
        duplicates=_with_reasons(opened.line_numbers[is_duplicate], reasons.codes(is_duplicate)),
    )


def rejected(contract: Contract, file_name: str, rejection: Rejection) -> JudgedDelivery:
    """A delivery that is refused without being opened."""
    return _judged(contract, file_name, NOTHING, rejection=rejection)


def withhold(judged: JudgedDelivery, is_withheld: np.ndarray, reason: str) -> JudgedDelivery:
    """Move good rows to quarantine for a reason that only the warehouse knows (a request nobody made)."""
    import pandas as pd

    if not is_withheld.any():
        return judged
    lines = judged.rows["line_number"].to_numpy()[is_withheld]
    reasons = np.empty(len(lines), dtype=object)
    reasons[:] = [(reason,)] * len(lines)
    quarantined = pd.concat([judged.quarantined, _with_reasons(lines, reasons)], ignore_index=True)
    return _within_threshold(replace(judged, rows=judged.rows[~is_withheld], quarantined=quarantined))


def _within_threshold(judged: JudgedDelivery, remark: str = "") -> JudgedDelivery:
    """The delivery, or its rejection when too many of its rows are bad; `remark` says more about why."""
    contract, bad, rows = judged.contract, len(judged.quarantined), judged.rows_in_file
    if bad <= contract.quarantine_threshold * rows:
        return judged
    detail = (
        f"{bad} of {rows} rows are bad, more than the {contract.quarantine_threshold:.0%} that {contract.reference} "
        f"allows{remark or '; repair the file and deliver it again'}"
    )
    return replace(judged, rejection=Rejection(FILE_THRESHOLD, detail), rows=judged.rows[:0])


def _with_reasons(lines: np.ndarray, reasons: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"line_number": lines, "reasons": reasons}, dtype=object)


def _judged(
    contract: Contract,
    file_name: str,
    opened: OpenedFile,
    *,
    rejection: Rejection | None = None,
    warnings: Sequence[DeliveryWarning] = (),
    rows: pd.DataFrame | None = None,
    quarantined: pd.DataFrame | None = None,
    duplicates: pd.DataFrame | None = None,
) -> JudgedDelivery:
    import pandas as pd

    fields = [field.name for field in _landing(contract)]
    no_rows = pd.DataFrame(columns=["line_number", *fields, "flags"], dtype=object)
    no_reasons = pd.DataFrame(columns=["line_number", "reasons"], dtype=object)
    return JudgedDelivery(
        contract=contract,
        file_name=file_name,
        rejection=rejection,
        warnings=tuple(warnings),
        rows=no_rows if rows is None else rows,
        quarantined=no_reasons if quarantined is None else quarantined,
        duplicates=no_reasons if duplicates is None else duplicates,
        opened=opened,
    )
