"""Who handled whose data, for what, and how it ended: the two logs of domain page §6, one operation at a time.

Rule: every outgoing file, every approval and every command about a person, a held row, a match or an escalation is one
operation in `ops.access_log` (BIO2: actor, action, object, result, origin, time) and in `ops.processing_log` (Logboek
Dataverwerkingen: activity, begin and end, status; no user), with the persons it was about in `ops.processing_subjects`
by keyed hash. They share `operation_id`; operations of one run share `trace_id`. An object is a file, a month or an id
of ours, a reason is what was typed: never a name or a number.
Reason: BIO wants the actor, the other standard forbids it, and a resident may ask who got their data.
How to change: what is handled for what stands in processing_activities.yml.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import psycopg
import yaml

from include.settings import Role, Settings
from include.warehouse.connection import connect

ACTIVITIES = Path(__file__).with_name("processing_activities.yml")


class NoActivity(LookupError):
    """Something is about to be handled for no purpose that is written down."""


@dataclass
class Operation:
    """One handling; whoever does it may add whom it was about, by ids of any kind, and name the object better."""

    action: str
    actor: str
    object: str
    activity: str
    reason: str | None = None
    ids: list[str] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    operation_id: str = field(default_factory=lambda: secrets.token_hex(8))

    is_written: bool = False

    def about(self, ids: Iterable[str | None]) -> None:
        self.ids += [one for one in ids if one]

    def done(self, connection: psycopg.Connection) -> None:
        """Write it to both logs in this transaction, so that what is done and what is logged stand or fall together."""
        self._write(connection, "done")
        self.is_written = True

    def failed(self) -> None:
        """Write that it was tried and did not succeed."""
        with connect(Role.EXPORTER) as connection:
            self._write(connection, "failed")

    def _write(self, connection: psycopg.Connection, result: str) -> None:
        origin, trace_id = Settings.from_environment().origin
        connection.execute(
            "select ops.log_operation(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                self.operation_id, trace_id, self.activity, self.action, self.object, self.actor, origin, result,
                self.started_at, self.reason, self.ids,
            ),
        )  # fmt: skip


@cache
def activities() -> Mapping[str, Mapping]:
    """The register, by activity."""
    return yaml.safe_load(ACTIVITIES.read_text(encoding="utf-8"))


def activity_of(kind: str, name: str) -> str:
    """The activity a contract (`kind` = contracts) or an action (`actions`) belongs to."""
    for activity, entry in activities().items():
        if name in entry[kind]:
            return activity
    raise NoActivity(
        f"{name!r} belongs to no processing activity, so it is not done: nobody could say what for. Write it under "
        f"`{kind}` of an activity in include/warehouse/{ACTIVITIES.name}."
    )


def sending(contract: str, path: str, ids: Iterable[str]) -> Operation:
    """A file that goes out; the step that sends it is its actor."""
    operation = Operation("send file", Role.EXPORTER.value, path, activity_of("contracts", contract))
    operation.about(ids)
    return operation


@contextmanager
def logged(action: str, *, actor: str, object: str, reason: str | None = None) -> Iterator[Operation]:
    """An operation around what is done. Who has a transaction calls `done` in it; a failure is logged as one."""
    operation = Operation(action, actor.strip() or "unknown", object, activity_of("actions", action), reason)
    try:
        yield operation
    except Exception:
        operation.failed()
        raise
    if not operation.is_written:
        with connect(Role.EXPORTER) as connection:
            operation.done(connection)
