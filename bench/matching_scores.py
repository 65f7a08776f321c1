"""Precision, recall and F1 of links between signals, against the truth.

Rule: every two signals of one person are a link to find; a link is right when both signals are that person's. Links
within a month and across months are counted apart. Counting goes by groups, never by listing pairs: n signals of one
group are n(n-1)/2 links.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Score:
    """Counts of links; the shares follow from them."""

    true: int
    found: int
    right: int

    def __add__(self, other: Score) -> Score:
        return Score(self.true + other.true, self.found + other.found, self.right + other.right)

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.true + self.found) if self.true + self.found else 1.0


def links_in(groups: pd.DataFrame, by: list[str]) -> int:
    """How many pairs of rows agree on all of `by`; a row with an empty value agrees with nothing."""
    sizes = groups.dropna(subset=by).groupby(by, sort=False).size()
    return int((sizes * (sizes - 1) // 2).sum())


def score(signals: pd.DataFrame, truth: list[str], found: list[str]) -> dict[str, Score]:
    """Scores of all links, those within one month and those across months; `signals` has a column signal_month."""
    both = list(dict.fromkeys([*truth, *found]))
    every = Score(links_in(signals, truth), links_in(signals, found), links_in(signals, both))
    within = Score(*(links_in(signals, [*by, "signal_month"]) for by in (truth, found, both)))
    across = Score(every.true - within.true, every.found - within.found, every.right - within.right)
    return {"all": every, "within": within, "across": across}
