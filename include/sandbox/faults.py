"""A RIS that misbehaves, on purpose: which request goes wrong and how.

`VS_RIS_FAULTS` is the share of requests that go wrong. Which ones follows from the seed and the number of the request,
so a test can be repeated. Never more than two in a row and never two refused tokens within four requests: RIS is bad,
not gone, and a client that tries again gets through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock

from include.sandbox.dice import Dice


class Fault(StrEnum):
    TOO_MANY = "429 with Retry-After"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    CUT_BEFORE = "connection cut before the answer"
    CUT_HALFWAY = "connection cut halfway the answer"
    CUT_AFTER = "request done, answer lost"
    TOKEN_EXPIRED = "401, fine the next time"  # noqa: S105 - the name of a fault
    PAGE_SHIFTED = "items of the page before come again"
    PAGE_REPEATED = "the same page once more"
    PAGE_SKIPS = "an item of this page slips to where it was not looked for"


FOR_READING = tuple(fault for fault in Fault if fault != Fault.CUT_AFTER)
FOR_CLOSURES = (
    Fault.TOO_MANY,
    Fault.SERVER_ERROR,
    Fault.UNAVAILABLE,
    Fault.CUT_BEFORE,
    Fault.CUT_HALFWAY,
    Fault.CUT_AFTER,
    Fault.TOKEN_EXPIRED,
)
FOR_TOKENS = (Fault.TOO_MANY, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.CUT_BEFORE, Fault.CUT_HALFWAY)
MOST_IN_A_ROW = 2
REQUESTS_BETWEEN_REFUSED_TOKENS = 4


@dataclass
class Faults:
    """Decides for each request in turn; counts what it did, for the tests."""

    seed: int
    share: float
    requests: int = 0
    injected: list[Fault] = field(default_factory=list)
    _in_a_row: int = 0
    _last_refused_token: int = -REQUESTS_BETWEEN_REFUSED_TOKENS
    _lock: Lock = field(default_factory=Lock)

    def next(self, kinds: tuple[Fault, ...]) -> Fault | None:
        """The fault of this request, or None."""
        with self._lock:
            self.requests += 1
            roll = Dice(self.seed).about("fault", str(self.requests))
            if roll.random() >= self.share or self._in_a_row >= MOST_IN_A_ROW:
                self._in_a_row = 0
                return None
            fault = roll.choice(kinds)
            if fault == Fault.TOKEN_EXPIRED:
                if self.requests - self._last_refused_token < REQUESTS_BETWEEN_REFUSED_TOKENS:
                    fault = Fault.UNAVAILABLE
                else:
                    self._last_refused_token = self.requests
            self._in_a_row += 1
            self.injected.append(fault)
            return fault
