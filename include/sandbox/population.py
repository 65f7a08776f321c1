"""Who lives where, and who is customer of whom.

Households hold adults: partners, grown children, or the unrelated residents of a student house or care home. Structure
(who, where, which accounts) is vectorised for everybody; names, numbers and dates are worked out only for the persons
a month needs. Adults only: minors never appear in a signal. Change the shares at the top to get another town.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from include.months import Month
from include.sandbox import names
from include.sandbox.addresses import Address, AddressBook
from include.sandbox.dice import Dice
from include.sandbox.names import Surname
from include.sandbox.settings import SandboxSettings


class Sector(IntEnum):
    ZORG = 0
    HUUR = 1
    ENERGIE = 2
    WATER = 3


class Kind(IntEnum):
    SINGLE = 0
    COUPLE = 1
    FAMILY = 2
    STUDENT_HOUSE = 3
    CARE_HOME = 4


HOUSEHOLDS_PER_STUDENT_HOUSE = 2_500
HOUSEHOLDS_PER_CARE_HOME = 2_500
KIND_WEIGHTS = (46, 33, 21)
SHARE_MOVERS = 0.30  # households that ever move; each moves once in MOVE_MONTHS
MOVE_MONTHS = 48
SHARE_MARRIED = 0.6
SHARE_TWINS = 0.04
SHARE_SAME_INITIALS = 0.05

Index = NDArray[np.int64]


def month_number(month: Month) -> int:
    return month.year * 12 + month.number - 1


@dataclass(frozen=True)
class Person:
    """One adult as the municipality's own register would know him or her."""

    key: str
    gender: str
    given_names: tuple[str, ...]
    surname: Surname
    partner_surname: Surname | None
    name_usage: int  # 0 own, 1 partner's, 2 partner's-own
    birth_on: np.datetime64
    mobile: str
    landline: str
    bsn: str

    @property
    def initials(self) -> str:
        return "".join(f"{names.initial_of(name)}." for name in self.given_names)


@dataclass(frozen=True)
class Accounts:
    """Customer relations: `holder` (person) buys something of `sector` for `household`."""

    holder: Index
    sector: Index
    household: Index

    @property
    def id(self) -> Index:
        return self.holder * 4 + self.sector

    def take(self, where: NDArray) -> Accounts:
        return Accounts(self.holder[where], self.sector[where], self.household[where])


@dataclass(frozen=True)
class Population:
    """The synthetic municipality of these settings."""

    settings: SandboxSettings

    @cached_property
    def dice(self) -> Dice:
        return Dice(self.settings.seed)

    # -- households ---------------------------------------------------------------------------------------------
    @cached_property
    def households(self) -> Index:
        return np.arange(self.settings.households, dtype=np.int64)

    @cached_property
    def kind(self) -> Index:
        kind = self.dice.weighted("kind of household", KIND_WEIGHTS, self.households)
        kind[self.households % HOUSEHOLDS_PER_STUDENT_HOUSE == 7] = Kind.STUDENT_HOUSE
        kind[self.households % HOUSEHOLDS_PER_CARE_HOME == 41] = Kind.CARE_HOME
        return kind

    @cached_property
    def is_shared_house(self) -> NDArray[np.bool_]:
        return self.kind >= Kind.STUDENT_HOUSE

    @cached_property
    def adults(self) -> Index:
        u = self.dice.uniform("adults", self.households)
        by_kind = np.stack(
            [
                np.ones_like(u),
                np.full_like(u, 2),
                3 + (u < 0.35),
                6 + np.floor(u * 5),
                9 + np.floor(u * 8),
            ]
        )
        return by_kind[self.kind, self.households].astype(np.int64)

    @cached_property
    def first_person(self) -> Index:
        """Person index of each household's first adult; one more entry than households."""
        return np.concatenate([[0], np.cumsum(self.adults)])

    @cached_property
    def household_of_person(self) -> Index:
        return np.repeat(self.households, self.adults)

    @property
    def size(self) -> int:
        return int(self.first_person[-1])

    # -- addresses ----------------------------------------------------------------------------------------------
    @cached_property
    def address_book(self) -> AddressBook:
        return AddressBook(self.dice, self.settings.households)

    @cached_property
    def _exchange_partner(self) -> Index:
        """Movers swap homes in pairs: the new resident of an address is somebody else with a history of his own."""
        may_move = (self.dice.uniform("mover", self.households) < SHARE_MOVERS) & ~self.is_shared_house
        movers = self.households[may_move]
        movers = movers[np.argsort(self.dice.bits("move pairs", movers), kind="stable")]
        movers = movers[: len(movers) // 2 * 2]
        partner = self.households.copy()
        partner[movers[0::2]], partner[movers[1::2]] = movers[1::2], movers[0::2]
        return partner

    def address_index(self, household: Index, month: Index | int) -> Index:
        """Where `household` lives in `month` (a month number)."""
        partner = self._exchange_partner[household]
        phase = self.dice.integers("move phase", MOVE_MONTHS, np.minimum(household, partner))
        swapped = ((month + phase) // MOVE_MONTHS) % 2 == 1
        return np.where(swapped, partner, household)

    def addresses(self, wanted: Index) -> dict[int, Address]:
        return self.address_book.addresses(wanted)

    # -- accounts -----------------------------------------------------------------------------------------------
    @cached_property
    def accounts(self) -> Accounts:
        parts = [self._insured(), self._tenants(), self._household_account(Sector.ENERGIE, 0.92, 0.30),
                 self._household_account(Sector.WATER, 0.95, 0.25)]  # fmt: skip
        return Accounts(
            np.concatenate([part.holder for part in parts]),
            np.concatenate([part.sector for part in parts]),
            np.concatenate([part.household for part in parts]),
        )

    def _insured(self) -> Accounts:
        """Everybody has an own policy, except partners insured in the other's name."""
        persons = np.arange(self.size, dtype=np.int64)
        household = self.household_of_person
        is_partner = (persons == self.first_person[household] + 1) & ~self.is_shared_house[household]
        own_policy = ~is_partner | (self.dice.uniform("own policy", persons) < 0.45)
        return Accounts(persons[own_policy], np.full(own_policy.sum(), Sector.ZORG), household[own_policy])

    def _tenants(self) -> Accounts:
        household_rent = self._household_account(Sector.HUUR, 0.78, 0.12)
        persons = np.arange(self.size, dtype=np.int64)
        rooms = self.kind[self.household_of_person] == Kind.STUDENT_HOUSE
        return Accounts(
            np.concatenate([household_rent.holder, persons[rooms]]),
            np.full(len(household_rent.holder) + rooms.sum(), Sector.HUUR),
            np.concatenate([household_rent.household, self.household_of_person[rooms]]),
        )

    def _household_account(self, sector: Sector, share: float, by_second_adult: float) -> Accounts:
        has_one = (self.dice.uniform("has account", self.households, sector) < share) & ~self.is_shared_house
        household = self.households[has_one]
        second = (self.dice.uniform("account holder", household, sector) < by_second_adult) & (
            self.adults[household] > 1
        )
        return Accounts(self.first_person[household] + second, np.full(len(household), sector), household)

    # -- persons ------------------------------------------------------------------------------------------------
    def persons(self, wanted: Index) -> dict[int, Person]:
        """The persons with these indexes (each once)."""
        index = np.unique(wanted)
        household = self.household_of_person[index]
        first = self.first_person[household]
        place, kind = index - first, self.kind[household]
        is_child = (kind == Kind.FAMILY) & (place >= 2)
        is_spouse = (kind <= Kind.FAMILY) & (place == 1)
        own = self._surnames(np.where(is_child, first, index))
        partner_index = np.where(place == 0, index + 1, first)
        lives_with_partner = (kind != Kind.SINGLE) & (kind <= Kind.FAMILY) & (place < 2)
        married = lives_with_partner & (self.dice.uniform("married", household) < SHARE_MARRIED)
        partner = self._surnames(partner_index)
        usage = np.where(married & is_spouse, self.dice.weighted("name usage", (45, 20, 35), index), 0)
        woman = self._is_woman(index, is_spouse, first)
        same_initials = is_child & (self.dice.uniform("same initials", index) < SHARE_SAME_INITIALS)
        given = self._given_names(index, woman)
        for i in np.flatnonzero(same_initials):
            given[i] = self._named_after(first[i], woman[i])
        birth = self._birth_dates(index, household, place, kind)
        mobile, landline, bsn = self._mobiles(index), self._landlines(household), self._bsns(index)
        other = self.dice.uniform("gender not M or V", index) < 0.005
        return {
            int(one): Person(
                key=f"P{int(one):08d}",
                gender="O" if other[i] else "V" if woman[i] else "M",
                given_names=given[i],
                surname=own[i],
                partner_surname=partner[i] if married[i] and is_spouse[i] else None,
                name_usage=int(usage[i]),
                birth_on=birth[i],
                mobile=mobile[i],
                landline=landline[i],
                bsn=bsn[i],
            )
            for i, one in enumerate(index)
        }

    def _surnames(self, owner: Index) -> list[Surname]:
        pools = names.surname_pools()
        pool = self.dice.weighted("surname pool", names.SURNAME_POOL_WEIGHTS, owner)
        picks = [self.dice.weighted("surname", names.zipf_weights(len(each)), owner) for each in pools]
        # the pools are alphabetical; a fixed stride spreads the common ones over the alphabet
        return [pools[p][(int(picks[p][i]) * 379) % len(pools[p])] for i, p in enumerate(pool)]

    def _is_woman(self, index: Index, is_spouse: NDArray[np.bool_], first: Index) -> NDArray[np.bool_]:
        own = self.dice.uniform("woman", index) < 0.5
        of_first = self.dice.uniform("woman", first) < 0.5
        same_sex = self.dice.uniform("same sex", first) < 0.03
        return np.where(is_spouse, of_first ^ ~same_sex, own)

    def _given_names(self, index: Index, woman: NDArray[np.bool_]) -> list[tuple[str, ...]]:
        """One to three names."""
        men, women = names.given_names()
        count = 1 + self.dice.weighted("number of given names", (35, 45, 20), index)
        rolls = np.stack([self.dice.uniform("given name", index, place) for place in range(3)])
        return [
            tuple(
                (women if woman[i] else men)[int(roll * len(women if woman[i] else men))]
                for roll in rolls[: count[i], i]
            )
            for i in range(len(index))
        ]

    def _named_after(self, parent: int, woman: bool) -> tuple[str, ...]:
        """Names with a parent's initials: the son named after his father, whom initials cannot tell apart."""
        of_parent = self._given_names(np.array([parent]), self.dice.uniform("woman", parent) < 0.5)[0]
        pool = names.given_names()[1 if woman else 0]
        letters = [names.initial_of(name) for name in of_parent]
        return tuple(next((name for name in pool if names.initial_of(name) == letter), letter) for letter in letters)

    def _birth_dates(self, index: Index, household: Index, place: Index, kind: Index) -> NDArray[np.datetime64]:
        """Students are young, residents of care homes old, children at least 19 years younger than a parent."""
        year_days = 365.25
        first_age = self.dice.uniform("age", self.first_person[household])
        youngest = np.select(
            [kind == Kind.FAMILY, kind == Kind.STUDENT_HOUSE, kind == Kind.CARE_HOME], [44, 18, 72], 21
        )
        oldest = np.select([kind == Kind.FAMILY, kind == Kind.STUDENT_HOUSE, kind == Kind.CARE_HOME], [66, 29, 97], 80)
        shared = kind >= Kind.STUDENT_HOUSE
        own_age = np.where(shared, self.dice.uniform("age", index), first_age)
        age = youngest + own_age * (oldest - youngest)
        age = np.where(~shared & (place == 1), age + self.dice.normal("age difference", index) * 3.5, age)
        twins = self.dice.uniform("twins", household) < SHARE_TWINS
        child_key = np.where(twins, self.first_person[household] + 2, index)
        child_age = 18.5 + self.dice.uniform("age of child", child_key) * np.minimum(age - 38, 11)
        age = np.where(~shared & (place >= 2), child_age, np.maximum(age, 18.5))
        days = np.floor(age * year_days).astype("timedelta64[D]")
        return np.datetime64("2024-01-01") - days

    def _mobiles(self, index: Index) -> list[str]:
        """E.164 in 06-80 (no allocation of that block is known to us): as clearly nobody's as a valid number can be."""
        block = 1_000_000 if self.size <= 1_000_000 else 10_000_000
        number = (index * 7_919 * 13 + 271_105) % block
        return [f"+3168{one:07d}" if block > 1_000_000 else f"+31680{one:06d}" for one in number.tolist()]

    def _landlines(self, household: Index) -> list[str]:
        """079 numbers that begin with 0 or 1, which no subscriber number does; empty for households without a line."""
        has_line = self.dice.uniform("landline", household) < 0.35
        number = (household * 1_299_709 + 40_013) % 2_000_000
        return [f"+3179{one:07d}" if has else "" for one, has in zip(number.tolist(), has_line.tolist(), strict=True)]

    def _bsns(self, index: Index) -> list[str]:
        """Numbers that pass the 11-test, from 9xxxxxxxx downwards: ranges that are not handed out."""
        return [_bsn(int(one)) for one in (index * 104_729 + 17).tolist()]


def _bsn(number: int) -> str:
    leading, middle = 9 - (number // 1_000_000) % 3, number % 1_000_000
    for last in (number * 7 % 10, (number * 7 + 1) % 10):
        digits = f"{leading}{middle:06d}{last}"
        check = sum(int(digit) * weight for digit, weight in zip(digits, range(9, 1, -1), strict=True)) % 11
        if check < 10:
            return f"{digits}{check}"
    raise AssertionError("two neighbouring eighth digits cannot both give remainder 10")
