"""The hard cases: twins, fathers and sons, maiden names, additions (tests/fixtures/matching_hard_*.csv).

Every pair says what is true, what the platform does with it and why. Each case has a door of its own; `door` moves a
signal to another address. A false merge is worse than a miss: no pair of two persons is ever linked, and every pair of
one person that is not linked says why. To add a case: its signals and its pairs, with a reason.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from include.months import Month
from include.warehouse.dbt import build_stage
from tests.dbt.landed import Signal, land, rows

FIXTURES = Path(__file__).parent.parent / "fixtures"


def _lines(name: str) -> list[dict[str, str]]:
    with (FIXTURES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


SIGNALS = _lines("matching_hard_signals.csv")
PAIRS = _lines("matching_hard_pairs.csv")
DOORS = {case: 1 + 2 * number for number, case in enumerate(dict.fromkeys(line["case"] for line in SIGNALS))}
# reported again under the number it had: the customer in the first, the connection or account in the others
SAME_REFERENCE = {"month_after_month", "new_resident", "account_passed_on"}


def _signal(line: Mapping[str, str]) -> Signal:
    case = line["case"]
    return Signal(
        reference=case if case in SAME_REFERENCE else f"{case}-{line['signal']}",
        surname=line["surname"],
        partner=line["partner"],
        initials=line["initials"] or None,
        birth_on=date.fromisoformat(line["birth_on"]) if line["birth_on"] else None,
        house_number=DOORS[case] + 1000 * int(line["door"] or 0),
        letter=line["letter"] or None,
        addition=line["addition"] or None,
        phone=line["phone"] or None,
        bsn_key=line["bsn"] or None,
        extra={name: line[name] or None for name in ("name_prefix", "gender", "email")},
    )


@pytest.fixture(scope="module")
def found(warehouse: Path) -> dict[tuple[str, str, str], str]:
    """What became of every pair."""
    for month in sorted({line["month"] for line in SIGNALS}):
        land(Month.parse(month), [_signal(line) for line in SIGNALS if line["month"] == month])
        build_stage("matched", Month.parse(month))
    person = {
        (line["case"], line["signal"]): _person(_signal(line).reference, line["partner"], line["month"])
        for line in SIGNALS
    }
    known_elsewhere = set(rows("select person_id, earlier_person_id from intermediate.int_person_moves"))
    asked = set(rows("select left_person_id, right_person_id from ops.match_reviews where state = 'open'"))
    return {
        (pair["case"], pair["left"], pair["right"]): _fate(
            person[pair["case"], pair["left"]], person[pair["case"], pair["right"]], known_elsewhere, asked
        )
        for pair in PAIRS
    }


def _person(reference: str, partner: str, month: str) -> str:
    [(person_id,)] = rows(
        "select person_id from intermediate.int_signals__matched"
        " where partner_reference = %s and partner = %s and signal_month = %s",
        reference, partner, month,
    )  # fmt: skip
    return person_id


def _fate(left: str, right: str, known_elsewhere: set, asked: set) -> str:
    either_way = {(left, right), (right, left)}
    if left == right:
        return "linked"
    if either_way & known_elsewhere:
        return "recurrence"
    return "proposed" if either_way & asked else "apart"


def test_no_two_persons_are_merged(found: Mapping[tuple[str, str, str], str]) -> None:
    merged = [
        pair
        for pair in PAIRS
        if pair["truth"] == "different"
        and found[pair["case"], pair["left"], pair["right"]] in {"linked", "recurrence"}
    ]
    assert merged == []
    assert Counter(pair["truth"] for pair in PAIRS)["different"] >= 30


def test_every_pair_ends_as_documented(found: Mapping[tuple[str, str, str], str]) -> None:
    assert len(PAIRS) >= 55
    others = {
        pair: (fate, expected)
        for pair, fate, expected in (
            (tuple(pair.values())[:3], found[pair["case"], pair["left"], pair["right"]], pair["expected"])
            for pair in PAIRS
        )
        if fate != expected
    }
    assert others == {}


def test_every_missed_link_says_why() -> None:
    missed = [pair for pair in PAIRS if pair["truth"] == "same" and pair["expected"] in {"proposed", "apart"}]
    assert missed
    assert all(pair["reason"].startswith("Missed") for pair in missed)
    assert all(pair["reason"] for pair in PAIRS)
