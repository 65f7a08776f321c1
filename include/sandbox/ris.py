"""What RIS holds: outcomes of the delivered call records, follow-ups, and the closures it took (interfaces §6).

Outcomes are worked out from the lists lying in outbox/certin at the moment somebody asks, so there is nothing to wait
for and nothing to lose. `updated_at` is simulated time within the signal month. Only a list that arrives after later
ones were seen gets its items moved behind these, as a real RIS would stamp them, so that a client who pulls by
`updated_at` finds them; what was moved is remembered in the state folder. Closures are remembered there too.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from include.months import Month
from include.sandbox.afterwards import Afterwards
from include.sandbox.call_lists import CallList, in_work, list_files, read_list
from include.sandbox.dialler import Attempt, Dialler, Followup, Outcome, identifier
from include.sandbox.dice import Dice
from include.sandbox.exchange_folder import write_atomically
from include.sandbox.items import Item, instant
from include.sandbox.settings import SandboxSettings

MAX_PAGE = 500
DEFAULT_PAGE = 100
REJECTION_REASONS = ("open_callback", "open_followup")
SHARE_CORRECTED_LATER = 0.05  # under a fault profile: outcomes that first came with another result
UNKNOWN_CODE = "resultaat_volgt"  # on no code list


class InvalidRequest(ValueError):
    """What RIS answers with 422; the message says which field."""


class KeyReused(ValueError):
    """The same idempotency key with another body: 409."""


@dataclass(frozen=True)
class Page:
    items: list[Mapping[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True)
class Snapshot:
    """Everything RIS says, in order of `updated_at`."""

    outcomes: tuple[Item, ...]
    followups: tuple[Item, ...]


@dataclass
class Ris:
    """One RIS over one exchange root. Safe for several threads and processes."""

    settings: SandboxSettings
    exchange_root: Path
    state: Path
    _lists: dict[tuple[str, int, int], CallList | None] = field(default_factory=dict)
    _snapshots: dict[tuple[tuple[str, int, int], ...], Snapshot] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    # -- reading ------------------------------------------------------------------------------------------------
    def snapshot(self) -> Snapshot:
        """What RIS holds now; computed once per set of lists."""
        with self._lock:
            files = {_signature(path): path for path in list_files(self.exchange_root / "outbox" / "certin")}
            signature = tuple(files)
            if signature not in self._snapshots:
                for one, path in files.items():
                    if one not in self._lists:
                        self._lists[one] = read_list(path)
                lists = [self._lists[one] for one in signature if self._lists[one]]
                self._snapshots = {signature: self._work(lists)}
            return self._snapshots[signature]

    def page(self, feed: str, updated_since: str | None, cursor: str | None, limit: int, overlap: int = 0) -> Page:
        """The next `limit` items of a feed. `overlap` shows that many of the page before once more."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest(f"limit must be between 1 and {MAX_PAGE}")
        items: Sequence[Item] = getattr(self.snapshot(), feed)
        if updated_since:
            since = instant(_moment(updated_since))
            items = [item for item in items if item.position[0] >= since]
        start = 0
        if cursor:
            after = _cursor_position(cursor)
            start = sum(item.position <= after for item in items)
        shown = items[start : start + limit]
        more = start + limit < len(items)
        return Page(
            [item.content for item in items[max(0, start - overlap) : start]] + [item.content for item in shown],
            _cursor(shown[-1].position) if more else None,
        )

    def _work(self, lists: list[CallList]) -> Snapshot:
        dialler = Dialler(self.settings.seed)
        outcomes: list[tuple[CallList, Outcome]] = []
        followups: list[tuple[CallList, Followup]] = []
        for call_list, record in in_work(lists):
            outcome = dialler.outcome(record)
            if outcome is None:
                continue
            outcomes.append((call_list, outcome))
            if followup := dialler.followup(outcome):
                followups.append((call_list, followup))
        if not lists:
            return Snapshot((), ())
        outcome_items = [_outcome_item(call_list.month, outcome) for call_list, outcome in outcomes]
        followup_items = [_followup_item(call_list.month, followup) for call_list, followup in followups]
        names = [call_list.name for call_list in lists]
        with self._arrivals() as arrivals:
            outcome_items = _stamped(outcome_items, [one.name for one, _ in outcomes], names, arrivals["outcomes"])
            followup_items = _stamped(followup_items, [one.name for one, _ in followups], names, arrivals["followups"])
        afterwards = Afterwards(
            self.settings.seed, self.settings.late, self.settings.corrected, max(one.month for one in lists)
        )
        outcome_of = {
            followup.followup_id: identifier("out", outcome.record.call_record_id)
            for _, outcome in outcomes
            if (followup := dialler.followup(outcome))
        }
        outcome_items = afterwards.outcomes(outcome_items)
        followup_items = afterwards.followups(followup_items, outcome_of)
        if self.settings.unknown_codes:
            outcome_items = self._with_unknown_codes(outcome_items)
        if self.settings.faults:
            outcome_items += self._earlier_versions(outcome_items)
        return Snapshot(
            tuple(sorted(outcome_items, key=lambda item: item.position)),
            tuple(sorted(followup_items, key=lambda item: item.position)),
        )

    def _earlier_versions(self, items: list[Item]) -> list[Item]:
        """Under a fault profile some outcomes come twice: first with a result that is corrected later."""
        earlier = []
        for item in items:
            roll = Dice(self.settings.seed).about("corrected later", item.key)
            if roll.random() < SHARE_CORRECTED_LATER:
                before = item.updated_at - timedelta(minutes=roll.randint(2, 50))
                wrong = "no_answer" if item.content["result_code"] != "no_answer" else "voicemail_only"
                content = dict(item.content) | {"result_code": wrong, "updated_at": instant(before)}
                content |= {"preferred_callback": None, "situation_summary": None}
                earlier.append(Item(item.month, before, item.key, content))
        return earlier

    def _with_unknown_codes(self, items: list[Item]) -> list[Item]:
        """Some outcomes come with a code nobody agreed on; corrected, they come again behind everything."""
        dice = Dice(self.settings.seed)
        unknown = [
            item for item in items if dice.about("unknown code", item.key).random() < self.settings.unknown_codes
        ]
        strange = {
            item.key: replace(item, content=dict(item.content) | {"result_code": UNKNOWN_CODE}) for item in unknown
        }
        shown = [strange.get(item.key, item) for item in items]
        if not self.settings.codes_corrected:
            return shown
        newest = max(item.updated_at for item in items)
        corrected = [_moved(item, newest + timedelta(seconds=number)) for number, item in enumerate(unknown, start=1)]
        return shown + corrected

    @contextmanager
    def _arrivals(self) -> Iterator[dict[str, dict[str, str | None]]]:
        """Per feed and list: behind which moment its items were stamped; null for a list that came in order."""
        path = self.state / "arrivals.json"
        with _file_lock(self.state / "arrivals.lock"):
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"outcomes": {}, "followups": {}}
            before = json.dumps(known, sort_keys=True)
            yield known
            if json.dumps(known, sort_keys=True) != before:
                write_atomically(path, json.dumps(known, indent=1, sort_keys=True).encode())

    # -- closures -----------------------------------------------------------------------------------------------
    def close(self, key: str | None, body: bytes) -> dict[str, Any]:
        """Take a closure batch; the same key and body again give the same answer."""
        batch = _valid_batch(key, body)
        digest = hashlib.sha256(json.dumps(batch, sort_keys=True).encode()).hexdigest()
        path = self.state / "closures" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        with self._lock, _file_lock(self.state / "closures.lock"):
            if path.exists():
                known = json.loads(path.read_text(encoding="utf-8"))
                if known["body_sha256"] != digest:
                    raise KeyReused("this Idempotency-Key was used for another batch")
                return known["answer"]
            verdicts = [(item["case_id"], self.rejection(item["case_id"])) for item in batch["items"]]
            answer = {
                "batch_id": batch["batch_id"],
                "accepted": [case_id for case_id, reason in verdicts if reason is None],
                "rejected": [{"case_id": case_id, "reason": reason} for case_id, reason in verdicts if reason],
            }
            known = {"key": key, "month": batch["month"], "body_sha256": digest, "answer": answer}
            write_atomically(path, json.dumps(known, indent=1).encode())
            return answer

    def rejection(self, case_id: str) -> str | None:
        """Why RIS does not close this case; None for nearly all. Depends on the case alone."""
        roll = Dice(self.settings.seed).about("closure", case_id)
        return roll.choice(REJECTION_REASONS) if roll.random() < self.settings.closures_rejected else None


def _moment(text: str) -> datetime:
    from include.sandbox.dialler import AMSTERDAM

    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError as error:
        raise InvalidRequest("updated_since is not an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)


def _signature(path: Path) -> tuple[str, int, int]:
    """The manifest counts too: it names the withdrawn records."""
    manifest = path.with_name(f"{path.stem}.manifest.json").stat()
    return path.name, path.stat().st_mtime_ns ^ manifest.st_mtime_ns, path.stat().st_size


def _cursor(position: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _cursor_position(cursor: str) -> tuple[str, str]:
    try:
        moment, key = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError as error:
        raise InvalidRequest("cursor is not one this RIS gave") from error
    return str(moment), str(key)


def _outcome_item(month: Month, outcome: Outcome) -> Item:
    record = outcome.record
    outcome_id = identifier("out", record.call_record_id)
    callback = outcome.callback
    content = {
        "outcome_id": outcome_id,
        "call_record_id": record.call_record_id,
        "case_id": record.case_id,
        "result_code": outcome.result_code,
        "result_at": instant(outcome.result_at),
        "updated_at": instant(outcome.updated_at),
        "script_version": record.script_version,
        "preferred_callback": callback
        and {
            "part_of_day": callback.part_of_day,
            "from": callback.from_time,
            "until": callback.until,
            "on": callback.on and callback.on.isoformat(),
        },
        "situation_summary": outcome.situation_summary,
        "attempts": [_attempt(outcome_id, number, one) for number, one in enumerate(outcome.attempts, start=1)],
    }
    return Item(month, outcome.updated_at.replace(microsecond=0), outcome_id, content)


def _attempt(outcome_id: str, number: int, attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt_id": identifier("att", outcome_id, str(number)),
        "attempt_no": number,
        "direction": attempt.direction,
        "phone": attempt.phone,
        "started_at": instant(attempt.started_at),
        "ended_at": instant(attempt.ended_at),
        "reached": attempt.reached,
        "attempt_result": attempt.attempt_result,
    }


def _followup_item(month: Month, followup: Followup) -> Item:
    content = {
        "followup_id": followup.followup_id,
        "case_id": followup.case_id,
        "kind": followup.kind,
        "started_on": followup.started_on.isoformat(),
        "ended_on": followup.ended_on and followup.ended_on.isoformat(),
        "updated_at": instant(followup.updated_at),
    }
    return Item(month, followup.updated_at, followup.followup_id, content)


def _stamped(items: list[Item], list_of: list[str], lists: list[str], arrivals: dict[str, str | None]) -> list[Item]:
    """Items of a list seen for the first time come after everything shown before."""
    by_list: dict[str, list[Item]] = {name: [] for name in lists}
    for item, name in zip(items, list_of, strict=True):
        by_list[name].append(item)
    known = [name for name in lists if name in arrivals]
    newest: datetime | None = None
    stamped: dict[str, list[Item]] = {}
    # lists already shown keep their stamps; new ones follow in order of month and sequence
    for name in known + [name for name in lists if name not in arrivals]:
        mine = sorted(by_list[name], key=lambda item: item.position)
        if name not in arrivals:
            too_early = bool(mine) and newest is not None and mine[0].updated_at <= newest
            arrivals[name] = instant(newest) if too_early else None
        floor = arrivals[name]
        if floor is not None:
            after = datetime.fromisoformat(floor)
            mine = [
                _moved(item, max(item.updated_at, after + timedelta(seconds=rank)))
                for rank, item in enumerate(mine, start=1)
            ]
        stamped[name] = mine
        newest = max([newest or datetime.min.replace(tzinfo=UTC), *(item.updated_at for item in mine)])
    return [item for name in lists for item in stamped[name]]


def _moved(item: Item, to: datetime) -> Item:
    return Item(item.month, to, item.key, dict(item.content) | {"updated_at": instant(to)})


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _valid_batch(key: str | None, body: bytes) -> dict[str, Any]:
    """The batch, or InvalidRequest naming the field that is wrong."""
    if not key:
        raise InvalidRequest("the header Idempotency-Key is missing")
    try:
        batch = json.loads(body)
    except ValueError as error:
        raise InvalidRequest("the body is not JSON") from error
    if not isinstance(batch, dict):
        raise InvalidRequest("the body is not an object")
    if not isinstance(batch.get("batch_id"), str) or batch["batch_id"] != key:
        raise InvalidRequest("batch_id must be the Idempotency-Key")
    try:
        Month.parse(str(batch.get("month") or ""))
    except ValueError as error:
        raise InvalidRequest("month must be YYYY-MM") from error
    if not isinstance(batch.get("items"), list):
        raise InvalidRequest("items must be a list")
    for number, item in enumerate(batch["items"]):
        _check_closure(item, number)
    case_ids = [item["case_id"] for item in batch["items"]]
    if len(set(case_ids)) != len(case_ids):
        raise InvalidRequest("items names a case twice")
    return batch


def _check_closure(item: Any, number: int) -> None:
    fields = ("case_id", "ddas_result", "reason", "closed_on")
    if not isinstance(item, dict):
        raise InvalidRequest(f"items[{number}] is not an object")
    for name in fields:
        if not isinstance(item.get(name), str) or not item[name].strip():
            raise InvalidRequest(f"items[{number}].{name} is missing")
    try:
        date.fromisoformat(item["closed_on"])
    except ValueError as error:
        raise InvalidRequest(f"items[{number}].closed_on is not a date") from error
