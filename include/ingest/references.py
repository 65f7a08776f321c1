"""Which references a delivery had before: the memory that makes one file of its parts.

Rule: the first good row with a reference is the one that counts, wherever in the file it stands.
Reason: a part knows its own rows only. What is kept of each good row is a fingerprint of 128 bits of its reference
(keyed afresh for every file, so that no file can be made to collide), not the reference: 16 bytes a row.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class _Fingerprints:
    """128 bits of each row: two halves."""

    high: np.ndarray
    low: np.ndarray

    def at(self, places: np.ndarray) -> _Fingerprints:
        return _Fingerprints(self.high[places], self.low[places])

    def together(self, other: _Fingerprints) -> _Fingerprints:
        return _Fingerprints(np.concatenate([self.high, other.high]), np.concatenate([self.low, other.low]))

    def __len__(self) -> int:
        return len(self.high)


class ReferencesSeen:
    """The references of the good rows of one file, as far as it was read."""

    def __init__(self) -> None:
        self._keys = [secrets.randbits(64), secrets.randbits(64)]
        # sorted runs, each at least twice as long as the next: few to search, cheap to add to
        self._runs: list[_Fingerprints] = []

    def come_again(self, key: Sequence[pl.Series], is_good: np.ndarray) -> np.ndarray:
        """Which rows come after a good row with their key; from then on the good ones are seen."""
        import polars as pl

        reference = self._joined(key)
        has_key = reduce(np.logical_or, (part.is_not_null().to_numpy() for part in key))
        fingerprints = self._fingerprints(reference)
        # in order they are searched for, compared and kept at a fraction of the cost
        order = np.argsort(fingerprints.high)
        in_order = fingerprints.at(order)
        again = np.zeros(len(order), dtype=bool)
        again[order] = self._are_seen(in_order)
        if _most_equal(in_order.high) > 1:
            rows = pl.DataFrame({
                "reference": reference, "row": np.arange(len(reference)), "counts": is_good & has_key
            })  # fmt: skip
            first_good = pl.when("counts").then("row").min().over("reference")
            again |= rows.select((pl.col("row") > first_good).fill_null(False)).to_series().to_numpy()
        again &= has_key
        self._add(in_order.at((is_good & has_key & ~again)[order]))
        return again

    def _joined(self, key: Sequence[pl.Series]) -> pl.Series:
        import polars as pl

        texts = [part.cast(pl.String).fill_null("") for part in key]
        return texts[0] if len(texts) == 1 else pl.select(pl.concat_str(texts, separator=_SEPARATOR)).to_series()

    def _fingerprints(self, reference: pl.Series) -> _Fingerprints:
        return _Fingerprints(*(reference.hash(seed).to_numpy() for seed in self._keys))

    def _are_seen(self, rows: _Fingerprints) -> np.ndarray:
        found = np.zeros(len(rows), dtype=bool)
        for run in self._runs:
            # the first half finds the place, the second proves it; two equal first halves in a run stand side by side
            place = np.searchsorted(run.high, rows.high)
            for step in range(_most_equal(run.high)):
                at = np.minimum(place + step, len(run) - 1)
                found |= (run.high[at] == rows.high) & (run.low[at] == rows.low)
        return found

    def _add(self, run: _Fingerprints) -> None:
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            both = self._runs.pop().together(run)
            # stable is what merges two runs instead of sorting them again
            run = both.at(np.argsort(both.high, kind="stable"))
        if len(run):
            self._runs.append(run)


def _most_equal(values: np.ndarray) -> int:
    """How often the most frequent of these sorted values occurs: once, but for a wonder."""
    most = 1
    while most < len(values) and (values[most:] == values[:-most]).any():
        most += 1
    return most
