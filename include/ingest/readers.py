"""The readers a contract can name: from the text of a column to the values of canonical fields.

Rule: a reader knows a way of writing (Dutch amounts, `dd-mm-jjjj`, `Berg, J.P. van den`), never a partner. It reads
the *distinct* texts of a column once and spreads the answers over the rows, so its cost follows the variety in a file.
Of a large part the plainest way of writing is read for a whole column at once (include/ingest/plain_texts.py); a reader
decides all the rest, and a test holds that both say the same.
How to change: write a function that takes the column (its customProperties are the options; a wrong option is a
ContractProblem) and returns a function `text -> value` that answers INVALID for what it cannot read; add it to READERS
under the name contracts will use. A reader that answers several fields names them in FIELDS, in order; one that answers
something else than text says so in KINDS.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from include.contracts.registry import Column, ContractProblem
from include.ingest import addresses, names, phones
from include.ingest.plain_texts import plain_reading
from include.ingest.values import (
    AMOUNT,
    BOOLEAN,
    DATE,
    DECIMAL,
    INTEGER,
    PHONE,
    TEXT,
    TIME,
    TIMESTAMP,
    FieldValues,
    Kind,
    Texts,
    are_many,
)
from include.settings import Settings

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
LONGEST_VALUE = 250
LONGEST_FREE_TEXT = 10_000
# Marks the text of a cell that was a number in the workbook: 1.234 is then not one thousand two hundred thirty-four.
NUMBER_CELL = "\x02"

_SPACES = re.compile(r"[\s\u00a0\u2007\u202f]+")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# What a spreadsheet makes of a long number: 6,12346E+08. Of a number cell it keeps fifteen digits.
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_DIGITS_KEPT = 15


class _Invalid:
    """What a reader answers when it cannot read a text."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID = _Invalid()
Read = Callable[[str], Any]


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


def kinds_filled(column: Column) -> tuple[Kind, ...]:
    """What kind of values the fields of `fields_filled` hold."""
    kinds = KINDS.get(column.reader, TEXT)
    return kinds if isinstance(kinds, tuple) else (kinds,) * len(fields_filled(column))


def read_column(column: Column, texts: Texts, is_number: np.ndarray | None = None) -> dict[str, FieldValues]:
    """The fields a column fills, over all rows; `is_number`: which cells were numbers. Raises ContractProblem."""
    if column.reader not in READERS:
        known = ", ".join(sorted(READERS))
        raise ContractProblem(f"column {column.name}: there is no reader {column.reader!r}; there are {known}")
    is_left, plain = ~texts.is_null, None
    if are_many(texts.begins) and is_number is None:
        plain = plain_reading(column, texts)
    # a column may fill several fields with the same text
    if plain is not None and len(plain.values) != len(fields_filled(column)):
        plain = None
    begun = [FieldValues.absent(kind, texts.letters, len(is_left)) for kind in kinds_filled(column)]
    if plain is not None:
        is_left &= ~plain.is_plain
        begun = [
            values
            if found is None
            else FieldValues.of(values.kind, found, found.is_null if isinstance(found, Texts) else ~plain.is_plain)
            for values, found in zip(begun, plain.values, strict=True)
        ]
    left = np.flatnonzero(is_left)
    marks = None if is_number is None else is_number[left].tolist()
    found = _read_what_is_left(column, texts, left, marks, begun) if len(left) else begun
    return dict(zip(fields_filled(column), found, strict=True))


def _read_what_is_left(
    column: Column, texts: Texts, left: np.ndarray, marks: list[bool] | None, begun: Sequence[FieldValues]
) -> list[FieldValues]:
    """The reader's answers for these rows beside those there are already; every distinct text is read once."""
    written = texts.take(left)
    if marks is not None:
        written = [NUMBER_CELL + text if mark else text for text, mark in zip(written, marks, strict=True)]
    place = {text: number for number, text in enumerate(dict.fromkeys(written))}
    answer_of_row = np.fromiter(map(place.__getitem__, written), dtype=np.int64, count=len(written))
    answers = read_texts(column, list(place))
    return [
        _with_answers(values, left, [answer[number] for answer in answers], answer_of_row)
        for number, values in enumerate(begun)
    ]


def _with_answers(values: FieldValues, left: np.ndarray, answers: list[Any], answer_of_row: np.ndarray) -> FieldValues:
    """The values with these answers at the rows that were left."""
    kind, invalid, is_null = values.kind, values.invalid.copy(), values.is_null.copy()
    is_value = np.array([answer is not None and answer is not INVALID for answer in answers])
    invalid[left] = np.array([answer is INVALID for answer in answers])[answer_of_row]
    if not is_value.any():
        return replace(values, invalid=invalid)
    is_null[left] = ~is_value[answer_of_row]
    stored = [kind.store(answer) if is_one else None for answer, is_one in zip(answers, is_value, strict=True)]
    if isinstance(values.data, Texts):
        found = Texts.written(values.data.letters, stored).at(answer_of_row)
        return FieldValues(kind, values.data.scattered(left, found), is_null, invalid)
    numbers = values.data.copy()
    numbers[left] = np.array([one or 0 for one in stored], dtype=numbers.dtype)[answer_of_row]
    return FieldValues(kind, numbers, is_null, invalid)


def read_texts(column: Column, texts: Sequence[str]) -> list[tuple[Any, ...]]:
    """What the column's reader answers to each text, one answer a field; an empty text is an empty value."""
    read, fields = READERS[column.reader](column), fields_filled(column)
    is_free, takes_number_cells = column.reader == "free_text", column.reader in ("amount", "text")
    longest = LONGEST_FREE_TEXT if is_free else LONGEST_VALUE
    nothing, unreadable = (None,) * len(fields), (INVALID,) * len(fields)
    answers: list[tuple[Any, ...]] = []
    for text in map(clean, texts):
        bare = text.removeprefix(NUMBER_CELL)
        if not bare:
            answers.append(nothing)
        elif len(bare) > longest or (not is_free and _CONTROL.search(bare)):
            answers.append(unreadable)
        else:
            answer = read(text if takes_number_cells else bare)
            answers.append(answer if isinstance(answer, tuple) else (answer,) * len(fields))
    return answers


def _plain(read: Callable[[str], Any]) -> Callable[[Column], Read]:
    """A reader without options; nothing found is INVALID."""

    def reader(_: Column) -> Read:
        def read_or_invalid(text: str) -> Any:
            found = read(text)
            return INVALID if found is None else found

        return read_or_invalid

    return reader


# -- plain values ------------------------------------------------------------------------------------------------------


def text_(_: Column) -> Read:
    """Text as it is; a number that a spreadsheet shortened (1,2E+05, or more digits than it keeps) is none any more."""

    def read(text: str) -> Any:
        bare = text.removeprefix(NUMBER_CELL)
        has_lost_digits = _SHORTENED.fullmatch(bare) or (bare != text and len(bare.lstrip("-")) > _DIGITS_KEPT)
        return INVALID if has_lost_digits else bare

    return read


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
    keys = Settings.from_environment().bsn_keys
    return lambda text: bsn_key(text, keys)


def bsn_key(text: str, keys: Sequence[bytes] | None = None) -> Any:
    """What stands for a BSN outside landing: hashed with the first key, the hash with the next one, and so on.

    Reason: a new key is put behind the old ones, and what is stored is hashed once more with it (`vs keys rotate bsn`);
    the BSNs themselves are not needed for that, and nobody who has an old key alone can make the hash of a BSN.
    """
    digits = re.sub(r"[ .\-]", "", text)
    if not is_bsn(digits):
        return INVALID
    value = digits.zfill(9)
    for key in keys or Settings.from_environment().bsn_keys:
        value = hmac.digest(key, value.encode(), "sha256").hex()
    return value


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
    "text": text_,
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
KINDS: dict[str, Kind | tuple[Kind, ...]] = {
    "yes_no": BOOLEAN,
    "integer": INTEGER,
    "decimal": DECIMAL,
    "date": DATE,
    "timestamp": TIMESTAMP,
    "time": TIME,
    "amount": AMOUNT,
    "phone": (PHONE, PHONE, TEXT),
    "house_number": (INTEGER, TEXT, TEXT),
    "address_line": (TEXT, INTEGER, TEXT, TEXT),
}
FIELDS: dict[str, tuple[str, ...]] = {
    "person_name": ("initials", "name_prefix", "surname"),
    "postcode_and_city": ("postcode", "city"),
    "house_number": ("house_number", "house_letter", "house_number_addition"),
    "house_letter": ("house_letter", "house_number_addition"),
    "house_number_addition": ("house_letter", "house_number_addition"),
    "address_line": ("street", "house_number", "house_letter", "house_number_addition"),
    "phone": (PHONE_FIRST, PHONE_SECOND, PHONE_UNUSABLE),
}
