"""The address book: invented streets in the municipality's postcode areas, with BAG-like letters and additions.

Every address has an index; index -> address is a formula, so an address book of any size costs nothing. Streets come
from `data/streets.csv`; the postcode areas are those of interfaces §3. A few addresses lie outside the municipality:
people move, and partners send those signals anyway.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from include.sandbox.dice import Dice

DATA = Path(__file__).parent / "data"
MUNICIPALITY_PC4 = tuple(range(2711, 2730))
MUNICIPALITY_CITY = "Zoetermeer"
# (PC4, city) of neighbours where customers of our partners also live
ELSEWHERE = ((2631, "Nootdorp"), (2665, "Bleiswijk"), (2492, "Den Haag"), (2801, "Gouda"), (2312, "Leiden"))
# postcode letters: F I O Q U Y were not used until 2005, and SA SD SS never are
_LETTERS = "ABCDEGHJKLMNPRSTVWXZ"
_POSTCODE_LETTERS = tuple(
    first + second for first in _LETTERS for second in _LETTERS if first + second not in {"SA", "SD", "SS"}
)
_STREETS_PER_POSTCODE_AREA = 4
_ADDRESSES_PER_POSTCODE = 8
_NUMBER_WORDS = ("bis", "hs", "2e", "II")


@dataclass(frozen=True)
class Address:
    """One address as the BAG knows it; partners write it their own way."""

    street: str
    number: int
    letter: str
    addition: str
    postcode: str
    city: str


@lru_cache(maxsize=1)
def street_names() -> tuple[str, ...]:
    """All street names, whole ones first so that every sandbox has some difficult ones."""
    with (DATA / "streets.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    whole = [row["text"] for row in rows if row["part"] == "whole"]
    stems = [row["text"] for row in rows if row["part"] == "stem"]
    suffixes = [row["text"] for row in rows if row["part"] == "suffix"]
    composed = [stem + suffix for suffix in suffixes for stem in stems]
    return tuple(whole + composed)


@dataclass(frozen=True)
class AddressBook:
    """All addresses of a municipality of `size` addresses."""

    dice: Dice
    size: int

    @cached_property
    def _postcodes(self) -> int:
        return min(len(MUNICIPALITY_PC4) * len(_POSTCODE_LETTERS), max(1, -(-self.size // _ADDRESSES_PER_POSTCODE)))

    @cached_property
    def _street_order(self) -> NDArray[np.int64]:
        """Street by group of postcodes: a fixed shuffle with the difficult whole names spread over the town."""
        return np.argsort(self.dice.bits("street order", np.arange(len(street_names()))), kind="stable")

    def is_elsewhere(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self.dice.uniform("address elsewhere", index) < 0.015

    def addresses(self, wanted: NDArray[np.int64]) -> dict[int, Address]:
        """The addresses with these indexes; inside the municipality no two indexes give the same one."""
        index = np.unique(wanted)
        postcode_index, place = index % self._postcodes, index // self._postcodes
        pc4_index, letters_index = np.divmod(postcode_index, -(-self._postcodes // len(MUNICIPALITY_PC4)))
        elsewhere = self.is_elsewhere(index)
        streets = street_names()
        street = self._street_order[(postcode_index // _STREETS_PER_POSTCODE_AREA) % len(streets)]
        building = self.dice.weighted("kind of building", (68, 11, 11, 6, 4), postcode_index)
        book = {}
        for i, one in enumerate(index.tolist()):
            pc4, city = (
                ELSEWHERE[one % len(ELSEWHERE)] if elsewhere[i] else (MUNICIPALITY_PC4[pc4_index[i]], MUNICIPALITY_CITY)
            )
            number, letter, addition = self._house(int(postcode_index[i]), int(place[i]), int(building[i]))
            postcode = f"{pc4}{_POSTCODE_LETTERS[letters_index[i]]}"
            book[one] = Address(streets[street[i]], number, letter, addition, postcode, city)
        return book

    def _house(self, postcode_index: int, place: int, building: int) -> tuple[int, str, str]:
        """Odd and even sides of a street have their own postcode; the kind of building is one of five."""
        side, block = postcode_index % 2, (postcode_index % _STREETS_PER_POSTCODE_AREA) // 2
        first = 1 + side + block * 2 * max(_ADDRESSES_PER_POSTCODE, self.size // self._postcodes + 1)
        if building == 0:  # houses in a row
            return first + 2 * place, "", ""
        if building == 1:  # split houses: 12, 12A, 12B, 12C
            return first + 2 * (place // 4), ("", "A", "B", "C")[place % 4], ""
        if building == 2:  # a flat, door numbers as addition: 12-1 … 12-12
            return first + 2 * (place // 12), "", str(place % 12 + 1)
        if building == 3:  # a flat with staircases: 12 A-3
            return first + 2 * (place // 12), "AB"[place % 12 // 6], str(place % 6 + 1)
        return first + 2 * (place // 5), "", ("", *_NUMBER_WORDS)[place % 5]
