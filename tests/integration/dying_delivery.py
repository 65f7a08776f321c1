"""Deliver the call list of a month in this process, and die at a given point without a word, as a killed process does.

python -m tests.integration.dying_delivery 2024-06 after_commit
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from include.exchange.folders import Exchange
from include.months import Month
from include.outbound.certin_call_list import deliver_call_list

POINTS = ("laid_ready", "after_commit", "after_file", "after_manifest", "never")
KILLED = 137


def die_at(point: str) -> None:
    """Make the real exchange die before or after its real work."""
    write, move = Exchange.write, Exchange.move

    def written(self: Exchange, path: str, data: bytes) -> None:
        write(self, path, data)
        if point == "laid_ready" and path.endswith(".part") or point == "after_manifest" and path.endswith(".json"):
            os._exit(KILLED)

    def moved(self: Exchange, source: str, target: str) -> None:
        _unless(point == "after_commit", lambda: move(self, source, target))
        if point == "after_file":
            os._exit(KILLED)

    Exchange.write, Exchange.move = written, moved  # type: ignore[method-assign]


def _unless(dies: bool, work: Callable[[], Any]) -> None:
    if dies:
        os._exit(KILLED)
    work()


if __name__ == "__main__":
    die_at(sys.argv[2])
    deliver_call_list(Month.parse(sys.argv[1]))
