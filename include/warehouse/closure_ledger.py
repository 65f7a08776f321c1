"""The closure ledger: what a month was when it closed, with a hash that shows when it is no longer that.

Rule: a row is added once and never changed (a trigger refuses it); closing again what is the same is the same entry;
closing again what differs is refused, because a correction of a closed month is a restatement: a new version that
leaves this one readable.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

_COLUMNS = (
    "signal_month, version, batch_id, approved_by, cases_opened, cases_closed, cases_open, cases_excluded, "
    "arrears_closed_eur, content_hash"
)


class ClosedMonthChanged(RuntimeError):
    """The marts of a closed month no longer say what the ledger says."""


class NothingToClose(RuntimeError):
    """The month is not ready to be closed: not acknowledged, not accounted for, or out of balance."""


@dataclass(frozen=True)
class LedgerEntry:
    """One version of a closed month."""

    signal_month: str
    version: int
    batch_id: str
    approved_by: str
    cases_opened: int
    cases_closed: int
    cases_open: int
    cases_excluded: int
    arrears_closed_eur: Decimal
    content_hash: str


def month_is_closed(month: Month, connection: psycopg.Connection | None = None) -> bool:
    """True when the month has a row in the ledger."""
    if connection is None:
        with connect(Role.EXPORTER) as own:
            return month_is_closed(month, own)
    row = connection.execute(
        "select exists (select from ops.closure_ledger where signal_month = %s)", (str(month),)
    ).fetchone()
    return row[0]


def first_unclosed_month_before(month: Month) -> Month | None:
    """The earliest month before this one that has signals and is not closed; a month nobody delivered holds up none."""
    with connect(Role.EXPORTER) as connection:
        (earliest,) = connection.execute(
            """
            select min(months.signal_month) from ops.months
            where months.signal_month < %s
                and exists (
                    select from ops.deliveries
                    where deliveries.signal_month = months.signal_month and deliveries.status = 'loaded'
                        and deliveries.partner is not null
                )
                and months.signal_month not in (select ledger.signal_month from ops.closure_ledger as ledger)
            """,
            (str(month),),
        ).fetchone()
    return Month.parse(earliest) if earliest else None


def close_month(month: Month, batch_id: str, approved_by: str) -> LedgerEntry:
    """Freeze the month as version 1; when it is frozen already, its entry (or ClosedMonthChanged)."""
    from include.warehouse.fingerprints import month_fingerprint

    content_hash = month_fingerprint(month)
    with connect(Role.EXPORTER) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('vs:close'), hashtext(%s))", (str(month),))
        entry = newest_entry(month, connection)
        if entry is None:
            return _add(connection, month, 1, batch_id, approved_by, content_hash)
    if entry.content_hash != content_hash:
        raise ClosedMonthChanged(
            f"{month} was closed as version {entry.version}, and its marts say something else now. A closed month does "
            "not change: find what rebuilt it (ops.dbt_results), rebuild the marts of this month from the same "
            f"outcomes, or restate it as version {entry.version + 1}."
        )
    return entry


def newest_entry(month: Month, connection: psycopg.Connection) -> LedgerEntry | None:
    """The newest version of the month's closure."""
    with connection.cursor(row_factory=class_row(LedgerEntry)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from ops.closure_ledger where signal_month = %s order by version desc limit 1",
            (str(month),),
        ).fetchone()


def _add(
    connection: psycopg.Connection, month: Month, version: int, batch_id: str, approved_by: str, content_hash: str
) -> LedgerEntry:
    _require_acknowledged(connection, month, batch_id)
    _require_balance(connection, month)
    with connection.cursor(row_factory=class_row(LedgerEntry)) as cursor:
        return cursor.execute(
            f"""
            insert into ops.closure_ledger ({_COLUMNS})
            select
                signal_month, %s, %s, %s, cases_opened, cases_closed, cases_open, cases_excluded, arrears_closed_eur, %s
            from marts.rpt_closure_accounting
            where signal_month = %s
            returning {_COLUMNS}
            """,
            (version, batch_id, approved_by, content_hash, str(month)),
        ).fetchone()


def _require_acknowledged(connection: psycopg.Connection, month: Month, batch_id: str) -> None:
    batch = connection.execute(
        "select signal_month, state from ops.closure_batches where batch_id = %s", (batch_id,)
    ).fetchone()
    if batch != (str(month), "acknowledged"):
        raise NothingToClose(
            f"{month} cannot be closed with batch {batch_id}: "
            f"{'RIS has not acknowledged it' if batch and batch[0] == str(month) else 'it is no batch of this month'}. "
            f"Run the task send_closures of {month} first."
        )


def _require_balance(connection: psycopg.Connection, month: Month) -> None:
    row = connection.execute(
        "select cases_opened, cases_closed + cases_open + cases_excluded from marts.rpt_closure_accounting "
        "where signal_month = %s",
        (str(month),),
    ).fetchone()
    if row is None:
        raise NothingToClose(
            f"{month} has no row in marts.rpt_closure_accounting. Build the stage `marts` for {month}, then close it."
        )
    if row[0] != row[1]:
        raise NothingToClose(
            f"The books of {month} do not balance: {row[0]} cases opened, {row[1]} closed, open or excluded. "
            "Look at marts.rpt_closure_accounting and marts.fct_month_end_closures; nothing was closed."
        )
