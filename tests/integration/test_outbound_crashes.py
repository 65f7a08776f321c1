"""However often and wherever a delivery is killed, no call record is delivered twice and none is lost.

Two ways to look for the point that breaks it: every single place between building a list and its ledger row, in turn;
and long stories of changing lists, crashes, reruns and runs at once, thrown anew each time (VS_STORY_SEED=<seed>
repeats). What the recipient has is read as the recipient reads it: files with a manifest that agrees.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import secrets
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from include.months import Month
from include.outbound.certin_call_list import deliver_call_list
from include.sandbox.call_lists import list_files, read_list
from tests.chaos.faults import KILLED
from tests.integration.dying_delivery import delivered_at_once
from tests.integration.outbound_tables import call_row, create_outbound_tables, fill
from tests.integration.test_outbound_call_list import approve, handed_over, ledger_states

FIRST = Month(2030, 1)
STORIES, CHAPTERS = 3, 8


@pytest.fixture(scope="module")
def outbox(warehouse: Path) -> Path:
    create_outbound_tables()
    return warehouse / "outbox" / "certin"


@pytest.fixture
def forking() -> Iterator[Pool]:
    """Children are forked from one quiet process, so that a kill costs milliseconds instead of a start of Python."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


def put_on_list(month: Month, numbers: set[int]) -> None:
    fill("out_certin_call_list", str(month), [call_row(_key(month, number)) for number in sorted(numbers)])


def _key(month: Month, number: int) -> int:
    return int(month.compact) * 1000 + number


def _ids(month: Month, numbers: set[int]) -> list[str]:
    return sorted(f"call_{_key(month, number):020d}" for number in numbers)


def received(outbox: Path, month: Month) -> tuple[list[str], list[str]]:
    """The records Certin got and those withdrawn since, in all files together."""
    lists = [
        read_list(path) for path in list_files(outbox) if path.name.startswith(f"certin_call_list_{month.compact}")
    ]
    assert all(lists), "a manifest does not agree with its file"
    delivered = [record.call_record_id for one in lists for record in one.records]
    return sorted(delivered), sorted(call_record_id for one in lists for call_record_id in one.withdrawn)


def assert_nothing_half(outbox: Path, month: Month) -> None:
    """At any moment: nothing twice, nothing the ledger does not know."""
    delivered, withdrawn = received(outbox, month)
    assert len(delivered) == len(set(delivered)), "a record was delivered twice"
    assert len(withdrawn) == len(set(withdrawn)), "a record was withdrawn twice"
    known = {call_record_id for call_record_id, _, _ in handed_over(month)}
    assert set(delivered) <= known, "something went out that no ledger knows"
    assert set(withdrawn) <= set(delivered)


def assert_all_there(outbox: Path, month: Month, ever: set[int], now: set[int]) -> None:
    """After a run that lived: Certin has every record it is to call, and knows which of the others are withdrawn."""
    delivered, withdrawn = received(outbox, month)
    handed = handed_over(month)
    assert delivered == sorted(call_record_id for call_record_id, _, _ in handed)
    assert withdrawn == sorted(call_record_id for call_record_id, _, since in handed if since is not None)
    assert set(_ids(month, now)) <= set(delivered)
    assert set(delivered) <= set(_ids(month, ever))
    assert set(withdrawn) >= set(delivered) - set(_ids(month, now))
    assert set(ledger_states(month)) <= {"delivered"}
    assert not list(outbox.glob(f"*{month.compact}*.part"))


def runs_at_once(month: str, places: list[int]) -> list[int]:
    return delivered_at_once(Month.parse(month), places)


def test_killed_at_every_place_nothing_is_lost_or_repeated(
    outbox: Path, forking: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    month = FIRST
    approve(month)
    put_on_list(month, {1, 2, 3})
    deliver_call_list(month)
    for place in itertools.count(1):
        # one went, one came
        put_on_list(month, set(range(place + 1, place + 4)))
        end = forking.apply(runs_at_once, (str(month), [place]))
        assert_nothing_half(outbox, month)
        # and the world moved on once more before the rerun
        now = set(range(place + 2, place + 5))
        put_on_list(month, now)
        deliver_call_list(month)
        assert_all_there(outbox, month, set(range(1, place + 5)), now)
        if end == [0]:  # it came to its end before that place: there are no more
            break
        assert end == [KILLED]
    assert deliver_call_list(month).sequence is None
    places = place - 1
    assert places > 70
    with capsys.disabled():
        print(f"\n  killed at each of {places} places: {len(handed_over(month))} records delivered once")


@pytest.mark.parametrize("number", range(STORIES))
def test_no_story_of_changes_crashes_and_runs_at_once_breaks_it(
    outbox: Path, forking: Pool, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("VS_STORY_SEED") or secrets.randbelow(2**31))
    dice = random.Random(seed)
    month = FIRST.plus(600 + number)
    approve(month)
    ever: set[int] = set()
    killed = 0
    for _ in range(CHAPTERS):
        now = {record for record in range(1, 12) if dice.random() < 0.6}
        ever |= now
        put_on_list(month, now)
        # up to three runs at once, most of them killed somewhere; a place beyond the last lets it live
        ends = forking.apply(runs_at_once, (str(month), [dice.randrange(100) for _ in range(dice.randint(1, 3))]))
        assert set(ends) <= {0, KILLED}, ends
        killed += ends.count(KILLED)
        assert_nothing_half(outbox, month)
        if dice.random() < 0.5:
            deliver_call_list(month)
            assert_all_there(outbox, month, ever, now)
    deliver_call_list(month)
    assert_all_there(outbox, month, ever, now)
    assert deliver_call_list(month).sequence is None, "a run more found something new"
    with capsys.disabled():
        print(f"\n  story {seed}: {killed} processes killed, {len(handed_over(month))} records delivered once")
