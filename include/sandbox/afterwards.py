"""What RIS gets to know only after the month was closed: late outcomes, corrections, follow-ups that end later.

A month counts as over once a call list of a later month lies with Certin; before that RIS does not show these items (or
shows them as they were thought to be). Which items, and when in the next month, follows from the seed and the item.
Shares are settings, both 0 by default: `VS_SANDBOX_LATE` and `VS_SANDBOX_CORRECTED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.months import Month
from include.sandbox.dice import Dice
from include.sandbox.items import Item, instant

#: What was noted before it was corrected; a negative result, so that the month's closure takes the case along.
THOUGHT_TO_BE = ("needs_no_help", "solves_it_themselves")


@dataclass(frozen=True)
class Afterwards:
    """Divides what RIS holds over the month and the time after it."""

    seed: int
    late: float
    corrected: float
    last_month: Month

    def outcomes(self, items: Iterable[Item]) -> list[Item]:
        """The outcomes as RIS shows them now."""
        return [shown for item in items for shown in self._outcome(item)]

    def followups(self, items: Iterable[Item], outcome_of: Mapping[str, str]) -> list[Item]:
        """The follow-ups likewise; nobody follows up what was not known."""
        shown = [
            self._known_later(item) if self._is_known_later(outcome_of[item.key]) else item
            for item in items
            if not self._is_known_later(outcome_of[item.key]) or self._is_over(item.month)
        ]
        return [version for item in shown for version in self._ended_later(item)]

    def _outcome(self, item: Item) -> list[Item]:
        over = self._is_over(item.month)
        if self._roll("late", item.key) < self.late:
            return [self._known_later(item)] if over else []
        if self._roll("corrected", item.key) < self.corrected:
            first, other = THOUGHT_TO_BE
            noted = {
                "result_code": first if item.content["result_code"] != first else other,
                "preferred_callback": None,
                "situation_summary": None,
            }
            before = replace(item, content=dict(item.content) | noted)
            return [before, self._known_later(item)] if over else [before]
        return [item]

    def _ended_later(self, item: Item) -> list[Item]:
        """A follow-up that still ran when the month was closed ends in the next."""
        if not self.late or item.content["ended_on"] or not self._is_over(item.month):
            return [item]
        at = max(self._afterwards(item), item.updated_at + timedelta(hours=1))
        ended_on: date = max(at.date(), date.fromisoformat(str(item.content["started_on"])))
        return [item, _at(item, at, ended_on=ended_on.isoformat())]

    def _known_later(self, item: Item) -> Item:
        return _at(item, max(self._afterwards(item), item.updated_at))

    def _afterwards(self, item: Item) -> datetime:
        """The third to the seventh of the next month: after its first working day, before its own calls."""
        roll = Dice(self.seed).about("afterwards", item.key)
        day = item.month.next.first_day + timedelta(days=roll.randint(2, 6))
        return datetime(day.year, day.month, day.day, roll.randint(8, 17), roll.randint(0, 59), tzinfo=UTC)

    def _is_known_later(self, outcome_id: str) -> bool:
        return self._roll("late", outcome_id) < self.late or self._roll("corrected", outcome_id) < self.corrected

    def _is_over(self, month: Month) -> bool:
        return month < self.last_month

    def _roll(self, what: str, key: str) -> float:
        return Dice(self.seed).about(what, key).random()


def _at(item: Item, moment: datetime, **content: Any) -> Item:
    return Item(item.month, moment, item.key, dict(item.content) | {"updated_at": instant(moment)} | content)
