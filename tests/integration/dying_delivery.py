"""Deliver the call list of a month and be killed (SIGKILL, as the kernel or a cluster does it), at a point one names.

python -m tests.integration.dying_delivery 2024-06 after_commit      die at a named point
python -m tests.integration.dying_delivery 2024-06 17                die at the 17th place the delivery comes to

A place is a line of the delivery, by the way that led to it: the same line in another call is another place, in another
turn of a loop it is not. Every statement in PostgreSQL, file operation and commit has its own.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from include.exchange.folders import Exchange
from include.exchange.places import Place
from include.months import Month
from include.outbound import certin_call_list, delivery
from include.outbound.certin_call_list import deliver_call_list
from tests.chaos.faults import die

POINTS = ("laid_ready", "after_commit", "after_file", "after_manifest", "never")
TRACED = frozenset({str(certin_call_list.__file__), str(delivery.__file__)})
#: of the exchange folders only what writes; the rest of its lines only asks
WRITING = frozenset(function.__code__ for function in (Exchange.write, Exchange.move, Place.write, Place.rename))


def die_at(point: str) -> None:
    """Make the real exchange die before or after its real work."""
    write, move = Exchange.write, Exchange.move

    def written(self: Exchange, path: str, data: bytes) -> None:
        write(self, path, data)
        if point == "laid_ready" and path.endswith(".part") or point == "after_manifest" and path.endswith(".json"):
            die()

    def moved(self: Exchange, source: str, target: str) -> None:
        if point == "after_commit":
            die()
        move(self, source, target)
        if point == "after_file":
            die()

    Exchange.write, Exchange.move = written, moved  # type: ignore[method-assign]


def deliver_traced(month: Month, reached: Callable[[int], None]) -> int:
    """Deliver and call `reached` with the number of each place about to run; returns how many there were."""
    places: set[tuple[tuple[str, int], ...]] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not _is_traced(frame):
            return None
        if event != "call":
            place = (*_way_to(frame), (event, frame.f_lineno))
            if place not in places:
                places.add(place)
                reached(len(places))
        return trace

    sys.settrace(trace)
    try:
        deliver_call_list(month)
    finally:
        sys.settrace(None)
    return len(places)


def _is_traced(frame: FrameType) -> bool:
    return frame.f_code.co_filename in TRACED or frame.f_code in WRITING


def _way_to(frame: FrameType) -> Iterator[tuple[str, int]]:
    above = frame.f_back
    while above is not None:
        if _is_traced(above):
            yield above.f_code.co_name, above.f_lineno
        above = above.f_back


def delivered_at_once(month: Month, lines: Sequence[int]) -> list[int]:
    """Processes of their own, all at once; each dies at its place (0: lives). Their exit codes, in the same order."""
    children = [_child(month, line) for line in lines]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _child(month: Month, dies_at: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        deliver_traced(month, lambda place: die() if place == dies_at else None)
    except BaseException:  # noqa: BLE001 - a child of a test must not become a second test
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    month, what = Month.parse(sys.argv[1]), sys.argv[2]
    if what.isdigit():
        deliver_traced(month, lambda place: die() if place == int(what) else None)
    else:
        die_at(what)
        deliver_call_list(month)
