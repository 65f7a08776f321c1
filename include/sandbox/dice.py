"""Randomness that can be asked out of order.

Rule: every random choice is a hash of (seed, name of the choice, what it is about), never the next number of a stream.
Reason: month 2024-06 must come out the same whether or not 2024-05 was ever made, and one household the same whether
there are a hundred others or a million. The mixing function is splitmix64, vectorised over numpy arrays.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@lru_cache(maxsize=4096)
def _stream_key(seed: int, stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}|{stream}".encode(), digest_size=8).digest(), "big")


def _splitmix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@dataclass(frozen=True)
class Dice:
    """The dice of one seed; `stream` names the question, `keys` say about what."""

    seed: int

    def bits(self, stream: str, *keys: ArrayLike) -> NDArray[np.uint64]:
        arrays = np.broadcast_arrays(*[np.atleast_1d(np.asarray(key)).astype(np.uint64) for key in keys])
        state = np.full(arrays[0].shape, _stream_key(self.seed, stream), dtype=np.uint64)
        for array in arrays:
            state = _splitmix(state ^ array)
        return state

    def uniform(self, stream: str, *keys: ArrayLike) -> NDArray[np.float64]:
        """Numbers in [0, 1)."""
        return (self.bits(stream, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integers(self, stream: str, below: int, *keys: ArrayLike) -> NDArray[np.int64]:
        return (self.uniform(stream, *keys) * below).astype(np.int64)

    def normal(self, stream: str, *keys: ArrayLike) -> NDArray[np.float64]:
        radius = np.sqrt(-2.0 * np.log(1.0 - self.uniform(f"{stream}/radius", *keys)))
        return radius * np.cos(2.0 * np.pi * self.uniform(f"{stream}/angle", *keys))

    def weighted(self, stream: str, weights: Sequence[float], *keys: ArrayLike) -> NDArray[np.int64]:
        """An index into `weights`, each with its share of the sum."""
        edges = np.cumsum(np.asarray(weights, dtype=np.float64))
        return np.searchsorted(edges / edges[-1], self.uniform(stream, *keys), side="right").astype(np.int64)

    def about(self, *subject: str) -> random.Random:
        """A generator of its own for one subject known by text (a call record, a request)."""
        digest = hashlib.blake2b("|".join((str(self.seed), *subject)).encode(), digest_size=16).digest()
        return random.Random(int.from_bytes(digest, "big"))
