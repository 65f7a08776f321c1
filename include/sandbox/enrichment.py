"""The enrichment provider: a directory of residents that knows a number for a bit more than half of those asked about.

A request is answered once, from its content only: the same question always gets the same answer. A person found by name
comes before somebody at the address, who may turn out to be another resident. An address the directory does not know
(a file not made by the sandbox) is answered with a number nobody has.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path

from include.months import Month
from include.sandbox.dice import Dice
from include.sandbox.exchange_folder import write_atomically
from include.sandbox.names import without_diacritics
from include.sandbox.population import Person, Population, month_number
from include.sandbox.settings import SandboxSettings

SHARE_FOUND = 0.57
SHARE_WRONG_RESIDENT = 0.06  # of what was found: the number of somebody else at the address
SHARE_SECOND_NUMBER = 0.10  # of those found by name: a number of the address follows
SOURCE = {"person": "consumentenbestand", "address": "adressenbestand"}
RESULT_COLUMNS = ("request_id", "phone", "source", "match_level", "matched_on", "confidence")
_REQUEST_NAME = re.compile(r"enrichment_request_(\d{6})_(\d+)\.csv")
_QUESTION = (
    "initials",
    "name_prefix",
    "surname",
    "birth_date",
    "postcode",
    "house_number",
    "house_letter",
    "house_number_addition",
)


@dataclass(frozen=True)
class Provider:
    """Answers requests; `state` remembers which, so that a file the platform archived is not delivered again."""

    settings: SandboxSettings
    exchange_root: Path
    state: Path

    def answer_all(self) -> list[Path]:
        """Answer every request not answered before; returns the result files written."""
        written = []
        for request in sorted((self.exchange_root / "outbox" / "enrichment").glob("enrichment_request_*.csv")):
            named = _REQUEST_NAME.fullmatch(request.name)
            done = self.state / "enrichment" / f"{request.stem}.done"
            if not named or done.exists():
                continue
            result = self.exchange_root / "inbox" / "enrichment" / request.name.replace("request", "result", 1)
            write_atomically(result, self.answer(request.read_bytes(), Month.parse(named[1])))
            write_atomically(done, b"")
            written.append(result)
        return written

    def answer(self, request: bytes, month: Month) -> bytes:
        rows = list(csv.DictReader(io.StringIO(request.decode("utf-8-sig"))))
        directory = self._directory(month)
        matched_on = month.first_day + timedelta(days=8)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(RESULT_COLUMNS)
        for row in rows:
            for phone, level, confidence in self._numbers(row, directory) or [("", "", "")]:
                found = (SOURCE[level], level, matched_on.isoformat()) if level else ("", "", "")
                writer.writerow([row["request_id"], phone, *found, confidence])
        return text.getvalue().encode()

    def _numbers(self, row: dict[str, str], directory: dict[str, list[Person]]) -> list[tuple[str, str, str]]:
        """(phone, level, confidence), the best first; empty when nothing is known."""
        question = "|".join((row.get(column) or "").strip() for column in _QUESTION)
        roll = Dice(self.settings.seed).about("enrichment", question)
        if roll.random() >= SHARE_FOUND:
            return []
        residents = directory.get(_address_key(row), [])
        if not residents:
            return [(f"+31791{roll.randrange(10**6):06d}", "address", f"{roll.uniform(0.30, 0.60):.2f}")]
        wanted = max(residents, key=lambda person: _likeness(person, row))
        others = [person for person in residents if person is not wanted]
        if others and roll.random() < SHARE_WRONG_RESIDENT:
            return [(roll.choice(others).mobile, "address", f"{roll.uniform(0.30, 0.55):.2f}")]
        if _likeness(wanted, row) < 0.75:
            return [(wanted.landline or wanted.mobile, "address", f"{roll.uniform(0.30, 0.60):.2f}")]
        numbers = [(wanted.mobile, "person", f"{roll.uniform(0.80, 0.98):.2f}")]
        if roll.random() < SHARE_SECOND_NUMBER and wanted.landline:
            numbers.append((wanted.landline, "address", f"{roll.uniform(0.35, 0.60):.2f}"))
        return numbers

    @cached_property
    def _population(self) -> Population:
        return Population(self.settings)

    def _directory(self, month: Month) -> dict[str, list[Person]]:
        """Residents by address, as in `month`."""
        population = self._population
        address_of = population.address_index(population.households, month_number(month))
        addresses = population.addresses(address_of)
        persons = self._everybody
        directory: dict[str, list[Person]] = defaultdict(list)
        for household, address_index in enumerate(address_of.tolist()):
            address = addresses[address_index]
            key = _key(address.postcode, str(address.number), address.letter, address.addition)
            first, after = population.first_person[household], population.first_person[household + 1]
            directory[key].extend(persons[index] for index in range(first, after))
        return directory

    @cached_property
    def _everybody(self) -> dict[int, Person]:
        import numpy as np

        return self._population.persons(np.arange(self._population.size))


def _key(postcode: str, number: str, letter: str, addition: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", f"{postcode}{number}{letter}{addition}".upper())


def _address_key(row: dict[str, str]) -> str:
    fields = ("postcode", "house_number", "house_letter", "house_number_addition")
    return _key(*((row.get(field) or "") for field in fields))


def _likeness(person: Person, row: dict[str, str]) -> float:
    """How much the surname asked for is like one of this person's; the right birth date or initial adds a little."""
    asked = without_diacritics(row.get("surname") or "").lower()
    own = [person.surname.head] + ([person.partner_surname.head] if person.partner_surname else [])
    parts = [asked, *asked.split("-")]
    names = [without_diacritics(name).lower() for name in own]
    alike = max(SequenceMatcher(None, part, name).ratio() for part in parts for name in names)
    bonus = 0.02 * ((row.get("initials") or "")[:1] == person.initials[0])
    return alike + bonus + 0.05 * ((row.get("birth_date") or "") == str(person.birth_on))
