"""The plainest way of writing a value, read for a whole column at once.

Rule: nothing is decided here. A reading says which texts are written in the plainest way (`is_plain`) and what those
are; every other text goes to the exact reader of include/ingest/readers.py, which alone knows what is good and what is
not. A plain text gets precisely the answer the exact reader would give; a property test compares the two.
Reason: nine values in ten are plain, and a column of plain values costs milliseconds.
How to change: a reading may become narrower at any time. Make it wider only for texts the exact reader takes, and only
for clean ones: printable ASCII, single spaces, none around it, no longer than any text may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from include.contracts.registry import Column
from include.ingest import phones

if TYPE_CHECKING:
    import polars as pl

LONGEST_PLAIN = 250

_TEXT = r"^[!-~]+(?: [!-~]+)*$"
# E+ may be a number that a spreadsheet shortened: the reader looks at whatever has a plus
_TEXT_WITHOUT_PLUS = r"^[!-*,-~]+(?: [!-*,-~]+)*$"
_DATES = {
    "dd-mm-jjjj": (r"^[0-9]{2}-[0-9]{2}-[0-9]{4}$", "%d-%m-%Y"),
    "dd/mm/jjjj": (r"^[0-9]{2}/[0-9]{2}/[0-9]{4}$", "%d/%m/%Y"),
    "jjjj-mm-dd": (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "%Y-%m-%d"),
    "excel": (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "%Y-%m-%d"),
}
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
_EMAIL = r"^[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,24}$"
_LONGEST_PLAIN_EMAIL = 60
_AMOUNTS = {
    "nl": r"^(?:€ ?)?(?:[0-9]{1,3}(?:\.[0-9]{3}){1,2}|[0-9]{1,9})(?:,[0-9]{1,2})?$",
    "point": r"^[0-9]{1,9}(?:\.[0-9]{1,2})?$",
}
# SA, SD and SS are never used
_POSTCODE = r"^[1-9][0-9]{3} ?(?:[A-RT-Za-rt-z][A-Za-z]|[Ss][BCE-RT-Zbce-rt-z])$"
# 079-3161234, 06 22 33 44 55, 0031…, +31 (0)6 …: whatever stands between them, the digits are one Dutch number
_PHONE = r"^(?:0|0031|\+31 ?(?:\(0\) ?)?)[1-9][- 0-9]+$"
_BETWEEN_DIGITS = " -+()"
_PHONE_DIGITS = rf"^(?:0|31|310|0031)[1-9][0-9]{{{phones.NATIONAL_DIGITS - 1}}}$"


@dataclass(frozen=True)
class PlainReading:
    """Which texts of a column are plain, and the values of its fields for those; what it says of others counts nothing.

    `begun` is what both are worked out from, so that it is worked out once; they find it in the column BEGUN.
    """

    is_plain: pl.Expr
    values: tuple[pl.Expr | None, ...]
    begun: pl.Expr | None = None


def plain_reading(column: Column, place: str) -> PlainReading | None:
    """The plain reading of the column called `place`; None when its reader has none."""
    import polars as pl

    reading = _READINGS.get(column.reader)
    return reading(column, pl.col(place), pl.col(begun_at(place))) if reading else None


def begun_at(place: str) -> str:
    """The name of the column in which a reading of the column `place` is begun."""
    return f"{place}~"


def _text(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    return PlainReading(text.str.contains(_TEXT_WITHOUT_PLUS) & (text.str.len_bytes() <= LONGEST_PLAIN), (text,))


def _surname(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    is_plain = text.str.contains(_TEXT) & (text.str.len_bytes() <= LONGEST_PLAIN) & text.str.contains("[A-Za-z]")
    return PlainReading(is_plain, (text,))


def _initials(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    return PlainReading(text.str.contains(r"^(?:[A-Z]\.){1,10}$"), (text,))


def _email(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    return PlainReading(text.str.contains(_EMAIL) & (text.str.len_bytes() <= _LONGEST_PLAIN_EMAIL), (text,))


def _date(column: Column, text: pl.Expr, begun: pl.Expr) -> PlainReading | None:
    import polars as pl

    formats = [_DATES[name] for name in column.option("formats", ["jjjj-mm-dd"]) if name in _DATES]
    if not formats:
        return None
    days = pl.coalesce(
        pl.when(text.str.contains(pattern)).then(text.str.to_date(format, strict=False))
        for pattern, format in dict(formats).items()
    )
    return PlainReading(begun.is_between(_FIRST_DAY, _LAST_DAY), (begun,), days)


def _amount(column: Column, text: pl.Expr, _: pl.Expr) -> PlainReading | None:
    import polars as pl

    notation = column.option("notation", "nl")
    if notation not in _AMOUNTS:
        return None
    bare = text
    if notation == "nl":
        without_sign = text.str.strip_chars_start("€ ")
        bare = without_sign.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return PlainReading(text.str.contains(_AMOUNTS[notation]), (bare.cast(pl.Decimal(14, 2), strict=False),))


def _postcode(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    return PlainReading(text.str.contains(_POSTCODE), (text.str.replace(" ", "", literal=True).str.to_uppercase(),))


def _house_number(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    import polars as pl

    is_plain = text.str.contains(r"^[1-9][0-9]{0,4}$")
    return PlainReading(is_plain, (text.cast(pl.Int64, strict=False), None, None))


def _house_number_addition(_: Column, text: pl.Expr, __: pl.Expr) -> PlainReading:
    return PlainReading(text.str.contains(r"^[A-Za-z]$"), (text.str.to_uppercase(), None))


def _phone(column: Column, text: pl.Expr, begun: pl.Expr) -> PlainReading:
    one = _phone_number(column, text, begun)
    return PlainReading(one.is_plain, (*one.values, None, None), one.begun)


def _phone_number(_: Column, text: pl.Expr, begun: pl.Expr) -> PlainReading:
    """One number, written as most people do, in the plan and no placeholder."""
    import polars as pl

    # nine digits at the end are the national number when nothing but a country code or a zero stands before them
    digits = text.str.replace_many(list(_BETWEEN_DIGITS), [""])
    is_shaped = text.str.contains(_PHONE) & digits.str.contains(_PHONE_DIGITS)
    national = pl.when(is_shaped).then(digits.str.tail(phones.NATIONAL_DIGITS))
    is_plain = begun.str.contains(f"^(?:{phones.callable_numbers()})$") & ~begun.str.contains(
        f"^(?:(?:{phones.NEVER_CALLED})|(?:{phones.PLACEHOLDERS})$)"
    )
    return PlainReading(is_plain, ("+31" + begun,), national)


_READINGS: dict[str, Callable[[Column, pl.Expr, pl.Expr], PlainReading | None]] = {
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
