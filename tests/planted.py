"""A month in which every personal field of every inbound contract holds a mark that stands nowhere else in the world.

The contracts say which fields: a column classified as personal gets a mark by its reader, so a new column is planted
from its first day, and a reader nobody thought of fails loudly (`KeyError`). Not marked are values of a closed list (a
code, yes or no) and the facts of a case that its books are made of (person_tables.yml, kept_after_erasure): alone they
lead to nobody.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from openpyxl import Workbook

from include.contracts.registry import PARTNER_DELIVERY, Column, Contract, all_contracts
from include.ingest.readers import is_bsn
from include.months import Month
from include.warehouse.person_tables import PERSONAL, said

ROWS = 12
UNMARKED_READERS = {"code", "yes_no", "amount", "time"}
_LETTERS = "bcdfghjklm"

#: what every mark of a kind looks like, wherever and however it is written
MARKS = {
    "name, street, place or what was said": re.compile(r"qzvwxk[a-z]*", re.IGNORECASE),
    "initials": re.compile(r"Q\.?Z\.?V\.?(?![A-Za-z])"),
    "e-mail address": re.compile(r"@qzvwxk\.example", re.IGNORECASE),
    "postcode": re.compile(r"(?<![0-9a-z])27\d\d ?ZV(?![0-9a-z])", re.IGNORECASE),
    "house number": re.compile(r"(?<![\w.,:-])99[1-8]\d\d(?![\w.,:-])"),
    "addition": re.compile(r"(?<![0-9a-z])QZ\dV(?![0-9a-z])", re.IGNORECASE),
    "phone number": re.compile(r"(?<![0-9a-z.])(?:\+31|0031|0)?[ -]?6555\d{5}(?![0-9a-z])", re.IGNORECASE),
    "bsn": re.compile(r"(?<![0-9a-z.])9555\d{5}(?![0-9a-z])", re.IGNORECASE),
    "birth date": re.compile(r"1907-\d\d-\d\d|\d\d[-/]\d\d[-/]1907"),
}


@dataclass
class Found:
    """Which kinds of marks stand in what was read, and where each was seen first."""

    kinds: dict[str, str] = field(default_factory=dict)
    characters: int = 0

    def read(self, place: str, text: str) -> None:
        self.characters += len(text)
        for kind, pattern in MARKS.items():
            if kind not in self.kinds and pattern.search(text):
                self.kinds[kind] = place


@dataclass
class Marker:
    """Marks, each once; `planted` remembers in which columns."""

    number: int = 0
    planted: set[tuple[str, str]] = field(default_factory=set)

    def word(self) -> str:
        self.number += 1
        return "Qzvwxk" + "".join(_LETTERS[int(digit)] for digit in f"{self.number:05d}")

    def digits(self) -> int:
        self.number += 1
        return self.number

    def value(self, contract: Contract, column: Column) -> str:
        self.planted.add((contract.reference, column.label))
        return MAKERS[column.reader](self, column)

    def bsn(self) -> str:
        while True:
            candidate = f"9555{self.digits():05d}"
            if is_bsn(candidate):
                return candidate

    def day(self, column: Column) -> str:
        number = self.digits()
        return written_day(date(1907, number % 12 + 1, number % 28 + 1), column)


def written_day(day: date, column: Column) -> str:
    formats = column.option("formats", ["jjjj-mm-dd"])
    return day.strftime({"dd/mm/jjjj": "%d/%m/%Y", "jjjj-mm-dd": "%Y-%m-%d"}.get(formats[-1], "%d-%m-%Y"))


MAKERS: dict[str, Callable[[Marker, Column], str]] = {
    "text": lambda marks, _: marks.word(),
    "free_text": lambda marks, _: f"Wil {marks.word()} spreken; zie {marks.word()}.",
    "surname": lambda marks, _: marks.word(),
    "initials": lambda marks, _: "Q.Z.V.",
    "person_name": lambda marks, column: (
        f"{marks.word()}, Q.Z.V." if "," in column.option("pattern") else f"Q.Z.V. {marks.word()}"
    ),
    "email": lambda marks, _: f"{marks.word().lower()}@qzvwxk.example",
    "bsn": lambda marks, _: marks.bsn(),
    "phone": lambda marks, _: f"06555{marks.digits():05d}",
    "phone_number": lambda marks, _: f"+316555{marks.digits():05d}",
    "postcode": lambda marks, _: f"27{11 + marks.digits() % 19}ZV",
    "postcode_and_city": lambda marks, _: f"27{11 + marks.digits() % 19} ZV {marks.word()}",
    "house_number": lambda marks, _: f"99{100 + marks.digits() % 800}",
    "house_letter": lambda marks, _: "",
    "house_number_addition": lambda marks, _: f"QZ{marks.digits() % 10}V",
    "address_line": lambda marks, _: f"{marks.word()} 99{100 + marks.digits() % 800}",
    "date": lambda marks, column: marks.day(column),
}


def is_marked(column: Column) -> bool:
    return (
        column.classification in PERSONAL
        and column.reader not in UNMARKED_READERS
        and not set(column.fills) & set(said()["kept_after_erasure"])
    )


def partners() -> list[Contract]:
    return [contract for contract in all_contracts() if contract.kind == PARTNER_DELIVERY]


def rows_of(contract: Contract, month: Month, marks: Marker, *, broken: bool = False) -> Iterator[list[str]]:
    """Good rows with a mark in every personal field; every other one without a phone number, so one is asked for."""
    for number in range(1 if broken else ROWS):
        row = []
        for column in contract.columns:
            if "partner_reference" in column.fills:
                row.append(marks.word())
            elif column.fills == ("phone",) and number % 2 and not broken:
                row.append("")
            elif is_marked(column):
                row.append(marks.value(contract, column))
            else:
                row.append(_ordinary(column, month, number, broken))
        yield row


def _ordinary(column: Column, month: Month, number: int, broken: bool) -> str:
    match column.reader:
        case "amount":
            # a bad amount, with a mark in it: what is wrong with a value is told without the value
            point = "." if column.option("notation") == "point" else ","
            return "Qzvwxkbedrag" if broken else f"{150 + number}{point}25"
        case "date":
            day = month.first_day if "signal_on" in column.fills else date(month.year, month.number - 2, 20)
            return "" if "supply_ends_on" in column.fills else written_day(day, column)
        case "code":
            return next(iter(column.option("codes")))
        case "yes_no":
            return column.option("falseWhen")[0]
    return ""


def delivery(contract: Contract, rows: list[list[str]], *, with_header: bool = True) -> bytes:
    """The rows as a file of this contract."""
    header = [[column.label for column in contract.columns]] if with_header else []
    if contract.format.kind == "xlsx":
        book = Workbook()
        book.active.title = contract.format.sheet or "Sheet"
        for row in [*([["titel"]] * contract.format.title_rows), *header, *rows]:
            book.active.append(row)
        saved = io.BytesIO()
        book.save(saved)
        return saved.getvalue()
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=contract.format.delimiter).writerows([*header, *rows])
    return text.getvalue().encode(contract.format.encodings[0])
