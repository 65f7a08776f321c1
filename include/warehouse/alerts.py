"""What a person must look at although nothing stopped: one row an alert in `ops.alerts`, until it is settled.

Rule: an alert has a kind (include/alerts/kinds.py), a month, a subject (a partner, a gate, a file; never a person) and
a message. Raising the same alert again tells nobody twice: it stays the alert it is, with the newest message. What
settles it is what it asked for; when that comes back later it is raised anew. `vs status` shows the open ones;
include/alerts/channels.py tells people, and `ops.alert_notices` is who was told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

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
    raised_at: datetime
    run_id: str | None


def raise_alert(
    connection: psycopg.Connection, kind: str, month: Month, subject: str, message: str, run_id: str | None = None
) -> None:
    """Open the alert, or say it anew when it was settled; an open one gets the newest message (and run)."""
    (is_new,) = connection.execute(
        "insert into ops.alerts (kind, signal_month, subject, message, run_id) values (%s, %s, %s, %s, %s) "
        "on conflict (kind, signal_month, subject) do update set message = excluded.message, run_id = excluded.run_id, "
        "raised_at = case when alerts.settled_at is null then alerts.raised_at else clock_timestamp() end, "
        "notified_at = case when alerts.settled_at is null then alerts.notified_at end, settled_at = null "
        "returning raised_at >= now()",
        (kind, str(month), subject, message, run_id),
    ).fetchone()
    if is_new:
        logger.warning(message)


def settle_alert(connection: psycopg.Connection, kind: str, month: Month, subject: str) -> None:
    """What the alert asked for has happened."""
    connection.execute(
        "update ops.alerts set settled_at = now() "
        "where kind = %s and signal_month = %s and subject = %s and settled_at is null",
        (kind, str(month), subject),
    )


def open_alerts() -> list[Alert]:
    """The alerts nobody has settled, by month."""
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            "select kind, signal_month, subject, message, raised_at, run_id from ops.alerts where settled_at is null "
            "order by signal_month, kind, subject"
        ).fetchall()
