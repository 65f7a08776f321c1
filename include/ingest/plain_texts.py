"""The plainest way of writing a value, read for a whole column at once.

Rule: nothing is decided here. A reading says which texts are written in the plainest way (`is_plain`) and what those
are; every other text goes to the exact reader of include/ingest/readers.py, which alone knows what is good and what is
not. A plain text gets precisely the answer the exact reader would give; a property test compares the two.
Reason: nine values in ten are plain, and a column of plain values costs a millisecond. Only large parts are read so: a
few hundred rows are read by the exact readers sooner than compiled loops (include/ingest/loops.py) are loaded.
How to change: a reading may become narrower at any time. Make it wider only for texts the exact reader takes, and only
for clean ones: printable ASCII, single spaces, none around it, no longer than any text may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from include.contracts.registry import Column
from include.ingest import phones
from include.ingest.values import COUNTRY_CODE, Texts

LONGEST_PLAIN = 250

# E+ may be a number that a spreadsheet shortened: the reader looks at whatever has a plus
_REFUSED_IN_TEXT, _REFUSED_IN_NAMES = ord("+"), 0
_MOST_INITIALS, _LONGEST_PLAIN_EMAIL = 10, 60
# what stands between the parts, and whether the year comes first
_DATES = {
    "dd-mm-jjjj": ("-", False), "dd/mm/jjjj": ("/", False), "jjjj-mm-dd": ("-", True), "excel": ("-", True),
}  # fmt: skip
# what stands between thousands (nothing) and before decimals
_AMOUNTS = {"nl": (ord("."), ord(",")), "point": (0, ord("."))}


@dataclass(frozen=True)
class PlainReading:
    """Which texts of a column are plain, and the values of its fields for those; None for a field without any."""

    is_plain: np.ndarray
    values: tuple[Texts | np.ndarray | None, ...]


def plain_reading(column: Column, texts: Texts) -> PlainReading | None:
    """The plain texts of a column; None when its reader has no plain reading."""
    reading = _READINGS.get(column.reader)
    return reading(column, texts) if reading else None


def _places(texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return texts.places_of(slice(None))


def _as_it_stands(texts: Texts, is_plain: np.ndarray) -> PlainReading:
    return PlainReading(is_plain, (texts.only(is_plain),))


def _text(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    return _as_it_stands(texts, loops.plain_texts(*_places(texts), LONGEST_PLAIN, _REFUSED_IN_TEXT, False))


def _surname(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    return _as_it_stands(texts, loops.plain_texts(*_places(texts), LONGEST_PLAIN, _REFUSED_IN_NAMES, True))


def _initials(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    return _as_it_stands(texts, loops.plain_initials(*_places(texts), _MOST_INITIALS))


def _email(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    return _as_it_stands(texts, loops.plain_emails(*_places(texts), _LONGEST_PLAIN_EMAIL))


def _date(column: Column, texts: Texts) -> PlainReading | None:
    from include.ingest import loops

    formats = dict.fromkeys(_DATES[name] for name in column.option("formats", ["jjjj-mm-dd"]) if name in _DATES)
    if not formats:
        return None
    days, is_plain = np.zeros(len(texts.begins), dtype=np.int32), np.zeros(len(texts.begins), dtype=bool)
    for between, is_year_first in formats:
        # what is written in one format is not written in another
        found, is_so = loops.plain_days(*_places(texts), ord(between), is_year_first)
        days, is_plain = days + found, is_plain | is_so
    return PlainReading(is_plain, (days,))


def _amount(column: Column, texts: Texts) -> PlainReading | None:
    from include.ingest import loops

    notation = _AMOUNTS.get(column.option("notation", "nl"))
    if notation is None:
        return None
    cents, is_plain = loops.plain_cents(*_places(texts), *notation)
    return PlainReading(is_plain, (cents,))


def _postcode(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    written, is_plain = loops.plain_postcodes(*_places(texts))
    return PlainReading(is_plain, (Texts.of_width(texts.letters, written, ~is_plain),))


def _house_number(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    numbers, is_plain = loops.plain_numbers(*_places(texts))
    return PlainReading(is_plain, (numbers, None, None))


def _house_number_addition(_: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    written, has_no_letter, begins, lengths, is_plain = loops.plain_additions(*_places(texts))
    letter = Texts.of_width(texts.letters, written, has_no_letter)
    return PlainReading(is_plain, (letter, Texts(texts.letters, begins, lengths)))


def _phone(_: Column, texts: Texts) -> PlainReading:
    """One number, written as most people do, in the plan and no placeholder."""
    from include.ingest import loops

    national, is_plain = loops.plain_phones(*_places(texts))
    is_plain &= _begins_callable()[national // _BEHIND_BEGIN] & ~np.isin(national, _placeholders())
    return PlainReading(is_plain, (national, None, None))


def _phone_number(column: Column, texts: Texts) -> PlainReading:
    from include.ingest import loops

    one = _phone(column, texts)
    written = loops.written_digits(one.values[0], COUNTRY_CODE, phones.NATIONAL_DIGITS)
    return PlainReading(one.is_plain, (Texts.of_width(texts.letters, written, ~one.is_plain),))


# so many digits say whether a number can be called, whatever stands behind them
_BEGIN_DIGITS = 3
_BEHIND_BEGIN = 10 ** (phones.NATIONAL_DIGITS - _BEGIN_DIGITS)


@cache
def _begins_callable() -> np.ndarray:
    """For each begin of a national number whether every number that begins so is callable."""
    plan, never = re.compile(phones.callable_numbers()), re.compile(phones.NEVER_CALLED)
    behind = phones.NATIONAL_DIGITS - _BEGIN_DIGITS
    return np.array([
        all(plan.fullmatch(f"{begin:03}{digit * behind}") for digit in "0123456789") and not never.match(f"{begin:03}")
        for begin in range(10**_BEGIN_DIGITS)
    ])  # fmt: skip


@cache
def _placeholders() -> np.ndarray:
    return np.array(sorted(map(int, phones.PLACEHOLDERS)))


_READINGS: dict[str, Callable[[Column, Texts], PlainReading | None]] = {
    "text": _text,
    "surname": _surname,
    "initials": _initials,
    "email": _email,
    "date": _date,
    "amount": _amount,
    "postcode": _postcode,
    "house_number": _house_number,
    "house_number_addition": _house_number_addition,
    "phone": _phone,
    "phone_number": _phone_number,
}
