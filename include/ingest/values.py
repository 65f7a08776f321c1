"""The values of a part: numbers as arrays, texts as places in one long text.

Rule: a text that stands in the file is never copied for being read. What a reader makes of a text (or a text from a
workbook) is written behind all others, so every text of a part is a begin and a length in the same letters.
Reason: a part has millions of values and few of them are changed; where they stand is all that must be carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl

# see `are_many`
MANY_ROWS = 2_000
COUNTRY_CODE = np.frombuffer(b"+31", dtype=np.uint8)
BETWEEN = "\x1f"
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Kind:
    """What a field holds: the array its values stand in (None: texts), how a value gets in there and out again."""

    dtype: str | None = None
    store: Callable[[Any], Any] = str
    restore: Callable[[Any], Any] = lambda value: value


TEXT = Kind()
DATE = Kind("int32", lambda day: day.toordinal() - _EPOCH, lambda days: date.fromordinal(days + _EPOCH))
INTEGER = Kind("int64", int)
BOOLEAN = Kind("bool", bool)
# in cents
AMOUNT = Kind("int64", lambda euros: int(euros.scaleb(2)), lambda cents: Decimal(cents).scaleb(-2))
# the nine digits behind the country code
PHONE = Kind("int64", lambda number: int(number.removeprefix("+31")), lambda digits: f"+31{digits:09}")
# kept as they are written in ISO or in full, because a column would change their time zone or their decimals
DECIMAL = Kind(store=str, restore=Decimal)
TIMESTAMP = Kind(store=datetime.isoformat, restore=datetime.fromisoformat)
TIME = Kind(store=time.isoformat, restore=time.fromisoformat)


def are_many(rows: Sized) -> bool:
    """True when compiled loops (include/ingest/loops.py) are worth the while it takes to load them."""
    return len(rows) >= MANY_ROWS


def column_type(kind: Kind) -> pl.DataType:
    """The type of a column of a frame that holds this kind."""
    import polars as pl

    if kind is AMOUNT:
        return pl.Decimal(14, 2)
    if kind is DATE:
        return pl.Date()
    return {"int64": pl.Int64(), "bool": pl.Boolean()}.get(kind.dtype or "", pl.String())


class Letters:
    """All texts of a part in UTF-8: the part itself, and behind it what was made of it."""

    def __init__(self, first: bytes = b"") -> None:
        # what stands in the file; the rest is put together when somebody asks for the whole
        self.first = np.frombuffer(first, dtype=np.uint8)
        self._pieces = [self.first]
        self._size = len(first)

    def add(self, letters: np.ndarray) -> int:
        """Where these (one byte each) begin from now on."""
        begin = self._size
        self._pieces.append(letters)
        self._size += len(letters)
        return begin

    @property
    def whole(self) -> np.ndarray:
        """All of them, one byte each."""
        if len(self._pieces) > 1:
            self._pieces = [np.concatenate(self._pieces)]
        return self._pieces[0]


def refuse_outside(letters: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> None:
    """IndexError when a text would stand outside the letters."""
    if begins.min(initial=0) < 0 or (begins + lengths).max(initial=0) > len(letters):
        raise IndexError("a value would stand outside the text of its part; this is a fault in include/ingest")


@dataclass(frozen=True)
class Texts:
    """A column of texts: where each begins in the letters and how many bytes it has; -1 is none."""

    letters: Letters
    begins: np.ndarray
    lengths: np.ndarray

    @classmethod
    def none(cls, letters: Letters, count: int) -> Texts:
        return cls(letters, np.zeros(count, dtype=np.int32), np.full(count, -1, dtype=np.int32))

    @classmethod
    def written(cls, letters: Letters, texts: Iterable[str | None]) -> Texts:
        """These texts, written behind the letters there are."""
        encoded = [None if text is None else text.encode() for text in texts]
        lengths = np.array([-1 if text is None else len(text) for text in encoded], dtype=np.int32)
        begin = letters.add(np.frombuffer(b"".join(filter(None, encoded)), dtype=np.uint8))
        ends = begin + np.cumsum(np.maximum(lengths, 0), dtype=np.int32)
        return cls(letters, (ends - np.maximum(lengths, 0)).astype(np.int32), lengths)

    @classmethod
    def of_width(cls, letters: Letters, written: np.ndarray, is_null: np.ndarray) -> Texts:
        """Texts of so many bytes each: `written` has one row of letters a text."""
        count, width = written.shape
        begins = letters.add(written.ravel()) + width * np.arange(count, dtype=np.int32)
        return cls(letters, begins.astype(np.int32), np.where(is_null, np.int32(-1), np.int32(width)))

    @property
    def is_null(self) -> np.ndarray:
        return self.lengths < 0

    def places_of(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The letters in which the texts of these rows stand, with all begins and lengths.

        IndexError when one would stand outside them: compiled loops look wherever they are sent.
        """
        begins, lengths = self.begins[rows], self.lengths[rows]
        are_in_file = (begins + lengths).max(initial=0) <= len(self.letters.first)
        letters = self.letters.first if are_in_file else self.letters.whole
        refuse_outside(letters, begins, lengths)
        return letters, self.begins, self.lengths

    def take(self, rows: np.ndarray) -> list[str]:
        """The texts of these rows, each of which has one."""
        letters, begins, lengths = self.places_of(rows)
        view, begins = memoryview(letters), begins[rows]
        ends = begins + lengths[rows]
        return [str(view[begin:end], "utf-8") for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    def only(self, is_kept: np.ndarray) -> Texts:
        """The texts where the mask says so, none elsewhere."""
        return Texts(self.letters, self.begins, np.where(is_kept, self.lengths, np.int32(-1)))

    def scattered(self, rows: np.ndarray, texts: Texts) -> Texts:
        """The same, but with these texts at these rows."""
        begins, lengths = self.begins.copy(), self.lengths.copy()
        begins[rows], lengths[rows] = texts.begins, texts.lengths
        return Texts(self.letters, begins, lengths)

    def at(self, places: np.ndarray) -> Texts:
        return Texts(self.letters, self.begins[places], self.lengths[places])


@dataclass(frozen=True)
class FieldValues:
    """The values of one field over all rows, and where there is none; `invalid` where the text could not be read."""

    kind: Kind
    data: Texts | np.ndarray
    is_null: np.ndarray
    invalid: np.ndarray

    @classmethod
    def absent(cls, kind: Kind, letters: Letters, count: int) -> FieldValues:
        """No value anywhere."""
        data = Texts.none(letters, count) if kind.dtype is None else np.zeros(count, dtype=kind.dtype)
        return cls(kind, data, np.ones(count, dtype=bool), np.zeros(count, dtype=bool))

    @classmethod
    def of(cls, kind: Kind, data: Texts | np.ndarray, is_null: np.ndarray) -> FieldValues:
        """Values that could all be read."""
        return cls(kind, data, is_null, np.zeros(len(is_null), dtype=bool))

    @property
    def texts(self) -> Texts:
        """The values of a field of texts."""
        assert isinstance(self.data, Texts)
        return self.data

    @property
    def numbers(self) -> np.ndarray:
        """The values of any other field, as its kind stores them."""
        assert isinstance(self.data, np.ndarray)
        return self.data

    def filled(self, value: Any) -> FieldValues:
        """The same with this value where there is none."""
        rows = np.flatnonzero(self.is_null)
        if not len(rows):
            return self
        if isinstance(self.data, Texts):
            same = Texts.written(self.data.letters, [self.kind.store(value)]).at(np.zeros(len(rows), dtype=np.int64))
            return FieldValues(self.kind, self.data.scattered(rows, same), np.zeros_like(self.is_null), self.invalid)
        numbers = np.where(self.is_null, self.numbers.dtype.type(self.kind.store(value)), self.numbers)
        return FieldValues(self.kind, numbers, np.zeros_like(self.is_null), self.invalid)

    @cached_property
    def values(self) -> pl.Series:
        """The values as a column of a frame."""
        import polars as pl

        if isinstance(self.data, Texts):
            return _series(self.data, len(self.is_null))
        if self.kind in (AMOUNT, PHONE):
            return pl.Series(self.to_list(), dtype=column_type(self.kind) if self.kind is AMOUNT else pl.String())
        values = pl.Series(self.data).to_frame("values")
        return values.select(pl.when(pl.Series(~self.is_null)).then("values").cast(column_type(self.kind))).to_series()

    def to_list(self) -> list[Any]:
        """The values as Python has them."""
        if isinstance(self.data, Texts):
            stored: list[Any] = [None] * len(self.is_null)
            for row, text in zip(rows := np.flatnonzero(~self.is_null), self.data.take(rows), strict=True):
                stored[row] = text
        else:
            stored = self.data.tolist()
        return [
            None if is_null else self.kind.restore(value)
            for value, is_null in zip(stored, self.is_null.tolist(), strict=True)
        ]


def _series(texts: Texts, count: int) -> pl.Series:
    """The texts as a column; readers never answer an empty one."""
    import polars as pl

    rows = np.flatnonzero(~texts.is_null)
    if not len(rows):
        return pl.repeat(None, count, dtype=pl.String, eager=True)
    values = _in_one_go(texts, rows) if are_many(rows) else pl.Series(texts.take(rows), dtype=pl.String)
    if len(rows) == count:
        return values
    return pl.repeat(None, count, dtype=pl.String, eager=True).scatter(rows, values)


def _in_one_go(texts: Texts, rows: np.ndarray) -> pl.Series:
    """Many texts at once; one by one where one of them has the sign that goes between them."""
    import polars as pl

    from include.ingest.loops import side_by_side

    joined = side_by_side(*texts.places_of(rows), rows, ord(BETWEEN)).tobytes()
    if joined.count(BETWEEN.encode()) != len(rows) - 1:
        return pl.Series(texts.take(rows), dtype=pl.String)
    return pl.Series([joined.decode()]).str.split(BETWEEN).explode()


# -- several columns that fill one field -------------------------------------------------------------------------------


def joined(columns: Sequence[Texts]) -> Texts:
    """The texts of several columns as one: where more than one has any, with a space between them."""
    found = first_text_of(columns)
    several = np.flatnonzero(np.sum([~column.is_null for column in columns], axis=0) > 1)
    if not len(several):
        return found
    together = [
        " ".join(column.take(np.array([row]))[0] for column in columns if column.lengths[row] >= 0) for row in several
    ]
    return found.scattered(several, Texts.written(found.letters, together))


def first_text_of(columns: Sequence[Texts]) -> Texts:
    """Of several columns the first one with a text."""
    begins, lengths = columns[0].begins, columns[0].lengths
    for other in columns[1:]:
        is_empty = lengths < 0
        begins, lengths = np.where(is_empty, other.begins, begins), np.where(is_empty, other.lengths, lengths)
    return Texts(columns[0].letters, begins, lengths)


def first_of(columns: Sequence[FieldValues]) -> np.ndarray:
    """Of values that are no texts the first one counts."""
    numbers, is_null = columns[0].numbers, columns[0].is_null
    for other in columns[1:]:
        numbers, is_null = np.where(is_null, other.numbers, numbers), is_null & other.is_null
    return numbers


def parts_as_one(parts: Sequence[FieldValues], letters: Letters, begins: Sequence[int]) -> FieldValues:
    """The values of the parts of a file as one; the letters of each part begin there in those of all."""
    kind, is_null = parts[0].kind, np.concatenate([part.is_null for part in parts])
    invalid = np.concatenate([part.invalid for part in parts])
    if kind.dtype is not None:
        return FieldValues(kind, np.concatenate([part.numbers for part in parts]), is_null, invalid)
    moved = [part.texts.begins + begin for part, begin in zip(parts, begins, strict=True)]
    lengths = np.concatenate([part.texts.lengths for part in parts])
    return FieldValues(kind, Texts(letters, np.concatenate(moved).astype(np.int32), lengths), is_null, invalid)


# -- telephone numbers -------------------------------------------------------------------------------------------------


def written_phones(letters: Letters, numbers: np.ndarray, is_null: np.ndarray) -> FieldValues:
    """Telephone numbers (as PHONE stores them) as texts."""
    if is_null.all():
        return FieldValues.absent(TEXT, letters, len(is_null))
    if are_many(numbers):
        from include.ingest.loops import written_digits

        return FieldValues.of(TEXT, Texts.of_width(letters, written_digits(numbers, COUNTRY_CODE, 9), is_null), is_null)
    rows = np.flatnonzero(~is_null)
    shown = Texts.written(letters, map(PHONE.restore, numbers[rows].tolist()))
    return FieldValues.of(TEXT, Texts.none(letters, len(is_null)).scattered(rows, shown), is_null)
