"""How a partner's administration differs from the truth.

Rule: dirt belongs to a customer in one partner's administration (a typo stays a typo every month), accidents belong to
a row of a month (an export that lost a field). Rates are shares at `dirt = 1.0`; `SandboxSettings.dirt` multiplies
them. To add a kind of dirt: a rate in `RATES`, a function here, a line in `administration.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from include.sandbox.dice import Dice
from include.sandbox.names import Surname, without_diacritics
from include.sandbox.population import Index

# share of the customers for whom it applies (where it can apply at all)
RATES = {
    "typo": 0.035,
    "diacritics lost": 0.60,
    "ij becomes y": 0.15,
    "y becomes ij": 0.08,
    "ss becomes s": 0.06,
    "prefix dropped": 0.03,
    "prefix in surname": 0.03,
    "prefix abbreviated": 0.04,
    "surname in capitals": 0.02,
    "other name usage": 0.25,
    "fewer initials": 0.18,
    "initials without points": 0.06,
    "first name as initials": 0.012,
    "wrong initial": 0.006,
    "initials missing": 0.015,
    "day and month swapped": 0.010,
    "birth date typo": 0.006,
    "addition written otherwise": 0.25,
    "letter or addition lost": 0.025,
    "wrong house number": 0.003,
    "postcode with typo": 0.004,
    "postcode written otherwise": 0.08,
    "street written otherwise": 0.04,
    "phone unusable": 0.035,
    "phone of somebody else": 0.04,
    "phone is landline": 0.12,
    "two phones in one field": 0.02,
    "email unusable": 0.012,
    "bsn wrong": 0.008,
    "accident": 0.016,
    "reference twice": 0.004,
}
UNUSABLE_PHONES = (
    "onbekend",
    "0000000000",
    "0612345678",
    "06-",
    "0900-1234",
    "0123",
    "geen",
    "1111111111",
    "0800-0432",
    "06 0000 0000",
)
UNUSABLE_EMAILS = ("onbekend", "geen@", "klant@@voorbeeld.example", "nvt")
_NEIGHBOURS = {
    "a": "s",
    "e": "r",
    "i": "o",
    "o": "i",
    "u": "i",
    "n": "m",
    "m": "n",
    "s": "z",
    "d": "f",
    "t": "r",
    "k": "l",
    "b": "v",
}


@dataclass(frozen=True)
class Dirt:
    """Which of these customers suffer from what; `on(kind)` and `roll(kind)` align with `accounts`."""

    dice: Dice
    level: float
    accounts: Index
    month_number: int

    def on(self, kind: str) -> NDArray[np.bool_]:
        return self.dice.uniform(f"dirt: {kind}", self.accounts) < min(RATES[kind] * self.level, 0.95)

    def this_month(self, kind: str) -> NDArray[np.bool_]:
        return self.dice.uniform(f"dirt: {kind}", self.accounts, self.month_number) < min(
            RATES[kind] * self.level, 0.95
        )

    @cached_property
    def pick(self) -> NDArray[np.int64]:
        """A large number per customer, to choose among variants with a modulus."""
        return self.dice.integers("dirt: variant", 1_000_003, self.accounts)

    @cached_property
    def pick_this_month(self) -> NDArray[np.int64]:
        return self.dice.integers("dirt: accident variant", 1_000_003, self.accounts, self.month_number)


def typo(word: str, pick: int) -> str:
    """One keystroke wrong, never in the first letter: swapped, lost, doubled or a neighbouring key."""
    if len(word) < 4:
        return word
    at = 1 + pick % (len(word) - 2)
    match (pick // 97) % 4:
        case 0 if word[at] != word[at + 1]:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
        case 2:
            return word[:at] + word[at] + word[at:]
        case _:
            return word[:at] + _NEIGHBOURS.get(word[at], "e") + word[at + 1 :]


def respelled(word: str, on: dict[str, bool]) -> str:
    """The official spelling as an ear or an old system keeps it."""
    if on["diacritics lost"]:
        word = without_diacritics(word)
    if on["ij becomes y"]:
        word = word.replace("ij", "y").replace("IJ", "Y")
    elif on["y becomes ij"]:
        word = word[:1] + word[1:].replace("y", "ij")
    if on["ss becomes s"]:
        word = word.replace("ss", "s")
    return word


def abbreviated(prefix: str) -> str:
    return {"van der": "v.d.", "van den": "v.d.", "van de": "v.d.", "van": "v.", "van 't": "v.'t"}.get(prefix, prefix)


def capitalised_double(first: Surname, second: Surname) -> Surname:
    """`Jansen-de Vries`: the tussenvoegsel of the second name stays inside the head."""
    return Surname(first.prefix, f"{first.head}-{second.prefix + ' ' if second.prefix else ''}{second.head}")


def addition_text(letter: str, addition: str, style: int) -> str:
    """Letter and addition in one field: `A-3`, `A3`, `A 3`, `a-3` …; one part alone only changes case."""
    if letter and addition:
        return (
            f"{letter}-{addition}",
            f"{letter}{addition}",
            f"{letter} {addition}",
            f"{letter.lower()}-{addition}",
            f"{letter}/{addition}",
        )[style % 5]
    text = letter or addition
    return (text, text.lower(), text, text.upper(), text)[style % 5]


def house_text(number: int, letter: str, addition: str, style: int) -> str:
    """Number, letter and addition on one line: `12 A-3`, `12A-3`, `12 A 3`, `12-3`, `12 bis`, `12bis`."""
    text = addition_text(letter, addition, style)
    if not text:
        return str(number)
    if text[0].isdigit():  # a bare door number needs a mark, or it melts into the house number
        return (f"{number}-{text}", f"{number} -{text}", f"{number}/{text}", f"{number}-{text}", f"{number} {text}")[
            style % 5
        ]
    return f"{number}{text}" if (style // 5) % 2 else f"{number} {text}"


def phone_text(e164: str, style: int) -> str:
    """A Dutch number the way people write it."""
    national = f"0{e164.removeprefix('+31')}"
    area, rest = (national[:2], national[2:]) if national.startswith("06") else (national[:3], national[3:])
    return (
        national,
        f"{area}-{rest}",
        f"{area} {rest[:2]} {rest[2:4]} {rest[4:6]} {rest[6:]}".strip(),
        e164,
        f"+31 (0){national[1 : len(area)]} {rest}",
        f"00{e164[1:]}",
    )[style % 6]


def swapped_day_and_month(day: np.datetime64) -> np.datetime64:
    """Only where that is a date too; the error nobody notices."""
    year, month, date = str(day).split("-")
    return np.datetime64(f"{year}-{date}-{month}") if int(date) <= 12 else day
