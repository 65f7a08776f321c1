"""The signal month: the partition of everything, always written `YYYY-MM`.

No module asks the clock which month it is; the month is a parameter that starts at the DAG run's partition key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month. `str(month)` is its key: `2024-06`."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read `2024-06` (or `202406`, as in file names); ValueError says what was expected."""
        match = re.fullmatch(r"(\d{4})-?(0[1-9]|1[0-2])", text.strip())
        if not match or not 2000 <= int(match[1]) <= 2099:
            raise ValueError(f"{text!r} is not a month; write YYYY-MM, for example 2024-06")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def parse_range(cls, text: str) -> list[Month]:
        """Read `2024-04..2024-06` or a single month; the months in order."""
        first, _, last = text.partition("..")
        start, end = cls.parse(first), cls.parse(last or first)
        if end < start:
            raise ValueError(f"{text!r} ends before it begins")
        months = [start]
        while months[-1] < end:
            months.append(months[-1].next)
        return months

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def compact(self) -> str:
        """`202406`, as file names carry it."""
        return f"{self.year:04d}{self.number:02d}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def last_day(self) -> date:
        return self.next.first_day - timedelta(days=1)

    @property
    def next(self) -> Month:
        return self.plus(1)

    @property
    def previous(self) -> Month:
        return self.plus(-1)

    def plus(self, months: int) -> Month:
        index = self.year * 12 + self.number - 1 + months
        return Month(index // 12, index % 12 + 1)

    @property
    def first_working_day(self) -> date:
        """The first day that is no weekend and no Dutch public holiday."""
        day = self.first_day
        while not is_working_day(day):
            day += timedelta(days=1)
        return day


@cache
def _public_holidays(year: int) -> frozenset[date]:
    import holidays

    return frozenset(holidays.country_holidays("NL", years=year))


def is_public_holiday(day: date) -> bool:
    """Dutch public holidays (Algemene termijnenwet, as kept by the `holidays` library)."""
    return day in _public_holidays(day.year)


def is_working_day(day: date) -> bool:
    return day.weekday() < 5 and not is_public_holiday(day)
