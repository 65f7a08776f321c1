"""Which customers are in arrears in a month: the true signals, before anybody writes them down.

An arrears episode starts in a month with a chance that depends on the customer, lasts one to four months and is
reported again while it lasts, with a higher, equal or lower amount. Whether an episode started in month s is a roll of
the dice about (account, s), so any month can be worked out by itself, in any order. Shares of the sectors and of crisis
signals follow the national monitor (domain §3.4, §1.2); change the constants to get another town.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.months import Month
from include.sandbox.population import Accounts, Index, Population, Sector, month_number

SECTOR_SHARES = {Sector.ZORG: 41, Sector.HUUR: 20, Sector.ENERGIE: 20, Sector.WATER: 18}
# chance that an episode lasts 1, 2, 3, 4 months; insurers report between 30 and 100 days only, so theirs are short
_LENGTHS = (66, 20, 9, 5)
EPISODE_LENGTHS = {Sector.ZORG: (62, 33, 5, 0), Sector.HUUR: _LENGTHS, Sector.ENERGIE: _LENGTHS, Sector.WATER: _LENGTHS}
REPORTED_AGAIN = 0.85
SPREAD_OF_TROUBLE = 0.8  # sigma of the lognormal over households: some have arrears everywhere
SETBACK, SETBACK_FACTOR = 0.03, 24.0  # in a month of setback (job lost, divorce) all accounts of a household suffer
# median and sigma of the lognormal amount at the start
AMOUNTS = {Sector.ZORG: (390, 0.50), Sector.HUUR: (940, 0.60), Sector.ENERGIE: (330, 0.75), Sector.WATER: (105, 0.65)}
SHARE_CRISIS_OF_ENERGY = 0.25
SHARE_OUT_OF_WINDOW = 0.012
SHARED_HOUSE_IN_TROUBLE = 0.25  # of the shared houses, a quarter of a year at a time
SHARED_HOUSE_SIGNAL = 0.50  # chance a month of each resident there
LAST_SIGNAL_DAY = 7


@dataclass(frozen=True)
class TrueSignals:
    """One row per account reported in `month`; `since_on` and `signal_on` are days."""

    month: Month
    account: Accounts
    address: Index
    amount_cents: Index
    since_on: NDArray[np.datetime64]
    signal_on: NDArray[np.datetime64]
    is_crisis: NDArray[np.bool_]
    supply_ends_on: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.address)


def _by_sector(table: dict[Sector, float], sector: Index) -> NDArray[np.float64]:
    return np.array([table[each] for each in Sector], dtype=np.float64)[sector]


@dataclass(frozen=True)
class Arrears:
    """The arrears of a population."""

    population: Population

    def signals(self, month: Month, sector: Sector | None = None) -> TrueSignals:
        """All true signals of `month`, or those of one sector, in the order of the accounts."""
        accounts, number = self.population.accounts, month_number(month)
        if sector is not None:
            accounts = accounts.take(accounts.sector == sector)
        age = self._episode_age(accounts, number)
        reported = age >= 0
        chosen, age = accounts.take(reported), age[reported]
        signal_on = np.datetime64(month.first_day) + self.population.dice.integers(
            "signal day", LAST_SIGNAL_DAY, chosen.id, number
        ).astype("timedelta64[D]")
        start = number - age
        return TrueSignals(
            month=month,
            account=chosen,
            address=self._delivered_address(chosen, number),
            amount_cents=self._amounts(chosen, start, age),
            since_on=self._since(chosen, start, signal_on),
            signal_on=signal_on,
            is_crisis=self._is_crisis(chosen, start, age),
            supply_ends_on=signal_on
            + (28 + self.population.dice.integers("days to end of supply", 18, chosen.id, start)).astype(
                "timedelta64[D]"
            ),
        )

    def _episode_age(self, accounts: Accounts, number: int) -> Index:
        """Months since the running episode began; -1 where there is nothing to report."""
        dice = self.population.dice
        age = np.full(len(accounts.id), -1, dtype=np.int64)
        chance = self._chance_to_begin(accounts)
        for candidate in range(max(len(lengths) for lengths in EPISODE_LENGTHS.values())):
            start = number - candidate
            began = np.flatnonzero(
                dice.uniform("episode", accounts.id, start) < self._chance_in(accounts, chance, start)
            )
            lasts = self._length(accounts.take(began), start) > candidate
            if candidate:
                lasts &= dice.uniform("reported again", accounts.id[began], number) < REPORTED_AGAIN
            age[began[lasts]] = candidate
        return age

    def _length(self, accounts: Accounts, start: int) -> Index:
        u = self.population.dice.uniform("episode length", accounts.id, start)
        length = np.ones(len(accounts.id), dtype=np.int64)
        for sector, weights in EPISODE_LENGTHS.items():
            edges = np.cumsum(weights) / sum(weights)
            mine = accounts.sector == sector
            length[mine] += np.searchsorted(edges, u[mine], side="right")
        length[self.population.is_shared_house[accounts.household]] = 1
        return length

    def _chance_to_begin(self, accounts: Accounts) -> NDArray[np.float64]:
        """In an ordinary month; scaled so that the wanted number of signals comes out for each sector. None of a shared
        house, which has times of its own. `accounts` holds all of a sector or none."""
        dice, population = self.population.dice, self.population
        shared = population.is_shared_house[accounts.household]
        trouble = np.exp(SPREAD_OF_TROUBLE * dice.normal("trouble", accounts.household))
        weight = np.where(shared, 0.0, trouble)
        chance = np.zeros(len(weight))
        wanted = population.settings.signals_per_household * population.settings.households
        for sector, share in SECTOR_SHARES.items():
            mine = accounts.sector == sector
            lengths = np.asarray(EPISODE_LENGTHS[sector], dtype=np.float64)
            still_running = 1 - np.cumsum(lengths)[:-1] / lengths.sum()
            months_reported = 1 + REPORTED_AGAIN * still_running.sum()
            sector_wanted = wanted * share / sum(SECTOR_SHARES.values()) / months_reported
            chance[mine] = np.minimum(0.5, weight[mine] / max(weight[mine].sum(), 1e-9) * sector_wanted)
        return chance

    def _chance_in(self, accounts: Accounts, ordinary: NDArray[np.float64], start: int) -> NDArray[np.float64]:
        """In one month: a household has setbacks, a shared house a quarter of trouble."""
        dice = self.population.dice
        setback = dice.uniform("setback", accounts.household, start) < SETBACK
        chance = np.minimum(
            0.6, ordinary * np.where(setback, SETBACK_FACTOR, 1.0) / (1 + SETBACK * (SETBACK_FACTOR - 1))
        )
        in_trouble = dice.uniform("house in trouble", accounts.household, start // 3) < SHARED_HOUSE_IN_TROUBLE
        shared = self.population.is_shared_house[accounts.household]
        return np.where(shared, np.where(in_trouble, SHARED_HOUSE_SIGNAL, 0.004), chance)

    def _delivered_address(self, accounts: Accounts, number: int) -> Index:
        """Where the partner believes the customer lives: some hear of a move one or two months late. Not the water
        company: its connection is the address."""
        late = self.population.dice.weighted("late about moves", (84, 10, 6), accounts.id)
        late = np.where(accounts.sector == Sector.WATER, 0, late)
        return self.population.address_index(accounts.household, number - late)

    def _amounts(self, accounts: Accounts, start: Index, age: Index) -> Index:
        """Higher each month for most; the same or lower (something was paid) for the others."""
        dice = self.population.dice
        median = _by_sector({sector: amount for sector, (amount, _) in AMOUNTS.items()}, accounts.sector)
        sigma = _by_sector({sector: spread for sector, (_, spread) in AMOUNTS.items()}, accounts.sector)
        amount = median * np.exp(sigma * dice.normal("amount", accounts.id, start))
        for step in range(1, 4):
            way = dice.weighted("amount grows", (60, 22, 18), accounts.id, start, step)
            by = dice.uniform("amount grows by", accounts.id, start, step)
            factor = np.select([way == 0, way == 1], [1.05 + by * 0.55, np.ones_like(by)], 0.5 + by * 0.45)
            amount = np.where(age >= step, amount * factor, amount)
        return np.maximum(np.round(amount * 100), 500).astype(np.int64)

    def _since(self, accounts: Accounts, start: Index, signal_on: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """Fixed for the episode. A few are reported too early; insurers' long episodes end up past the 100 days."""
        dice = self.population.dice
        begin = (start - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]")
        length = self._lengths_at(accounts, start)
        room = np.where(accounts.sector == Sector.ZORG, np.where(length > 1, 28, 58), 45)
        days = 31 + np.floor(dice.uniform("days in arrears", accounts.id, start) * room)
        too_early = dice.uniform("out of window", accounts.id, start) < SHARE_OUT_OF_WINDOW
        days = np.where(too_early, 3 + days % 18, days)
        return np.minimum(begin - days.astype("timedelta64[D]"), signal_on)

    def _lengths_at(self, accounts: Accounts, start: Index) -> Index:
        length = np.ones(len(start), dtype=np.int64)
        for each in np.unique(start):
            there = start == each
            length[there] = self._length(accounts.take(there), int(each))
        return length

    def _is_crisis(self, accounts: Accounts, start: Index, age: Index) -> NDArray[np.bool_]:
        """End of supply is announced by the energy company, more often when the arrears last."""
        u = self.population.dice.uniform("crisis", accounts.id, start)
        return (accounts.sector == Sector.ENERGIE) & (u < SHARE_CRISIS_OF_ENERGY * np.where(age > 0, 1.5, 0.8))
