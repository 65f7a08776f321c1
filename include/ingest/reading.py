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
from datetime import timedelta
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from include.contracts.headers import match_header
from include.contracts.registry import Column, Contract, ContractProblem, RowRule, load_contract
from include.ingest.opening import FILE_HEADER, FileRefused, OpenedFile, nothing, open_parts, together
from include.ingest.readers import (
    AMOUNT,
    BOOLEAN,
    DATE,
    INTEGER,
    PHONE_FIRST,
    PHONE_SECOND,
    PHONE_UNUSABLE,
    TEXT,
    FieldValues,
    Kind,
    column_type,
    fields_filled,
    read_columns,
)
from include.ingest.references import ReferencesSeen
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
class JudgedDelivery:
    """A delivery, or one part of it, with its verdicts.

    `good` holds the good rows: line_number, one column per field of the landing contract (null where there is no
    value) and `flags`. `held` and `doubled` hold line_number and reasons of the quarantined rows and the duplicates.
    `kinds` says what the fields are; `other_months` how many rows are of which other month than the file. With a
    `rejection`, `good` is empty and the others say what was found.
    """

    contract: Contract
    file_name: str
    rejection: Rejection | None
    warnings: tuple[DeliveryWarning, ...]
    kinds: Mapping[str, Kind]
    good: pl.DataFrame
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

        columns: dict[str, Any] = {"line_number": self.good["line_number"].to_list()}
        for field, kind in self.kinds.items():
            columns[field] = FieldValues(kind, self.good[field], np.empty(0)).to_list()
        columns["flags"] = list(map(tuple, self.good["flags"].to_list()))
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
    count = len(opened)
    wanted = {
        str(places[column.name]): column
        for column in contract.columns
        if column.name in places and fields_filled(column)
    }
    numbers = {str(place): mask for place, mask in opened.number_cells.items()}
    answered = read_columns(wanted, opened.cells, numbers)
    found: dict[str, list[FieldValues]] = {}
    for answers in answered.values():
        for field, values in answers:
            found.setdefault(field, []).append(values)
    fields = _fill(landing, found, count)
    unusable = np.zeros(count, dtype=bool)
    if PHONE_UNUSABLE in found:
        unusable = reduce(np.logical_or, (values.invalid for values in found[PHONE_UNUSABLE]))
    return fields, unusable


_FIELD_KINDS = {"number": AMOUNT, "integer": INTEGER, "boolean": BOOLEAN, "date": DATE}


def _fill(landing: Sequence[Column], found: Mapping[str, Sequence[FieldValues]], count: int) -> dict[str, FieldValues]:
    """Each landing field from the columns that fill it; all of them in one go."""
    import polars as pl

    given = pl.DataFrame({
        f"{field}.{number}": one.values
        for field, columns in found.items()
        for number, one in enumerate(columns)
        if field != PHONE_UNUSABLE
    })  # fmt: skip
    phones = _chosen_phones(len(found[PHONE_FIRST])) if PHONE_FIRST in found else {}
    filled, kinds = {}, {}
    for field in landing:
        columns = found.get(field.name, ())
        kinds[field.name] = columns[0].kind if columns else _FIELD_KINDS.get(field.logical_type, TEXT)
        values = phones.get(field.name, _combined(field, len(columns), kinds[field.name]))
        filled[field.name] = values.alias(field.name)
    if not given.width:
        given = pl.DataFrame({"": np.arange(count)})
    values = given.select(filled.values())
    too_long = _too_long(values, {field.name: field.max_length for field in landing if field.max_length is not None})
    fields = {}
    for name, kind in kinds.items():
        invalid = reduce(np.logical_or, (one.invalid for one in found.get(name, ())), np.zeros(count, dtype=bool))
        if name in too_long:
            invalid = invalid | too_long[name]
        fields[name] = FieldValues(kind, values[name], invalid)
    return fields


def _too_long(values: pl.DataFrame, limits: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Where a text has more characters than it may; no text has more of them than bytes, so few columns are counted."""
    import polars as pl

    longest = values.select(pl.col(name).str.len_bytes().max() for name in limits).row(0) if limits else ()
    return {
        name: (values[name].str.len_chars() > limit).fill_null(False).to_numpy()
        for (name, limit), most in zip(limits.items(), longest, strict=True)
        if most is not None and most > limit
    }


def _combined(field: Column, columns: int, kind: Kind) -> pl.Expr:
    """A field from its columns: texts are joined with a space, of other values the first one counts."""
    import polars as pl

    names = [pl.col(f"{field.name}.{number}") for number in range(columns)]
    if not names:
        # as long as the others, because nothing is as long as anything
        values = pl.when(pl.first().is_null() & pl.first().is_not_null()).then(pl.lit(None, dtype=column_type(kind)))
    elif len(names) == 1:
        values = names[0]
    elif field.logical_type == "string":
        joined = pl.concat_str(names, separator=" ", ignore_nulls=True)
        # of nothing and nothing it makes an empty text
        values = pl.when(pl.any_horizontal(name.is_not_null() for name in names)).then(joined)
    else:
        values = pl.coalesce(names)
    when_empty = field.option("whenEmpty")
    return values if when_empty is None else values.fill_null(pl.lit(when_empty, dtype=column_type(kind)))


def _chosen_phones(columns: int) -> dict[str, pl.Expr]:
    """The first two different callable numbers, in the order of the contract's columns."""
    import polars as pl

    candidates = [pl.col(f"{place}.{number}") for number in range(columns) for place in (PHONE_FIRST, PHONE_SECOND)]
    first = pl.coalesce(candidates)
    second = pl.coalesce(pl.when(offered != first).then(offered) for offered in candidates)
    return {"phone_1": first, "phone_2": second}


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

    def codes(self, rows: np.ndarray) -> pl.Series:
        """The codes of each of these rows (a mask), as lists."""
        import polars as pl

        combined = np.zeros(int(rows.sum()), dtype=np.int64)
        for bit, mask in enumerate(self._masks.values()):
            combined |= mask[rows].astype(np.int64) << bit
        with_any = np.flatnonzero(combined)
        combinations, positions_of_any = np.unique(combined[with_any], return_inverse=True)
        # the first one is of the rows without any
        combinations, positions = np.append(0, combinations), np.zeros(len(combined), dtype=np.int64)
        positions[with_any] = positions_of_any + 1
        names = list(self._masks)
        lists = [[name for bit, name in enumerate(names) if combination >> bit & 1] for combination in combinations]
        return pl.Series(lists, dtype=pl.List(pl.String)).gather(positions)


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
            if found.values.null_count():
                reasons.add(f"{field.reason_name}_missing", found.values.is_null().to_numpy() & ~found.invalid)


Rule = Callable[[Sequence[FieldValues], RowRule, Month | None], np.ndarray]


def _not_positive(fields: Sequence[FieldValues], _rule: RowRule, _month: Month | None) -> np.ndarray:
    return (fields[0].values <= 0).fill_null(False).to_numpy()


def _out_of_order(fields: Sequence[FieldValues], _rule: RowRule, _month: Month | None) -> np.ndarray:
    earlier, later = fields
    if earlier.kind is DATE and later.kind is DATE:
        return (earlier.values > later.values).fill_null(False).to_numpy()
    pairs = zip(earlier.to_list(), later.to_list(), strict=True)
    return np.array([None not in (first, second) and first > second for first, second in pairs], dtype=bool)


def _outside_file_month(fields: Sequence[FieldValues], rule: RowRule, month: Month | None) -> np.ndarray:
    """Days before or after the month the file is named after, but for the days the contract leaves on either side."""
    days = fields[0].values
    if month is None:
        return np.zeros(len(days), dtype=bool)
    first = month.first_day - timedelta(days=rule.limits.get("daysBefore", 0))
    last = month.last_day + timedelta(days=rule.limits.get("daysAfter", 0))
    return (~days.is_between(first, last)).fill_null(False).to_numpy()


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
    import polars as pl

    for rule in rules:
        if rule.rule != _IN_FILE_MONTH or month is None:
            continue
        found = fields[rule.fields[0]]
        days = found.values.filter(pl.Series(_outside_file_month([found], rule, month)))
        counted = days.dt.truncate("1mo").value_counts().iter_rows()
        return {Month(first_day.year, first_day.month): rows for first_day, rows in counted}
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
    import polars as pl

    is_good = ~is_bad & ~is_duplicate
    values = pl.DataFrame({name: found.values for name, found in fields.items()})
    good = values if is_good.all() else values.filter(pl.Series(is_good))
    good = good.select(
        pl.Series("line_number", opened.line_numbers[is_good]),
        pl.all(),
        flags.codes(is_good).alias("flags"),
    )
    return JudgedDelivery(
        contract=contract,
        file_name=file_name,
        rejection=None,
        warnings=(),
        kinds={name: found.kind for name, found in fields.items()},
        good=good,
        held=_with_reasons(opened.line_numbers[is_bad], reasons.codes(is_bad)),
        doubled=_with_reasons(opened.line_numbers[is_duplicate], reasons.codes(is_duplicate)),
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
        good=pl.concat([part.good for part in parts]),
        held=pl.concat([part.held for part in parts]),
        doubled=pl.concat([part.doubled for part in parts]),
        opened=together([part.opened for part in parts]),
        other_months=sum((Counter(part.other_months) for part in parts), Counter()),
    )


def rejected(contract: Contract, file_name: str, rejection: Rejection) -> JudgedDelivery:
    """A delivery that is refused without being opened."""
    return replace(_judged(contract, file_name, nothing()), rejection=rejection)


def withhold(judged: JudgedDelivery, is_withheld: np.ndarray, reason: str) -> JudgedDelivery:
    """Move good rows to quarantine for a reason that only the warehouse knows (a request nobody made)."""
    import polars as pl

    if not is_withheld.any():
        return judged
    lines = judged.good["line_number"].to_numpy()[is_withheld]
    held = _with_reasons(lines, pl.Series([[reason]] * len(lines), dtype=pl.List(pl.String)))
    good = judged.good.filter(pl.Series(~is_withheld))
    return replace(judged, good=good, held=pl.concat([judged.held, held]))


def flagged(judged: JudgedDelivery, flag: str) -> JudgedDelivery:
    """The same with one more flag at every good row."""
    import polars as pl

    return replace(judged, good=judged.good.with_columns(pl.col("flags").list.concat(pl.lit([flag]))))


def _within_threshold(judged: JudgedDelivery) -> JudgedDelivery:
    """The delivery, or its rejection when too many of its rows are bad."""
    rejection = too_many_bad_rows(
        judged.contract, judged.file_name, len(judged.held), judged.rows_in_file, judged.other_months
    )
    return replace(judged, rejection=rejection, good=judged.good.clear()) if rejection else judged


def _with_reasons(lines: np.ndarray, reasons: pl.Series) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"line_number": pl.Series(lines, dtype=pl.Int64), "reasons": reasons})


def _judged(contract: Contract, file_name: str, opened: OpenedFile) -> JudgedDelivery:
    """A delivery (or part) without rows."""
    import polars as pl

    kinds = {field.name: _FIELD_KINDS.get(field.logical_type, TEXT) for field in _landing(contract)}
    codes = pl.List(pl.String)
    schema: dict[str, pl.DataType] = {
        "line_number": pl.Int64(),
        **{name: column_type(kind) for name, kind in kinds.items()},
        "flags": codes,
    }
    no_reasons = _with_reasons(np.empty(0, dtype=np.int64), pl.Series([], dtype=codes))
    return JudgedDelivery(
        contract=contract,
        file_name=file_name,
        rejection=None,
        warnings=(),
        kinds=kinds,
        good=pl.DataFrame(schema=schema),
        held=no_reasons,
        doubled=no_reasons,
        opened=opened,
        other_months={},
    )
