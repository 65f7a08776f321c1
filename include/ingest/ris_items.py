"""What RIS hands over, read strictly: one typed version of an outcome or follow-up, or the reason why it cannot be one.

Rule: times that end in `Z` are UTC, times with an offset mean that offset, all others are Europe/Amsterdam. A result
code or a part of the day is taken as it is (the outcome gate judges it); a shape that cannot be stored is a reason, and
the item is kept beside it. The API's JSON and the files' rows pass through the same functions, so both say the same.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOLLOWUP_KINDS = frozenset(
    {"quick_fix", "referral_financial", "referral_other", "payment_arrangement", "no_response", "declined"}
)
DIRECTIONS = frozenset({"outbound", "inbound"})


@dataclass(frozen=True)
class Attempt:
    attempt_id: str
    attempt_no: int
    direction: str
    phone: str | None
    started_at: datetime
    ended_at: datetime | None
    reached: bool
    attempt_result: str | None


@dataclass(frozen=True)
class Outcome:
    outcome_id: str
    updated_at: datetime
    call_record_id: str
    case_id: str
    result_code: str
    result_at: datetime
    script_version: str | None
    callback_part_of_day: str | None
    callback_from: time | None
    callback_until: time | None
    callback_on: date | None
    situation_summary: str | None
    attempts: tuple[Attempt, ...]
    item: str


@dataclass(frozen=True)
class Followup:
    followup_id: str
    updated_at: datetime
    case_id: str
    kind: str
    started_on: date
    ended_on: date | None


@dataclass(frozen=True)
class Rejected:
    """An item that cannot be taken as it is, with the item itself so that nothing is lost."""

    kind: str
    item_id: str
    updated_at: datetime
    reason: str
    item: str


class _Unreadable(ValueError):
    """The field's name; a value never goes into a message."""


def read_outcomes(items: Iterable[Mapping[str, Any]]) -> tuple[list[Outcome], list[Rejected]]:
    """Every item as an outcome, or rejected with its reason."""
    return _read("outcome", "outcome_id", items, _outcome)


def read_followups(items: Iterable[Mapping[str, Any]]) -> tuple[list[Followup], list[Rejected]]:
    """Likewise for follow-ups."""
    return _read("followup", "followup_id", items, _followup)


def rejected(kind: str, key: str, item: Mapping[str, Any], reason: str) -> Rejected:
    """Keep an item with its reason; one without an id gets one from its content, so that it is kept once."""
    item = _storable(item)
    text = _as_json(item)
    item_id = str(item.get(key) or "") or "without_id_" + hashlib.sha256(text.encode()).hexdigest()[:20]
    try:
        updated_at = _moment(item, "updated_at")
    except _Unreadable:
        updated_at = EPOCH
    return Rejected(kind, item_id, updated_at, reason, text)


def _read(
    kind: str, key: str, items: Iterable[Mapping[str, Any]], one: Callable[[Mapping[str, Any]], T]
) -> tuple[list[T], list[Rejected]]:
    good: list[T] = []
    bad: list[Rejected] = []
    for item in map(_storable, items):
        try:
            good.append(one(item))
        except _Unreadable as error:
            bad.append(rejected(kind, key, item, f"{error}_invalid"))
    return good, bad


def _outcome(item: Mapping[str, Any]) -> Outcome:
    callback = item.get("preferred_callback") or {}
    if not isinstance(callback, Mapping):
        raise _Unreadable("preferred_callback")
    attempts = item.get("attempts") or []
    if not isinstance(attempts, list) or not all(isinstance(one, Mapping) for one in attempts):
        raise _Unreadable("attempts")
    return Outcome(
        outcome_id=_text(item, "outcome_id"),
        updated_at=_moment(item, "updated_at"),
        call_record_id=_text(item, "call_record_id"),
        case_id=_text(item, "case_id"),
        result_code=_text(item, "result_code"),
        result_at=_moment(item, "result_at"),
        script_version=_optional(item, "script_version", str),
        callback_part_of_day=_optional(callback, "part_of_day", str),
        callback_from=_optional(callback, "from", time.fromisoformat),
        callback_until=_optional(callback, "until", time.fromisoformat),
        callback_on=_optional(callback, "on", date.fromisoformat),
        situation_summary=_optional(item, "situation_summary", _one_line),
        # the same attempt may be listed twice; it happened once
        attempts=tuple({one.attempt_id: one for one in map(_attempt, attempts)}.values()),
        item=_as_json(item),
    )


def _attempt(item: Mapping[str, Any]) -> Attempt:
    direction = _text(item, "direction")
    if direction not in DIRECTIONS:
        raise _Unreadable("direction")
    try:
        number = int(item["attempt_no"])
    except (KeyError, TypeError, ValueError) as error:
        raise _Unreadable("attempt_no") from error
    if not isinstance(item.get("reached"), bool):
        raise _Unreadable("reached")
    return Attempt(
        attempt_id=_text(item, "attempt_id"),
        attempt_no=number,
        direction=direction,
        phone=_optional(item, "phone", str),
        started_at=_moment(item, "started_at"),
        ended_at=_moment(item, "ended_at") if item.get("ended_at") else None,
        reached=item["reached"],
        attempt_result=_optional(item, "attempt_result", str),
    )


def _followup(item: Mapping[str, Any]) -> Followup:
    kind = _text(item, "kind")
    if kind not in FOLLOWUP_KINDS:
        raise _Unreadable("kind")
    started_on = _optional(item, "started_on", _day)
    if started_on is None:
        raise _Unreadable("started_on")
    return Followup(
        followup_id=_text(item, "followup_id"),
        updated_at=_moment(item, "updated_at"),
        case_id=_text(item, "case_id"),
        kind=kind,
        started_on=started_on,
        ended_on=_optional(item, "ended_on", _day),
    )


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if value is None or not str(value).strip():
        raise _Unreadable(name)
    return str(value).strip()


def _optional(item: Mapping[str, Any], name: str, read: Callable[[str], T]) -> T | None:
    value = item.get(name)
    if value is None or value == "":
        return None
    try:
        return read(str(value))
    except ValueError as error:
        raise _Unreadable(name) from error


def _one_line(text: str) -> str:
    """Free text as the file readers give it: single spaces, one line, composed characters."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _moment(item: Mapping[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(item, name))
    except ValueError as error:
        raise _Unreadable(name) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)


def _day(text: str) -> date:
    """A day, also when it is written as a moment."""
    return date.fromisoformat(text) if len(text) == len("2024-06-30") else datetime.fromisoformat(text).date()


def _as_json(item: Mapping[str, Any]) -> str:
    return json.dumps(item, sort_keys=True, ensure_ascii=False, default=str)


def _storable(value: Any) -> Any:
    """PostgreSQL's text holds neither NUL nor half a surrogate pair; everything else stays as it is."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_storable(key): _storable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_storable(one) for one in value]
    return value
