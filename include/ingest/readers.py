"""The readers a contract can name: from the text of a column to the values of canonical fields.

Rule: a reader knows a way of writing (Dutch amounts, `dd-mm-jjjj`, `Berg, J.P. van den`), never a partner. It reads
the *distinct* texts of a column once and spreads the answers over the rows, so its cost follows the variety in a file.
How to change: write a function that takes the column (its customProperties are the options; a wrong option is a
ContractProblem) and returns a function `text -> value` that answers INVALID for what it cannot read; add it to READERS
under the name contracts will use. A reader that answers several fields names them in FIELDS, in order.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from include.contracts.registry import Column, ContractProblem
from include.ingest import addresses, names, phones
from include.settings import Settings

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
LONGEST_VALUE = 250
LONGEST_FREE_TEXT = 10_000
# Marks the text of a cell that was a number in the workbook: 1.234 is then not one thousand two hundred thirty-four.
NUMBER_CELL = "\x02"

_SPACES = re.compile(r"[\s\u00a0\u2007\u202f]+")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class _Invalid:
    """What a reader answers when it cannot read a text."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID = _Invalid()
Read = Callable[[str], Any]


@dataclass(frozen=True)
class FieldValues:
    """The values of one field over all rows: None where there is none, `invalid` where the text could not be read."""

    values: np.ndarray
    invalid: np.ndarray


@dataclass(frozen=True)
class DistinctTexts:
    """A column as its distinct (cleaned) texts and, per row, which of them it has."""

    texts: list[str]
    positions: np.ndarray

    @classmethod
    def of(cls, cells: list[str], number_cells: np.ndarray | None = None) -> DistinctTexts:
        import pandas as pd

        column = np.array(cells, dtype=object)
        if number_cells is not None and number_cells.any():
            column[number_cells] = NUMBER_CELL + column[number_cells]
        positions, distinct = pd.factorize(column)
        return cls([clean(text) for text in distinct], positions)

    def spread(self, answers: list[Any]) -> FieldValues:
        """One answer per distinct text → one value per row."""
        invalid = np.fromiter((answer is INVALID for answer in answers), dtype=bool, count=len(answers))
        values = np.empty(len(answers), dtype=object)
        values[:] = [None if answer is INVALID else answer for answer in answers]
        return FieldValues(values[self.positions], invalid[self.positions])


def clean(text: str) -> str:
    """The text without spaces around it, with single spaces in it, without characters nobody can see."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split()) if " " in text else text
    mark = NUMBER_CELL if text.startswith(NUMBER_CELL) else ""
    visible = _INVISIBLE.sub("", text.removeprefix(NUMBER_CELL))
    return mark + unicodedata.normalize("NFC", _SPACES.sub(" ", visible).strip())


def fields_filled(column: Column) -> tuple[str, ...]:
    """The fields a column's reader fills, in the order in which it answers."""
    return FIELDS.get(column.reader, column.fills)


def read_column(column: Column, distinct: DistinctTexts) -> dict[str, FieldValues]:
    """The fields `column` fills, read by the reader it names; an empty text is an empty value, never an invalid one."""
    if column.reader not in READERS:
        known = ", ".join(sorted(READERS))
        raise ContractProblem(f"column {column.name}: there is no reader {column.reader!r}; there are {known}")
    read, fields = READERS[column.reader](column), fields_filled(column)
    is_free, takes_number_cells = column.reader == "free_text", column.reader == "amount"
    longest = LONGEST_FREE_TEXT if is_free else LONGEST_VALUE
    nothing, unreadable = (None,) * len(fields), (INVALID,) * len(fields)
    answers: list[tuple[Any, ...]] = []
    for text in distinct.texts:
        bare = text.removeprefix(NUMBER_CELL)
        if not bare:
            answers.append(nothing)
        elif len(bare) > longest or (not is_free and _CONTROL.search(bare)):
            answers.append(unreadable)
        else:
            answer = read(text if takes_number_cells else bare)
            answers.append(answer if isinstance(answer, tuple) else (answer,) * len(fields))
    return {field: distinct.spread([answer[index] for answer in answers]) for index, field in enumerate(fields)}


def _plain(read: Callable[[str], Any]) -> Callable[[Column], Read]:
    """A reader without options; nothing found is INVALID."""

    def reader(_: Column) -> Read:
        def read_or_invalid(text: str) -> Any:
            found = read(text)
            return INVALID if found is None else found

        return read_or_invalid

    return reader


# -- plain values ------------------------------------------------------------------------------------------------------


def code(column: Column) -> Read:
    """One of the codes of the contract, whatever its case."""
    codes = {str(code).casefold(): value for code, value in column.option("codes", {}).items()}
    if not codes:
        raise ContractProblem(f"column {column.name}: reader code needs the property codes")
    return lambda text: codes.get(text.casefold(), INVALID)


def yes_no(column: Column) -> Read:
    """The words of the contract for yes and no; a logical cell of a workbook is understood too."""
    answers = {str(word).casefold(): True for word in (*column.option("trueWhen", ["J", "Ja"]), "true")}
    answers |= {str(word).casefold(): False for word in (*column.option("falseWhen", ["N", "Nee"]), "false")}
    return lambda text: answers.get(text.casefold(), INVALID)


def integer(column: Column) -> Read:
    return _number(column, re.compile(r"-?\d{1,9}"), int)


def decimal(column: Column) -> Read:
    return _number(column, re.compile(r"-?\d{1,12}(?:\.\d{1,9})?"), Decimal)


def _number(column: Column, pattern: re.Pattern[str], convert: Callable[[str], Any]) -> Read:
    least, most = column.option("minimum"), column.option("maximum")

    def read(text: str) -> Any:
        if not pattern.fullmatch(text):
            return INVALID
        number = convert(text)
        return INVALID if (least is not None and number < least) or (most is not None and number > most) else number

    return read


# -- dates and times ---------------------------------------------------------------------------------------------------

_DATE_FORMATS = {
    "dd-mm-jjjj": re.compile(r"(?P<day>\d{2})-(?P<month>\d{2})-(?P<year>\d{4})"),
    "dd/mm/jjjj": re.compile(r"(?P<day>\d{2})/(?P<month>\d{2})/(?P<year>\d{4})"),
    "dd.mm.jjjj": re.compile(r"(?P<day>\d{2})\.(?P<month>\d{2})\.(?P<year>\d{4})"),
    "d-m-jjjj": re.compile(r"(?P<day>\d{1,2})-(?P<month>\d{1,2})-(?P<year>\d{4})"),
    "d/m/jjjj": re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})"),
    "jjjj-mm-dd": re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"),
    "jjjjmmdd": re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"),
    # a date cell of a workbook (opened as jjjj-mm-dd)
    "excel": re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"),
}
# A date cell that lost its format is a day number; five digits are the years 1927 to 2173.
_EXCEL_DAY_NUMBER = re.compile(r"[1-9]\d{4}")
_EXCEL_EPOCH = date(1899, 12, 30).toordinal()
_YEARS = range(1900, 2100)


def date_(column: Column) -> Read:
    """A date in one of the formats of the contract, strictly."""
    formats = column.option("formats", ["jjjj-mm-dd"])
    if unknown := [name for name in formats if name not in _DATE_FORMATS]:
        known = ", ".join(_DATE_FORMATS)
        raise ContractProblem(f"column {column.name}: no date format {unknown[0]!r}; there are {known}")
    patterns = [_DATE_FORMATS[name] for name in formats]
    takes_day_numbers = "excel" in formats

    def read(text: str) -> Any:
        match = next((match for pattern in patterns if (match := pattern.fullmatch(text))), None)
        try:
            if match:
                day = date(int(match["year"]), int(match["month"]), int(match["day"]))
            elif takes_day_numbers and _EXCEL_DAY_NUMBER.fullmatch(text):
                day = date.fromordinal(_EXCEL_EPOCH + int(text))
            else:
                return INVALID
        except ValueError:
            return INVALID
        return day if day.year in _YEARS else INVALID

    return read


def _timestamp(text: str) -> datetime | None:
    """An ISO time; Europe/Amsterdam unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= 10 or moment.year not in _YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)


def _time(text: str) -> time | None:
    """`HH:MM`, with or without seconds."""
    try:
        return time.fromisoformat(text) if re.fullmatch(r"\d{2}:\d{2}(?::\d{2})?", text) else None
    except ValueError:
        return None


# -- amounts -----------------------------------------------------------------------------------------------------------

_AMOUNTS = {
    # 1.234,56  350,5  1.624 (one thousand six hundred twenty-four)  350,-
    "nl": re.compile(r"(\d{1,3}(?:\.\d{3}){1,3}|\d{1,10})(?:,(\d{1,2}|-{1,2}))?"),
    "point": re.compile(r"(\d{1,10})(?:\.(\d{1,2}))?"),
}
_CELL_NUMBER = re.compile(r"-?\d{1,10}(?:\.\d{1,30})?")
_CURRENCY = re.compile(r"^(?:€|EUR|euro)\s*|\s*(?:€|EUR|euro)$", re.IGNORECASE)
_CENT = Decimal("0.01")
# numeric(12, 2) holds ten digits before the point
_LARGEST_AMOUNT = Decimal(10) ** 10


def amount(column: Column) -> Read:
    """Euros and cents in the notation of the contract; a number cell is read as the number it is."""
    notation = column.option("notation", "nl")
    if notation not in _AMOUNTS:
        known = " or ".join(_AMOUNTS)
        raise ContractProblem(f"column {column.name}: notation {notation!r} is not known; write {known}")
    pattern = _AMOUNTS[notation]

    def read(text: str) -> Any:
        if text.startswith(NUMBER_CELL):
            number = text.removeprefix(NUMBER_CELL)
            return Decimal(number).quantize(_CENT, ROUND_HALF_UP) if _CELL_NUMBER.fullmatch(number) else INVALID
        sign, bare = _sign(text)
        match = pattern.fullmatch(bare)
        if not match:
            return INVALID
        cents = (match[2] or "").replace("-", "").ljust(2, "0")
        euros = Decimal(f"{match[1].replace('.', '')}.{cents}")
        return sign * euros if euros < _LARGEST_AMOUNT else INVALID

    return read


def _sign(text: str) -> tuple[int, str]:
    """The sign (also written behind: `12,50-`) and the amount without sign and currency."""
    bare = _CURRENCY.sub("", text.replace("\u2212", "-")).strip()
    if bare.startswith("-"):
        return -1, _CURRENCY.sub("", bare[1:].strip())
    if bare.endswith("-") and not bare.endswith((",-", ",--")):
        return -1, _CURRENCY.sub("", bare[:-1].strip())
    return 1, bare


# -- persons -----------------------------------------------------------------------------------------------------------

_SURNAME_FIRST = {"J.P. van den Berg": False, "Berg, J.P. van den": True}
_EMAIL = re.compile(r"[^\s@,;:<>()\"]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}")


def person_name(column: Column) -> Read:
    """Initials, prefix and surname, in the order of the contract's pattern."""
    pattern = column.option("pattern", "J.P. van den Berg")
    if pattern not in _SURNAME_FIRST:
        known = " or ".join(_SURNAME_FIRST)
        raise ContractProblem(f"column {column.name}: name pattern {pattern!r} is not known; write {known}")
    surname_first = _SURNAME_FIRST[pattern]

    def read(text: str) -> tuple[Any, ...]:
        name = names.read_person_name(text, surname_first=surname_first)
        return (name.initials, name.name_prefix, name.surname) if name else (None, None, INVALID)

    return read


def initials(_: Column) -> Read:
    """Initials; text without any letter is no initials, and no reason to complain."""
    return names.read_initials


def _email(text: str) -> str | None:
    address = text.casefold()
    return address if _EMAIL.fullmatch(address) and ".." not in address else None


def bsn(_: Column) -> Read:
    """The keyed hash of a BSN that passes the eleven-test; the number itself goes no further."""
    key = Settings.from_environment().bsn_key

    def read(text: str) -> Any:
        digits = re.sub(r"[ .\-]", "", text)
        return hmac.digest(key, digits.zfill(9).encode(), "sha256").hex() if is_bsn(digits) else INVALID

    return read


def is_bsn(digits: str) -> bool:
    """Nine digits (a lost leading zero is forgiven) with 9·d1 + 8·d2 + … + 2·d8 - d9 divisible by eleven."""
    if not re.fullmatch(r"[0-9]{8,9}", digits) or not int(digits):
        return False
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return sum(weight * int(digit) for weight, digit in zip(weights, digits.zfill(9), strict=True)) % 11 == 0


def phone(_: Column) -> Read:
    """Up to two callable numbers; the third answer is INVALID when anything in the field was unusable."""

    def read(text: str) -> tuple[Any, ...]:
        usable, has_unusable = phones.read_phones(text)
        first, second = [*usable, None, None][:2]
        return first, second, INVALID if has_unusable else None

    return read


# -- addresses ---------------------------------------------------------------------------------------------------------


def _postcode_and_city(text: str) -> tuple[Any, ...]:
    postcode, city = addresses.read_postcode_and_city(text)
    return postcode or INVALID, city


def _house_number(text: str) -> tuple[Any, ...]:
    house_number = addresses.read_house_number(text)
    if house_number is None:
        return INVALID, None, None
    return house_number.number, house_number.letter, house_number.addition


def _house_letter(text: str) -> tuple[Any, ...]:
    """A single letter or digit; anything longer is an addition."""
    return (text.upper(), None) if len(text) == 1 else addresses.read_addition(text)


def _address_line(text: str) -> tuple[Any, ...]:
    line = addresses.read_address_line(text)
    if line is None:
        return None, INVALID, None, None
    return line.street, line.house_number.number, line.house_number.letter, line.house_number.addition


READERS: dict[str, Callable[[Column], Read]] = {
    "text": _plain(str),
    "free_text": _plain(str),
    "code": code,
    "yes_no": yes_no,
    "integer": integer,
    "decimal": decimal,
    "date": date_,
    "timestamp": _plain(_timestamp),
    "time": _plain(_time),
    "amount": amount,
    "surname": _plain(names.read_surname),
    "initials": initials,
    "person_name": person_name,
    "email": _plain(_email),
    "bsn": bsn,
    "phone": phone,
    "phone_number": _plain(phones.read_phone),
    "postcode": _plain(addresses.read_postcode),
    "postcode_and_city": _plain(_postcode_and_city),
    "house_number": _plain(_house_number),
    "house_letter": _plain(_house_letter),
    "house_number_addition": _plain(addresses.read_addition),
    "address_line": _plain(_address_line),
}

# A column of telephone numbers offers candidates; which become phone_1 and phone_2 is decided over all its columns.
PHONE_FIRST, PHONE_SECOND, PHONE_UNUSABLE = "phone:first", "phone:second", "phone:unusable"
FIELDS: dict[str, tuple[str, ...]] = {
    "person_name": ("initials", "name_prefix", "surname"),
    "postcode_and_city": ("postcode", "city"),
    "house_number": ("house_number", "house_letter", "house_number_addition"),
    "house_letter": ("house_letter", "house_number_addition"),
    "house_number_addition": ("house_letter", "house_number_addition"),
    "address_line": ("street", "house_number", "house_letter", "house_number_addition"),
    "phone": (PHONE_FIRST, PHONE_SECOND, PHONE_UNUSABLE),
}
