"""Which references a delivery had before: the memory that makes one file of its parts.

Rule: the first good row with a reference is the one that counts, wherever in the file it stands.
Reason: a part knows its own rows only. What is kept of each good row is a fingerprint of 128 bits of its reference
(keyed afresh for every file, so that no file can be made to collide), not the reference: 16 bytes a row.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

_SEPARATOR = "\x1f"


class ReferencesSeen:
    """The references of the good rows of one file, as far as it was read."""

    def __init__(self) -> None:
        self._keys = [secrets.randbits(64), secrets.randbits(64)]
        # sorted runs, each at least twice as long as the next: few to search, cheap to add to
        self._runs: list[np.ndarray] = []

    def come_again(self, key: Sequence[pl.Series], is_good: np.ndarray) -> np.ndarray:
        """Which rows come after a good row with their key; from then on the good ones are seen."""
        import polars as pl

        reference = self._joined(key)
        has_key = reduce(np.logical_or, (part.is_not_null().to_numpy() for part in key))
        rows = pl.DataFrame({
            "reference": reference, "row": np.arange(len(reference)), "counts": is_good & has_key
        })  # fmt: skip
        first_good = pl.when("counts").then("row").min().over("reference")
        after = rows.select((pl.col("row") > first_good).fill_null(False)).to_series().to_numpy()
        fingerprints = self._fingerprints(reference)
        again = (after | self._are_seen(fingerprints)) & has_key
        self._add(fingerprints[is_good & has_key & ~again])
        return again

    def _joined(self, key: Sequence[pl.Series]) -> pl.Series:
        import polars as pl

        texts = [part.cast(pl.String).fill_null("") for part in key]
        return texts[0] if len(texts) == 1 else pl.select(pl.concat_str(texts, separator=_SEPARATOR)).to_series()

    def _fingerprints(self, reference: pl.Series) -> np.ndarray:
        """128 bits a row, sortable."""
        pairs = np.empty(len(reference), dtype=[("high", np.uint64), ("low", np.uint64)])
        for name, seed in zip(("high", "low"), self._keys, strict=True):
            pairs[name] = reference.hash(seed).to_numpy()
        return pairs

    def _are_seen(self, fingerprints: np.ndarray) -> np.ndarray:
        found = np.zeros(len(fingerprints), dtype=bool)
        for run in self._runs:
            # the first half finds the place, the second proves it; two equal first halves in a run stand side by side
            place = np.searchsorted(run["high"], fingerprints["high"])
            for step in range(_most_equal(run["high"])):
                at = np.minimum(place + step, len(run) - 1)
                found |= run[at] == fingerprints
        return found

    def _add(self, fingerprints: np.ndarray) -> None:
        run = fingerprints[np.argsort(fingerprints["high"], kind="stable")]
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run = run[np.argsort(run["high"], kind="stable")]
        if len(run):
            self._runs.append(run)


def _most_equal(values: np.ndarray) -> int:
    """How often the most frequent of these sorted values occurs: once, but for a wonder."""
    most = 1
    while most < len(values) and (values[most:] == values[:-most]).any():
        most += 1
    return most
