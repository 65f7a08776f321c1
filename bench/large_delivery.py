"""A large delivery as the sandbox's landlord would write it, to measure with, every value in its own spelling.

Rule: the rows are real sandbox rows (names, addresses, dirt and accidents included) with a reference, telephone
numbers, e-mail address, date of birth, amount and dates of their own, because a file in which everything repeats would
flatter whoever reads distinct texts once. Exactly the asked share of the rows is bad, of every kind of accident.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from include.months import Month
from include.sandbox.administration import Accident, Administration, Entry
from include.sandbox.partners import PARTNERS, Partner
from include.sandbox.population import Population
from include.sandbox.settings import SandboxSettings

PARTNER = "woonbedrijf"
HOUSEHOLDS = 60_000
FIRST_DAY = np.datetime64("1935-01-01")
_ROWS_AT_ONCE = 50_000


def write_delivery(path: Path, rows: int, bad_share: float, month: Month, seed: int) -> int:
    """Write the file; returns how many of its rows are bad."""
    partner = next(one for one in PARTNERS if one.name == PARTNER)
    settings = SandboxSettings(seed=seed, households=HOUSEHOLDS)
    entries = Administration(Population(settings)).entries(month, partner.sector)
    dice = random.Random(seed)
    bad = round(rows * bad_share)
    is_bad = np.zeros(rows, dtype=bool)
    is_bad[dice.sample(range(rows), bad)] = True
    with path.open("w", encoding="cp1252", errors="replace", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow(partner.columns)
        for start in range(0, rows, _ROWS_AT_ONCE):
            writer.writerows(_rows(partner, entries, is_bad[start : start + _ROWS_AT_ONCE], start, dice))
    return bad


def _rows(
    partner: Partner, entries: list[Entry], is_bad: np.ndarray, start: int, dice: random.Random
) -> Iterator[list]:
    accidents = list(Accident)
    days = dice.choices(range(25_000), k=len(is_bad))
    amounts = dice.choices(range(5_000, 400_000), k=len(is_bad))
    mobiles = dice.choices(range(10_000_000, 58_000_000), k=len(is_bad))
    lags = dice.choices(range(31, 400), k=len(is_bad))
    for number, spoiled in enumerate(is_bad.tolist()):
        entry = entries[dice.randrange(len(entries))]
        yield partner.row(
            replace(
                entry,
                reference=str(10_000_000 + start + number),
                phone=f"+316{mobiles[number]}" if entry.phone.startswith("+316") else entry.phone,
                birth_on=None if entry.birth_on is None else FIRST_DAY + days[number],
                email=f"{number}.{entry.email}" if "@" in entry.email else entry.email,
                amount_cents=amounts[number],
                since_on=entry.signal_on - lags[number],
                accident=accidents[number % len(accidents)] if spoiled else None,
            )
        )
