"""Signals with the truth beside them, as ingest would have landed them: for measuring the matching only.

Rule: a data set is a number of sandbox municipalities side by side, each with a seed of its own, so that any size has
the density of one town (a person has as many signals in a set of five thousand as in one of a million). Every row goes
through the partner's own row and the readers of ingest, so the spelling is what a file would have brought.
The truth (who is who, which address was meant) never enters the warehouse.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
import psycopg

from include.ingest.addresses import HouseNumber, read_addition, read_address_line, read_postcode
from include.ingest.names import PersonName, read_initials, read_person_name
from include.months import Month
from include.sandbox.administration import Administration, Entry
from include.sandbox.partners import PARTNERS, Partner
from include.sandbox.population import Population, Sector
from include.sandbox.settings import SandboxSettings

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SECTOR_NAMES = {Sector.ZORG: "Zorg", Sector.HUUR: "Huur", Sector.ENERGIE: "Energie", Sector.WATER: "Water"}
HOUSEHOLDS = 37_500  # of one municipality: about 1,670 signals a month
NUMBERS_PER_MUNICIPALITY = 400  # house numbers of one municipality; the next one begins after it in the same streets

COLUMNS = (
    "delivery_id", "line_number", "contract_version", "signal_id", "partner", "sector", "partner_reference",
    "signal_month", "signal_on", "arrears_since_on", "arrears_eur", "is_crisis", "initials", "name_prefix", "surname",
    "birth_on", "gender", "street", "postcode", "house_number", "house_letter", "house_number_addition", "city",
    "phone_1", "phone_2", "email", "bsn_key",
)  # fmt: skip
TRUTH = ("person_key", "true_address")


@dataclass(frozen=True)
class DataSet:
    """What is asked for: `signals` in all, over `months`, at a level of dirt."""

    signals: int
    months: Sequence[Month]
    dirt: float
    seed: int

    @property
    def municipalities(self) -> int:
        a_month = SandboxSettings.signals_per_household * HOUSEHOLDS * len(self.months)
        return max(1, round(self.signals / a_month))

    def settings(self, municipality: int) -> SandboxSettings:
        return SandboxSettings(
            seed=self.seed * 1_000 + municipality,
            households=HOUSEHOLDS if self.municipalities > 1 else self._households_of_one,
            dirt=self.dirt,
        )

    @property
    def _households_of_one(self) -> int:
        return max(50, round(self.signals / SandboxSettings.signals_per_household / len(self.months)))


def signals_with_truth(wanted: DataSet) -> pd.DataFrame:
    """One row per loaded signal, with the columns of landing.signals and those of the truth."""
    rows = [row for municipality in range(wanted.municipalities) for row in _of_municipality(wanted, municipality)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *TRUTH])
    return table.drop_duplicates("signal_id", ignore_index=True)


def _of_municipality(wanted: DataSet, number: int) -> Iterator[tuple]:
    administration = Administration(Population(wanted.settings(number)))
    for month in wanted.months:
        for partner in PARTNERS:
            for line, entry in enumerate(administration.entries(month, partner.sector), start=2):
                row = None if entry.accident else _landed(partner, entry, month, number, line)
                if row is not None:
                    yield row


def _landed(partner: Partner, entry: Entry, month: Month, municipality: int, line: int) -> tuple | None:
    cells = dict(zip(partner.columns, partner.row(replace(entry, accident=None)), strict=True))
    name, house = _READERS[partner.name](cells, entry)
    postcode = read_postcode(entry.address.postcode)
    if name is None or house is None or postcode is None:
        return None
    reference = f"{municipality}-{entry.reference}"
    phones = [_phone(number, municipality) for number in (entry.phone, entry.second_phone) if number.startswith("+")]
    has_email = entry.email.endswith(".example") and "@@" not in entry.email
    has_bsn = partner.sector == Sector.ZORG and entry.bsn == entry.person.bsn
    key = f"{partner.name}|{reference}|{month}"
    return (
        _delivery(partner.name, month), municipality * 100_000 + line, "1.0.0", "signal_" + _hash(key), partner.name,
        SECTOR_NAMES[partner.sector], reference, str(month), str(entry.signal_on), str(entry.since_on),
        max(entry.amount_cents, 1) / 100, entry.is_crisis, name.initials, name.name_prefix, name.surname,
        None if entry.birth_on is None or partner.sector == Sector.WATER else str(entry.birth_on),
        cells.get("gender") or None, entry.address.street, postcode,
        house.number + municipality * NUMBERS_PER_MUNICIPALITY, house.letter, house.addition, entry.address.city,
        phones[0] if phones else None, phones[1] if len(phones) > 1 else None,
        f"{municipality}.{entry.email}" if has_email else None,
        _hash(f"{municipality}|{entry.bsn}") if has_bsn else None,
        f"{municipality}-{entry.person.key}", f"{municipality}-{entry.address_index}",
    )  # fmt: skip


def _of_woonbedrijf(cells: dict, entry: Entry) -> tuple[PersonName | None, HouseNumber | None]:
    name = PersonName(read_initials(cells["Voorletters"]), cells["Tussenvoegsel"] or None, cells["Naam"])
    return name, HouseNumber(int(cells["Huisnummer"]), *read_addition(cells["Toevoeging"]))


def _of_zorgplus(cells: dict, entry: Entry) -> tuple[PersonName | None, HouseNumber | None]:
    name = PersonName(read_initials(cells["initials"]), cells["name_prefix"] or None, cells["surname"])
    letter, addition = cells["house_letter"], cells["house_number_addition"]
    if not letter:
        letter, addition = read_addition(addition)
    return name, HouseNumber(int(cells["house_number"]), letter or None, addition or None)


def _of_stadsenergie(cells: dict, entry: Entry) -> tuple[PersonName | None, HouseNumber | None]:
    address = read_address_line(cells["Adres"])
    return read_person_name(cells["Naam"], surname_first=False), address.house_number if address else None


def _of_drinkwater(cells: dict, entry: Entry) -> tuple[PersonName | None, HouseNumber | None]:
    address = read_address_line(cells["Adres"])
    return read_person_name(cells["Aanschrijfnaam"], surname_first=True), address.house_number if address else None


_READERS = {
    "woonbedrijf": _of_woonbedrijf,
    "zorgplus": _of_zorgplus,
    "stadsenergie": _of_stadsenergie,
    "drinkwater_zh": _of_drinkwater,
}


def _delivery(partner: str, month: Month) -> str:
    return f"dlv_{partner}_{month}"


def _phone(e164: str, municipality: int) -> str:
    """Numbers of their own for every municipality; a line of a house stays one."""
    kind, number = (e164[:4], int(e164[4:])) if e164.startswith("+316") else (e164[:5], int(e164[5:]))
    digits = 8 if kind == "+316" else 7
    return f"{kind}{(number + municipality * 1_000_003) % 10**digits:0{digits}d}"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def land(connection: psycopg.Connection, signals: pd.DataFrame) -> None:
    """Put the signals into landing with COPY, one loaded delivery per partner and month. A superuser's connection."""
    for (delivery, partner, month), rows in signals.groupby(["delivery_id", "partner", "signal_month"]).size().items():
        received = datetime.fromisoformat(f"{month}-05T09:00").replace(tzinfo=AMSTERDAM)
        connection.execute(
            "insert into ops.deliveries (delivery_id, contract, partner, file_name, sha256, signal_month, sequence,"
            " status, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate, received_at)"
            " values (%s, %s, %s, %s, %s, %s, 1, 'loaded', %s, %s, 0, 0, %s) on conflict do nothing",
            (delivery, partner, partner, f"{delivery}.csv", delivery, month, int(rows), int(rows), received),
        )
    text = io.StringIO()
    signals[list(COLUMNS)].to_csv(text, index=False, header=False)
    with connection.cursor().copy(f"copy landing.signals ({', '.join(COLUMNS)}) from stdin (format csv)") as copy:
        copy.write(text.getvalue())
    connection.execute("analyze landing.signals")
