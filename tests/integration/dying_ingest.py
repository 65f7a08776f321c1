"""Take a delivery in, in this process, and be killed at a given point (SIGKILL: nothing gets to clean up).

python -m tests.integration.dying_ingest inbox/zorgplus/zorgplus_202406.csv 2024-06 after_rows
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from include.exchange.folders import Exchange
from include.ingest import booking, landing, opening
from include.ingest.deliveries import ingest_delivery
from include.months import Month
from tests.chaos.faults import die

POINTS = ("in_second_part", "after_raw_rows", "after_rows", "before_commit", "after_commit", "after_receipt")


def die_after(work: Callable[..., Any], times: int = 1) -> Callable[..., Any]:
    """The real work, and then, after so many times, the end of this process."""
    left = iter(range(times, 0, -1))

    def done_and_killed(*arguments: Any, **options: Any) -> Any:
        done = work(*arguments, **options)
        if next(left) == 1:
            die()
        return done

    return done_and_killed


def die_at(point: str) -> None:
    if point == "in_second_part":
        # a file of a few thousand bytes comes in several parts, of which the first one is written
        opening.PART_BYTES = 700
        landing.write_raw_rows = die_after(landing.write_raw_rows, times=2)
    elif point == "after_raw_rows":
        landing.write_raw_rows = die_after(landing.write_raw_rows)
    elif point == "after_rows":
        # the good rows, then those held back
        landing.write_ready = die_after(landing.write_ready, times=2)
    elif point == "before_commit":
        booking._record = die_after(booking._record)
    elif point == "after_commit":
        booking._book = die_after(booking._book)
    elif point == "after_receipt":
        Exchange.write = die_after(Exchange.write)  # type: ignore[method-assign]
    else:
        raise SystemExit(f"{point!r} is no point; there are {', '.join(POINTS)}")


if __name__ == "__main__":
    die_at(sys.argv[3])
    ingest_delivery(sys.argv[1], Month.parse(sys.argv[2]))
    raise SystemExit("the point was never reached")
