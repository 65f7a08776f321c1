"""Certin's dialler: the call window, seven attempts, the pilot's outcomes, and what the pilot remarked on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, time
from itertools import pairwise

import pytest

from include.months import is_public_holiday
from include.sandbox.dialler import CallRecord, Dialler, Outcome, outcome_mix
from include.settings import PROJECT_ROOT

MAY = (date(2024, 5, 10), date(2024, 5, 31))  # holds Whitsun
CODES_OF_THE_PILOT = (
    "deceased", "not_resident", "already_paid", "known_debt_help", "solves_it_themselves", "needs_no_help",
    "language_barrier", "other_help_running", "payment_arrangement", "refuses_contact", "excluded", "legal_person",
    "invalid_number", "no_answer", "voicemail_only", "wrong_person", "help_accepted",
)  # fmt: skip
COUNTS_OF_THE_PILOT = (2, 3, 305, 26, 478, 340, 11, 31, 366, 62, 0, 0, 43, 728, 44, 25, 225)


def record(number: int, **changes) -> CallRecord:
    phones = ("+31680000001",) if number % 3 else ("+31680000001", "+31790000002")
    return replace(CallRecord(f"call_{number}", f"case_{number}", phones, *MAY, 7, "v1"), **changes)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [Dialler(2711).outcome(record(number)) for number in range(4000)]


def in_call_window(moment: datetime) -> bool:
    if is_public_holiday(moment.date()) or moment.weekday() == 6:
        return False
    begin, end = (time(9), time(17)) if moment.weekday() == 5 else (time(8, 30), time(21))
    return begin <= moment.time() < end


def outbound(outcome: Outcome) -> list:
    return [attempt for attempt in outcome.attempts if attempt.direction == "outbound"]


def test_the_mix_is_the_dashboard_of_the_pilot() -> None:
    mix = outcome_mix()
    assert tuple(code for _, code, _ in mix) == CODES_OF_THE_PILOT
    assert tuple(records for _, _, records in mix) == COUNTS_OF_THE_PILOT
    assert Counter({group: sum(n for g, _, n in mix if g == group) for group, _, _ in mix}) == {
        "negative": 1624, "not_reached": 840, "positive": 225,
    }  # fmt: skip


@pytest.mark.parametrize("seed", [2711, 5])
def test_outcomes_come_in_the_proportions_of_the_pilot(seed: int) -> None:
    codes = Counter(Dialler(seed).outcome(record(number)).result_code for number in range(4000))
    for code, records in zip(CODES_OF_THE_PILOT, COUNTS_OF_THE_PILOT, strict=True):
        assert codes[code] / 4000 == pytest.approx(records / 2689, abs=0.025), code
    assert not {"excluded", "legal_person"} & set(codes)


def test_never_more_than_seven_attempts_on_a_number(outcomes: list[Outcome]) -> None:
    most = max(max(Counter(attempt.phone for attempt in outbound(outcome)).values(), default=0) for outcome in outcomes)
    assert most == 7
    fewer = [Dialler(2711).outcome(record(number, max_attempts=4)) for number in range(500)]
    assert max(max(Counter(a.phone for a in outbound(one)).values(), default=0) for one in fewer) == 4


def test_attempts_lie_in_the_call_window_but_for_a_rare_one(outcomes: list[Outcome]) -> None:
    attempts = [attempt for outcome in outcomes for attempt in outbound(outcome)]
    outside = [attempt for attempt in attempts if not in_call_window(attempt.started_at)]
    assert 0 < len(outside) / len(attempts) < 0.005
    assert all(MAY[0] <= attempt.started_at.date() <= MAY[1] for attempt in attempts)
    assert not any(is_public_holiday(a.started_at.date()) or a.started_at.weekday() == 6 for a in attempts)


def test_attempts_follow_each_other_and_end_after_they_start(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        starts = [attempt.started_at for attempt in outcome.attempts]
        assert starts == sorted(starts)
        assert all(attempt.ended_at > attempt.started_at for attempt in outcome.attempts)
        assert all(first.ended_at <= then.started_at for first, then in pairwise(outcome.attempts))


def test_attempts_are_spread_over_the_parts_of_the_day(outcomes: list[Outcome]) -> None:
    parts: Counter[str] = Counter()
    for outcome in outcomes:
        for attempt in outbound(outcome):
            hour = attempt.started_at.hour
            parts["Ochtend" if hour < 12 else "Middag" if hour < 18 else "Avond"] += 1
    assert min(parts.values()) / parts.total() > 0.25
    long_tried = [outcome for outcome in outcomes if len(outbound(outcome)) >= 7]
    one_part = [o for o in long_tried if len({a.started_at.hour // 6 for a in outbound(o)}) == 1]
    assert len(one_part) / len(long_tried) < 0.02


def test_who_is_reached_is_reached_in_the_last_attempt(outcomes: list[Outcome]) -> None:
    groups = {code: group for group, code, _ in outcome_mix()}
    for outcome in outcomes:
        spoken = groups[outcome.result_code] != "not_reached"
        assert [attempt.reached for attempt in outcome.attempts].count(True) == spoken
        assert outcome.attempts[-1].reached == spoken
        assert outcome.result_at in {attempt.ended_at for attempt in outcome.attempts}
        assert outcome.updated_at >= outcome.attempts[-1].ended_at
        assert outcome.updated_at.month == 5


def test_what_the_pilot_remarked_on_happens(outcomes: list[Outcome]) -> None:
    silent = [outcome for outcome in outcomes if outcome.result_code in ("no_answer", "voicemail_only")]
    under_seven = sum(len(outbound(outcome)) < 7 for outcome in silent) / len(silent)
    assert 0.07 <= under_seven <= 0.20
    called_back = sum(any(a.direction == "inbound" and a.reached for a in outcome.attempts) for outcome in outcomes)
    assert 0.01 <= called_back / len(outcomes) <= 0.09
    too_late = sum(
        outcome.attempts[-1].direction == "inbound" and not outcome.attempts[-1].reached for outcome in outcomes
    )
    assert 0.002 <= too_late / len(outcomes) <= 0.015


def test_accepted_help_comes_with_a_callback_a_summary_and_a_followup(outcomes: list[Outcome]) -> None:
    followups = []
    for outcome in outcomes:
        accepted = outcome.result_code == "help_accepted"
        assert (outcome.callback is not None) == accepted
        assert bool(outcome.situation_summary) == accepted
        followup = Dialler(2711).followup(outcome)
        assert (followup is not None) == accepted
        followups += [followup] if followup else []
    kinds = {followup.kind for followup in followups}
    assert kinds == {
        "quick_fix", "referral_financial", "referral_other", "payment_arrangement", "no_response", "declined",
    }  # fmt: skip
    ended = [followup for followup in followups if followup.ended_on]
    assert 0.7 <= len(ended) / len(followups) <= 0.95
    assert all(followup.started_on <= followup.ended_on <= MAY[1] for followup in ended)
    assert all(followup.updated_at.month == 5 for followup in followups)


def test_a_record_ends_the_same_whatever_else_is_called() -> None:
    assert Dialler(2711).outcome(record(17)) == Dialler(2711).outcome(record(17))
    assert Dialler(2711).outcome(record(17)) != Dialler(2712).outcome(record(17))


def test_a_window_without_a_moment_to_call_has_no_outcome() -> None:
    whit_sunday = date(2024, 5, 19)
    whit_monday = date(2024, 5, 20)
    assert Dialler(1).outcome(record(1, call_from=whit_sunday, call_until=whit_monday)) is None
    assert Dialler(1).outcome(record(1, phones=())) is None


def test_a_window_of_one_day_still_holds_all_attempts() -> None:
    day = date(2024, 5, 14)
    for number in range(300):
        outcome = Dialler(3).outcome(record(number, call_from=day, call_until=day))
        assert {attempt.started_at.date() for attempt in outcome.attempts} == {day}
        starts = [attempt.started_at for attempt in outcome.attempts]
        assert len(set(starts)) == len(starts)


def test_summaries_name_nobody() -> None:
    lines = (PROJECT_ROOT / "include/sandbox/data/situation_summaries.csv").read_text(encoding="utf-8").splitlines()[1:]
    allowed = {"Nederlands"}
    for line in lines:
        later_words = [word.strip(".,;") for sentence in line.split(". ") for word in sentence.split()[1:]]
        assert not [word for word in later_words if word[:1].isupper() and word not in allowed]
