"""Certin's dialler: what happened when a call record was worked.

Everything about a record follows from the seed and its call_record_id. The outcome mix is that of the pilot
(`data/outcome_mix.csv`, copied from the dashboard). Calls stay in the call window of the list and of the week, at most
seven per number, spread over the parts of the day; what the pilot remarked on happens here too: now and then fewer than
seven attempts, residents who call back, and (rarely) a call at a wrong time.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from include.months import is_public_holiday
from include.sandbox.addresses import DATA
from include.sandbox.dice import Dice

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MAX_ATTEMPTS_PER_NUMBER = 7
WEEKDAY_PARTS = ((time(8, 30), time(12)), (time(12), time(18)), (time(18), time(21)))
SATURDAY_PARTS = ((time(9), time(12)), (time(12), time(17)))
CHANCE_REACHED_PER_CALL = 0.34
SHARE_UNDER_SEVEN = 0.13  # of the records that end as not reached
SHARE_CALLED_BACK = 0.10  # of the records reached after an unanswered call: the resident called us
SHARE_CALLED_BACK_TOO_LATE = 0.02  # of the not reached: an inbound call after the last attempt that nobody took
SHARE_OUTSIDE_HOURS = 0.002  # of the attempts
SHARE_CALLBACK_WITH_DATE = 0.4


@dataclass(frozen=True)
class CallRecord:
    """A row of the call list."""

    call_record_id: str
    case_id: str
    phones: tuple[str, ...]
    call_from: date
    call_until: date
    max_attempts: int
    script_version: str

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> CallRecord:
        return cls(
            call_record_id=row["call_record_id"],
            case_id=row["case_id"],
            phones=tuple(phone for phone in (row["phone_1"], row.get("phone_2") or "") if phone),
            call_from=date.fromisoformat(row["call_from"][:10]),
            call_until=date.fromisoformat(row["call_until"][:10]),
            max_attempts=min(int(row["max_attempts"] or MAX_ATTEMPTS_PER_NUMBER), MAX_ATTEMPTS_PER_NUMBER),
            script_version=row["script_version"],
        )


@dataclass(frozen=True)
class Attempt:
    direction: str
    phone: str
    started_at: datetime
    ended_at: datetime
    reached: bool
    attempt_result: str


@dataclass(frozen=True)
class Callback:
    """When the resident prefers to be called by Kwadraad."""

    part_of_day: str
    from_time: str
    until: str
    on: date | None


@dataclass(frozen=True)
class Outcome:
    """The end of a call record. `updated_at` is when RIS got to know it."""

    record: CallRecord
    result_code: str
    result_at: datetime
    updated_at: datetime
    callback: Callback | None
    situation_summary: str | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Followup:
    """What Kwadraad did with an accepted offer."""

    followup_id: str
    case_id: str
    kind: str
    started_on: date
    ended_on: date | None
    updated_at: datetime


@lru_cache(maxsize=1)
def outcome_mix() -> tuple[tuple[str, str, int], ...]:
    """(result group, result code, records in the pilot)."""
    with (DATA / "outcome_mix.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["result_group"], row["result_code"], int(row["records"])) for row in csv.DictReader(file))


@lru_cache(maxsize=1)
def _followup_mix() -> tuple[tuple[str, ...], tuple[int, ...]]:
    with (DATA / "followup_mix.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(row["kind"] for row in rows), tuple(int(row["weight"]) for row in rows)


@lru_cache(maxsize=1)
def _summaries() -> tuple[str, ...]:
    with (DATA / "situation_summaries.csv").open(encoding="utf-8", newline="") as file:
        return tuple(line.strip() for line in file.read().splitlines()[1:] if line.strip())


@lru_cache(maxsize=512)
def call_slots(first: date, last: date) -> tuple[tuple[datetime, datetime], ...]:
    """Every part of a day in which may be called, in order: no Sundays, no public holidays."""
    slots = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        if day.weekday() == 6 or is_public_holiday(day):
            continue
        parts = SATURDAY_PARTS if day.weekday() == 5 else WEEKDAY_PARTS
        slots += [
            (datetime.combine(day, begin, AMSTERDAM), datetime.combine(day, end, AMSTERDAM)) for begin, end in parts
        ]
    return tuple(slots)


def identifier(kind: str, *subject: str) -> str:
    """Certin's own ids: stable, and nothing can be read from them."""
    return f"{kind}_{hashlib.sha256('|'.join(subject).encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Dialler:
    """Works call records; one instance for one seed."""

    seed: int

    def outcome(self, record: CallRecord) -> Outcome | None:
        """How the record ended; None when its window holds no moment to call."""
        slots = call_slots(record.call_from, record.call_until)
        if not slots or not record.phones:
            return None
        roll = Dice(self.seed).about("call record", record.call_record_id)
        mix = outcome_mix()
        group, code, _ = roll.choices(mix, weights=[records for _, _, records in mix])[0]
        attempts = self._attempts(record, group, code, slots, roll)
        last_outbound = [attempt for attempt in attempts if attempt.direction == "outbound" or attempt.reached][-1]
        result_at = last_outbound.ended_at
        known_at = attempts[-1].ended_at + timedelta(minutes=roll.randint(1, 45))
        accepted = code == "help_accepted"
        return Outcome(
            record=record,
            result_code=code,
            result_at=result_at,
            updated_at=known_at.astimezone(UTC),
            callback=_callback(result_at, roll) if accepted else None,
            situation_summary=roll.choice(_summaries()) if accepted else None,
            attempts=attempts,
        )

    def followup(self, outcome: Outcome) -> Followup | None:
        """Kwadraad's follow-up of an accepted offer: begun in a few days, mostly ended in the month."""
        if outcome.result_code != "help_accepted":
            return None
        roll = Dice(self.seed).about("follow-up", outcome.record.call_record_id)
        kinds, weights = _followup_mix()
        last_day = max(_working_day_until(outcome.record.call_until), outcome.result_at.date())
        started_on = min(_working_day(outcome.result_at.date(), roll.randint(1, 3)), last_day)
        ended_on: date | None = _working_day(started_on, roll.randint(1, 7))
        if ended_on > last_day:
            ended_on = last_day if roll.random() < 0.75 else None
        if roll.random() < 0.12:
            ended_on = None
        known_on = ended_on or started_on
        return Followup(
            followup_id=identifier("fu", outcome.record.call_record_id),
            case_id=outcome.record.case_id,
            kind=roll.choices(kinds, weights=weights)[0],
            started_on=started_on,
            ended_on=ended_on,
            updated_at=datetime.combine(known_on, time(21, 30 + roll.randint(0, 29)), AMSTERDAM).astimezone(UTC),
        )

    def _attempts(
        self,
        record: CallRecord,
        group: str,
        code: str,
        slots: tuple[tuple[datetime, datetime], ...],
        roll: random.Random,
    ) -> tuple[Attempt, ...]:
        phones = _phones_called(record, group, code, roll)
        moments = _moments(slots, len(phones), roll)
        attempts = [
            _unanswered(phone, at, roll, voicemail=code == "voicemail_only")
            for phone, at in zip(phones, moments, strict=True)
        ]
        if group != "not_reached":
            attempts[-1] = _answered(attempts[-1], roll)
            if len(attempts) > 1 and roll.random() < SHARE_CALLED_BACK:
                attempts[-1] = _called_back(attempts[-2], attempts[-1])
        elif code == "invalid_number":
            attempts = [replace(attempt, attempt_result="invalid_number") for attempt in attempts]
        elif code == "wrong_person":
            attempts[-1] = replace(_answered(attempts[-1], roll), reached=False, attempt_result="wrong_person")
        attempts = [_perhaps_outside_hours(attempt, roll) for attempt in attempts]
        attempts.sort(key=lambda attempt: attempt.started_at)
        if code in ("no_answer", "voicemail_only") and roll.random() < SHARE_CALLED_BACK_TOO_LATE:
            at = attempts[-1].ended_at.replace(hour=21, minute=roll.randint(5, 50))
            attempts.append(Attempt("inbound", attempts[-1].phone, at, at + timedelta(seconds=40), False, "missed"))
        return tuple(attempts)


def _phones_called(record: CallRecord, group: str, code: str, roll: random.Random) -> list[str]:
    """The number of each attempt: the first number until its maximum, then the second."""
    most = record.max_attempts
    if code == "invalid_number":
        return [phone for phone in record.phones for _ in range(1 + (roll.random() < 0.2 and most > 1))]
    if code == "wrong_person":
        return [record.phones[0]] * roll.randint(1, min(3, most))
    if group == "not_reached":
        if roll.random() < SHARE_UNDER_SEVEN and most > 3:
            return [record.phones[0]] * roll.randint(3, most - 1)
        return [phone for phone in record.phones for _ in range(most)]
    candidates = [phone for phone in record.phones for _ in range(most)]
    count = 1
    while count < len(candidates) and roll.random() >= CHANCE_REACHED_PER_CALL:
        count += 1
    return candidates[:count]


def _moments(slots: tuple[tuple[datetime, datetime], ...], count: int, roll: random.Random) -> list[datetime]:
    """`count` moments in order; steps of four or two move to another part of the day each time, three would not."""
    if len(slots) >= count:
        first = roll.randint(0, min(8, len(slots) - count))
        room = (len(slots) - first - 1) // max(1, count - 1)
        step = 4 if room >= 4 else 2 if room >= 2 else 1
        chosen = [slots[first + step * i] for i in range(count)]
        return [_moment_in(begin, end, 0, 1, roll) for begin, end in chosen]
    per_slot = [count // len(slots) + (i < count % len(slots)) for i in range(len(slots))]
    return [
        _moment_in(begin, end, i, times, roll)
        for (begin, end), times in zip(slots, per_slot, strict=True)
        for i in range(times)
    ]


def _moment_in(begin: datetime, end: datetime, part: int, parts: int, roll: random.Random) -> datetime:
    """A second in the given share of the slot, early enough to finish the call."""
    room = int((end - begin).total_seconds()) - 900
    return begin + timedelta(seconds=int((part + roll.random() * 0.95) * room / parts))


def _unanswered(phone: str, at: datetime, roll: random.Random, voicemail: bool) -> Attempt:
    result = "voicemail" if voicemail or roll.random() < 0.15 else "busy" if roll.random() < 0.08 else "no_answer"
    return Attempt("outbound", phone, at, at + timedelta(seconds=roll.randint(20, 45)), False, result)


def _answered(attempt: Attempt, roll: random.Random) -> Attempt:
    return replace(
        attempt,
        ended_at=attempt.started_at + timedelta(seconds=roll.randint(70, 600)),
        reached=True,
        attempt_result="answered",
    )


def _called_back(missed: Attempt, answered: Attempt) -> Attempt:
    """The resident saw the missed call and rang Certin before the next attempt was due."""
    return replace(answered, direction="inbound", phone=missed.phone)


def _perhaps_outside_hours(attempt: Attempt, roll: random.Random) -> Attempt:
    if attempt.direction != "outbound" or roll.random() >= SHARE_OUTSIDE_HOURS:
        return attempt
    at = attempt.started_at.replace(hour=8, minute=roll.randint(5, 20))
    return replace(attempt, started_at=at, ended_at=at + (attempt.ended_at - attempt.started_at))


def _callback(result_at: datetime, roll: random.Random) -> Callback:
    part, begin, end = roll.choice(
        (("Ochtend", "09:00", "12:00"), ("Middag", "13:00", "17:00"), ("Avond", "18:00", "20:30"))
    )
    on = _working_day(result_at.date(), roll.randint(1, 5)) if roll.random() < SHARE_CALLBACK_WITH_DATE else None
    return Callback(part, begin, end, on)


def _working_day(day: date, after: int) -> date:
    """The `after`-th working day after `day`."""
    while after:
        day += timedelta(days=1)
        after -= day.weekday() < 5 and not is_public_holiday(day)
    return day


def _working_day_until(day: date) -> date:
    """The last working day up to and including `day`."""
    while day.weekday() >= 5 or is_public_holiday(day):
        day -= timedelta(days=1)
    return day
