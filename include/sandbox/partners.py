"""The four partners, each with its own idea of a file (interfaces §2).

An `Entry` goes in, a row in the partner's columns and spelling comes out. The same month always gives the same bytes,
which for a workbook means fixed timestamps inside the zip. A further partner is one more `Partner` here.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from include.months import Month
from include.sandbox import dirt as spoil
from include.sandbox.administration import Accident, Administration, Entry
from include.sandbox.arrears import LAST_SIGNAL_DAY
from include.sandbox.exchange_folder import write_atomically
from include.sandbox.names import Surname, without_diacritics
from include.sandbox.population import Population, Sector
from include.sandbox.settings import SandboxSettings

MONTH_NAMES = (
    "januari",
    "februari",
    "maart",
    "april",
    "mei",
    "juni",
    "juli",
    "augustus",
    "september",
    "oktober",
    "november",
    "december",
)
ZIP_TIME = (2024, 1, 1, 0, 0, 0)

Value = str | int | float | date


@dataclass(frozen=True)
class Partner:
    """Name and sector, the header, one row of an entry, and the file of all rows."""

    name: str
    sector: Sector
    extension: str
    columns: tuple[str, ...]
    row: Callable[[Entry], list[Value]]
    file: Callable[[Sequence[str], list[list[Value]], Month], bytes]

    def file_name(self, month: Month, sequence: int = 1) -> str:
        return f"{self.name}_{month.compact}{'' if sequence == 1 else f'_{sequence:02d}'}.{self.extension}"

    def rows(self, entries: list[Entry]) -> list[list[Value]]:
        """In order of customer number; rows that come twice again at the end."""
        return [self.row(entry) for entry in entries] + [self.row(entry) for entry in entries if entry.is_repeated]


@dataclass(frozen=True)
class Delivered:
    """A file that was put into the inbox."""

    path: Path
    rows: int


def deliver(month: Month, exchange_root: Path, settings: SandboxSettings) -> list[Delivered]:
    """Write the month's file of every partner."""
    administration = Administration(Population(settings))
    delivered = []
    for partner in PARTNERS:
        rows = partner.rows(administration.entries(month, partner.sector))
        path = exchange_root / "inbox" / partner.name / partner.file_name(month)
        write_atomically(path, partner.file(partner.columns, rows, month), _delivered_at(month))
        delivered.append(Delivered(path, len(rows)))
    return delivered


def _delivered_at(month: Month) -> datetime:
    """The afternoon after the last signal."""
    return datetime(month.year, month.number, LAST_SIGNAL_DAY + 1, 16, tzinfo=ZoneInfo("Europe/Amsterdam"))


# -- fields, with the accidents that spoil them ------------------------------------------------------------------
def _surname(entry: Entry) -> Surname:
    return Surname("", "") if entry.accident == Accident.SURNAME_MISSING else entry.surname


def _postcode(entry: Entry) -> str:
    if entry.accident == Accident.POSTCODE_MISSING:
        return ""
    return entry.address.postcode[:3] + "A" if entry.accident == Accident.POSTCODE_INVALID else entry.address.postcode


def _house(entry: Entry) -> str:
    if entry.accident == Accident.HOUSE_NUMBER_MISSING:
        return ""
    address = entry.address
    return spoil.house_text(address.number, address.letter, address.addition, entry.house_style)


def _amount(entry: Entry, write: Callable[[int], Value]) -> Value:
    match entry.accident:
        case Accident.AMOUNT_MISSING:
            return ""
        case Accident.AMOUNT_INVALID:
            return "n.t.b."
        case Accident.AMOUNT_ZERO:
            return write(0)
        case Accident.AMOUNT_NEGATIVE:
            return write(-entry.amount_cents)
    return write(entry.amount_cents)


def _since(entry: Entry, write: Callable[[np.datetime64], Value]) -> Value:
    match entry.accident:
        case Accident.SINCE_MISSING:
            return ""
        case Accident.SINCE_INVALID:
            return "onbekend"
        case Accident.DATES_OUT_OF_ORDER:
            return write(entry.signal_on + np.timedelta64(12, "D"))
    return write(entry.since_on)


def _signal_date(entry: Entry, write: Callable[[np.datetime64], Value]) -> Value:
    return "" if entry.accident == Accident.SIGNAL_DATE_MISSING else write(entry.signal_on)


def _birth_date(entry: Entry, write: Callable[[np.datetime64], Value]) -> Value:
    return "" if entry.birth_on is None else write(entry.birth_on)


def _phone(entry: Entry, e164: str) -> str:
    return spoil.phone_text(e164, entry.phone_style) if e164.startswith("+") else e164


def _one_phone_field(entry: Entry) -> str:
    return " / ".join(_phone(entry, each) for each in (entry.phone, entry.second_phone) if each)


def _name_in_order(entry: Entry) -> str:
    """`J.P. van den Berg`"""
    surname = _surname(entry)
    return " ".join(part for part in (entry.initials, surname.prefix, surname.head) if part) if surname.head else ""


def _name_for_sorting(entry: Entry) -> str:
    """`Berg, J.P. van den`"""
    surname = _surname(entry)
    if not surname.head:
        return ""
    after = " ".join(part for part in (entry.initials, surname.prefix) if part)
    return f"{surname.head}, {after}" if after else surname.head


def _street_and_house(entry: Entry) -> str:
    return f"{entry.address.street} {_house(entry)}".strip()


def _dutch_date(day: np.datetime64, separator: str) -> str:
    year, month, of_month = str(day).split("-")
    return separator.join((of_month, month, year))


def _dutch_amount(cents: int) -> str:
    """`1.234,56`"""
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))


def _short_amount(cents: int) -> str:
    """`350,5` or `350`"""
    return f"{cents / 100:.2f}".rstrip("0").rstrip(".").replace(".", ",")


# -- woonbedrijf --------------------------------------------------------------------------------------------------
def _woonbedrijf_row(entry: Entry) -> list[Value]:
    surname, address = _surname(entry), entry.address
    landline, mobile = "", _phone(entry, entry.phone)
    if entry.phone and not entry.phone.startswith("+316"):
        landline, mobile = mobile, _phone(entry, entry.second_phone)
    elif entry.second_phone:
        landline = _phone(entry, entry.second_phone)
    with_sign = entry.phone_style % 5 == 0
    return [
        entry.reference,
        surname.head,
        entry.initials,
        surname.prefix,
        _birth_date(entry, lambda day: _dutch_date(day, "-")),
        address.street,
        "" if entry.accident == Accident.HOUSE_NUMBER_MISSING else str(address.number),
        spoil.addition_text(address.letter, address.addition, entry.house_style),
        _postcode(entry),
        address.city,
        landline,
        mobile,
        entry.email,
        _amount(entry, lambda cents: ("€ " if with_sign else "") + _dutch_amount(cents)),
        _since(entry, lambda day: _dutch_date(day, "-")),
        _signal_date(entry, lambda day: _dutch_date(day, "-")),
    ]


def _windows_text(text: str) -> bytes:
    """Windows-1252; a letter it does not have loses its diacritic, as in the real thing."""
    try:
        return text.encode("cp1252")
    except UnicodeEncodeError:
        return "".join(char if char.encode("cp1252", "ignore") else without_diacritics(char) for char in text).encode(
            "cp1252"
        )


# -- zorgplus -----------------------------------------------------------------------------------------------------
def _zorgplus_row(entry: Entry) -> list[Value]:
    surname, address = _surname(entry), entry.address
    letter, addition = address.letter, address.addition
    match entry.house_style % 4 if entry.house_style else 0:
        case 1:
            letter, addition = "", spoil.addition_text(letter, addition, entry.house_style)
        case 2:
            letter, addition = letter.lower(), addition.upper()
        case 3:
            letter, addition = letter, f"-{addition}" if addition else ""
    return [
        entry.reference,
        entry.bsn,
        entry.initials,
        surname.prefix,
        surname.head,
        _birth_date(entry, str),
        "" if entry.phone_style % 50 == 0 else entry.gender,
        _postcode(entry),
        "" if entry.accident == Accident.HOUSE_NUMBER_MISSING else str(address.number),
        letter,
        addition,
        address.city,
        _one_phone_field(entry),
        entry.email,
        _amount(entry, lambda cents: f"{cents / 100:.2f}"),
        _since(entry, str),
        _signal_date(entry, str),
    ]


# -- stadsenergie -------------------------------------------------------------------------------------------------
def _excel_date(day: np.datetime64) -> date:
    return day.astype("datetime64[D]").item()


def _stadsenergie_row(entry: Entry) -> list[Value]:
    phone: Value = _one_phone_field(entry)
    if entry.phone_style % 3 == 0 and entry.phone.startswith("+31") and not entry.second_phone:
        phone = int(entry.phone.removeprefix("+31"))  # Excel took it for a number
    return [
        entry.reference,
        _name_in_order(entry),
        _birth_date(entry, _excel_date),
        _street_and_house(entry),
        _postcode(entry),
        entry.address.city,
        phone,
        entry.email,
        _amount(entry, lambda cents: cents / 100),
        _since(entry, _excel_date),
        _signal_date(entry, _excel_date),
        "J" if entry.is_crisis else "N",
        _excel_date(entry.supply_ends_on) if entry.is_crisis else "",
    ]


def _workbook(columns: Sequence[str], rows: list[list[Value]], month: Month) -> bytes:
    """Two title rows, the header, the rows, and a row `Totaal` with the sum of the amounts."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Signalen")
    sheet.append(["Stadsenergie - signalen vroegsignalering"])
    sheet.append([f"Signaalmaand {MONTH_NAMES[month.number - 1]} {month.year}"])
    sheet.append(list(columns))
    for row in rows:
        sheet.append([None if value == "" else value for value in row])
    amount = columns.index("Openstaand bedrag")
    total = sum(row[amount] for row in rows if isinstance(row[amount], float))
    sheet.append(["Totaal", *[None] * (amount - 1), round(total, 2)])
    draft = io.BytesIO()
    book.save(draft)
    return _without_timestamps(draft.getvalue())


def _without_timestamps(workbook: bytes) -> bytes:
    """The same workbook with fixed times in the zip directory and in its properties."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as source, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2024-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return result.getvalue()


# -- drinkwater_zh ------------------------------------------------------------------------------------------------
def _drinkwater_row(entry: Entry) -> list[Value]:
    postcode = _postcode(entry)
    if len(postcode) == 6:
        postcode = f"{postcode[:4]} {postcode[4:]}"
    return [
        entry.reference,
        _name_for_sorting(entry),
        _street_and_house(entry),
        f"{postcode} {entry.address.city}".strip(),
        _one_phone_field(entry),
        _amount(entry, _short_amount),
        _since(entry, lambda day: _dutch_date(day, "/")),
        _signal_date(entry, lambda day: _dutch_date(day, "/")),
    ]


def _csv_text(columns: Sequence[str], rows: list[list[Value]], delimiter: str, line_end: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


PARTNERS = (
    Partner(
        "woonbedrijf",
        Sector.HUUR,
        "csv",
        (
            "Relatienummer",
            "Naam",
            "Voorletters",
            "Tussenvoegsel",
            "Geboortedatum",
            "Straat",
            "Huisnummer",
            "Toevoeging",
            "Postcode",
            "Woonplaats",
            "Telefoon",
            "Mobiel",
            "E-mail",
            "Achterstand",
            "Achterstand sinds",
            "Signaaldatum",
        ),
        _woonbedrijf_row,
        lambda columns, rows, month: _windows_text(_csv_text(columns, rows, ";", "\r\n")),
    ),
    Partner(
        "zorgplus",
        Sector.ZORG,
        "csv",
        (
            "client_ref",
            "bsn",
            "initials",
            "name_prefix",
            "surname",
            "birth_date",
            "gender",
            "postcode",
            "house_number",
            "house_letter",
            "house_number_addition",
            "city",
            "phone",
            "email",
            "arrears_amount",
            "arrears_since",
            "signal_date",
        ),
        _zorgplus_row,
        lambda columns, rows, month: _csv_text(columns, rows, ",", "\r\n").encode(),
    ),
    Partner(
        "stadsenergie",
        Sector.ENERGIE,
        "xlsx",
        (
            "Klantnummer",
            "Naam",
            "Geboortedatum",
            "Adres",
            "Postcode",
            "Plaats",
            "Telefoonnummer",
            "E-mailadres",
            "Openstaand bedrag",
            "Datum eerste openstaande factuur",
            "Datum signaal",
            "Eindelevering",
            "Datum einde levering",
        ),
        _stadsenergie_row,
        _workbook,
    ),
    Partner(
        "drinkwater_zh",
        Sector.WATER,
        "csv",
        (
            "Aansluitnummer",
            "Aanschrijfnaam",
            "Adres",
            "Postcode en plaats",
            "Tel",
            "Saldo",
            "Oudste vervaldatum",
            "Datum",
        ),
        _drinkwater_row,
        lambda columns, rows, month: _csv_text(columns, rows, ";", "\n").encode("utf-8-sig"),
    ),
)
