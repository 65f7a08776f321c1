"""What a person must look at although nothing stopped: one row an alert in `ops.alerts`, until it is settled.

Rule: an alert has a kind, a month, a subject (a partner, never a person) and a message that says what to do. Raising
the same alert again changes nothing; it is settled by what it asked for. `vs status` shows the open ones, the log has
each once. `notified_at` is for whoever sends them on (mail, webhook): take the rows where it is empty and fill it in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Alert:
    """An open alert."""

    kind: str
    signal_month: str
    subject: str
    message: str


def raise_alert(connection: psycopg.Connection, kind: str, month: Month, subject: str, message: str) -> None:
    """Open the alert, or say it anew when it was settled; an open one stays as it is."""
    raised = connection.execute(
        "insert into ops.alerts (kind, signal_month, subject, message) values (%s, %s, %s, %s) "
        "on conflict (kind, signal_month, subject) do update set message = excluded.message, raised_at = now(), "
        "settled_at = null, notified_at = null where alerts.settled_at is not null",
        (kind, str(month), subject, message),
    )
    if raised.rowcount:
        logger.warning(message)


def settle_alert(connection: psycopg.Connection, kind: str, month: Month, subject: str) -> None:
    """What the alert asked for has happened."""
    connection.execute(
        "update ops.alerts set settled_at = now() "
        "where kind = %s and signal_month = %s and subject = %s and settled_at is null",
        (kind, str(month), subject),
    )


def open_alerts() -> list[Alert]:
    """The alerts nobody has settled, oldest first."""
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            "select kind, signal_month, subject, message from ops.alerts where settled_at is null "
            "order by signal_month, kind, subject"
        ).fetchall()
