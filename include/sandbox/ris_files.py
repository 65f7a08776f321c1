"""RIS without an API: the same outcomes and follow-ups as files, and closures acknowledged by file (interfaces §6).

Each export of a month is whole; the same content again writes nothing, other content gets the next number.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.months import Month
from include.sandbox.exchange_folder import write_atomically
from include.sandbox.ris import Item, Ris

OUTCOME_COLUMNS = (
    "outcome_id",
    "call_record_id",
    "case_id",
    "result_code",
    "result_at",
    "updated_at",
    "script_version",
    "callback_part_of_day",
    "callback_from",
    "callback_until",
    "callback_on",
    "situation_summary",
)
ATTEMPT_COLUMNS = (
    "outcome_id",
    "attempt_id",
    "attempt_no",
    "direction",
    "phone",
    "started_at",
    "ended_at",
    "reached",
    "attempt_result",
)
FOLLOWUP_COLUMNS = ("followup_id", "case_id", "kind", "started_on", "ended_on", "updated_at")
ACKNOWLEDGEMENT_COLUMNS = ("case_id", "accepted", "reason")
_CLOSURE_NAME = re.compile(r"ris_closures_(\d{6})_(\d+)\.csv")


@dataclass(frozen=True)
class RisFiles:
    """RIS speaking through inbox/ris and outbox/ris."""

    ris: Ris

    @property
    def _inbox(self) -> Path:
        return self.ris.exchange_root / "inbox" / "ris"

    def months(self) -> list[Month]:
        """The months RIS holds outcomes of."""
        return sorted({item.month for item in self.ris.snapshot().outcomes})

    def export(self, month: Month) -> list[Path]:
        """Write the month's outcomes, attempts and follow-ups; nothing when this content was written before."""
        snapshot = self.ris.snapshot()
        outcomes = [item for item in snapshot.outcomes if item.month == month]
        if not outcomes:
            return []
        tables = {
            "ris_attempts": (ATTEMPT_COLUMNS, _attempt_rows(outcomes)),
            "ris_followups": (FOLLOWUP_COLUMNS, [item.content for item in snapshot.followups if item.month == month]),
            "ris_outcomes": (OUTCOME_COLUMNS, [_flat(item.content) for item in outcomes]),
        }
        contents = {name: _csv(columns, rows) for name, (columns, rows) in tables.items()}
        digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
        ledger = self.ris.state / "ris_files" / f"{month}.json"
        written = json.loads(ledger.read_text(encoding="utf-8")) if ledger.exists() else []
        if digest in written:
            return []
        sequence = len(written) + 1
        # the outcomes file comes last: when it is there, its attempts are
        paths = [self._inbox / f"{name}_{month.compact}_{sequence:02d}.csv" for name in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            write_atomically(path, content)
        write_atomically(ledger, json.dumps([*written, digest]).encode())
        return paths

    def acknowledge(self) -> list[Path]:
        """Answer every closure file in outbox/ris that was not answered before."""
        answered = []
        for batch in sorted((self.ris.exchange_root / "outbox" / "ris").glob("ris_closures_*.csv")):
            content = batch.read_bytes()
            done = (
                self.ris.state / "ris_files" / f"{batch.stem}.{hashlib.sha256(content).hexdigest()[:16]}.acknowledged"
            )
            if not _CLOSURE_NAME.fullmatch(batch.name) or done.exists():
                continue
            acknowledgement = self._inbox / f"{batch.stem}_ack.csv"
            write_atomically(acknowledgement, self._acknowledgement(content))
            write_atomically(done, b"")
            answered.append(acknowledgement)
        return answered

    def _acknowledgement(self, batch: bytes) -> bytes:
        rows = []
        for row in csv.DictReader(io.StringIO(batch.decode("utf-8-sig"))):
            reason = self.ris.rejection(row["case_id"])
            rows.append({"case_id": row["case_id"], "accepted": reason is None, "reason": reason})
        return _csv(ACKNOWLEDGEMENT_COLUMNS, rows)


def _flat(outcome: Any) -> dict[str, Any]:
    callback = outcome["preferred_callback"] or {}
    return dict(outcome) | {
        "callback_part_of_day": callback.get("part_of_day"),
        "callback_from": callback.get("from"),
        "callback_until": callback.get("until"),
        "callback_on": callback.get("on"),
    }


def _attempt_rows(outcomes: Sequence[Item]) -> list[dict[str, Any]]:
    """Of the newest version of each outcome."""
    newest = {item.key: item.content for item in outcomes}
    return [{"outcome_id": key, **attempt} for key, content in newest.items() for attempt in content["attempts"]]


def _csv(columns: Sequence[str], rows: Iterable[Any]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row[column]) for column in columns])
    return text.getvalue().encode()


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
