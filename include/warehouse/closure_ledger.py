"""The closure ledger: what a month was when it closed, with a hash that shows when it is no longer that.

Rule: a row is added once and never changed (a trigger refuses it), and with it the month's rows of every mart are kept
in `closed.*` as that version. Closing again what is the same is the same entry; closing again what differs is refused,
because a correction of a closed month is a restatement: a new version, approved by a person, that leaves this one
readable (restatements.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg.rows import class_row

from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect
from include.warehouse.fingerprints import kept_fingerprint, month_fingerprint
from include.warehouse.restatements import Restatement, restatement_of

_COLUMNS = (
    "signal_month, version, batch_id, approved_by, cases_opened, cases_closed, cases_open, cases_excluded, "
    "arrears_closed_eur, content_hash, reason"
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
    reason: str | None


@dataclass(frozen=True)
class VersionCheck:
    """One closed version, and whether what was kept of it still has the hash of the ledger."""

    entry: LedgerEntry
    kept_hash: str | None
    #: only of the newest version: what the month's marts say now
    live_hash: str | None
    #: the term of its cases is over: what is left are counts, and they have another hash
    is_purged: bool = False

    @property
    def is_intact(self) -> bool:
        return self.is_purged or (
            self.kept_hash == self.entry.content_hash and self.live_hash in (None, self.entry.content_hash)
        )


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
    """Freeze the month as its next version; when it is frozen already, its entry (or ClosedMonthChanged).

    The next version is 1, or the one a person approved as a restatement. Ledger row, kept rows and the end of the
    restatement are one transaction.
    """
    with connect(Role.EXPORTER) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('vs:close'), hashtext(%s))", (str(month),))
        entry, restatement = newest_entry(month, connection), restatement_of(month, connection)
        if entry is None:
            return _add(connection, month, batch_id, approved_by)
        if restatement and restatement.state == "approved":
            return _add(connection, month, batch_id, approved_by, restatement)
    if entry.content_hash != month_fingerprint(month):
        raise ClosedMonthChanged(
            f"{month} was closed as version {entry.version}, and its marts say something else now. A closed month does "
            "not change: find what rebuilt it (ops.dbt_results); what it was is in closed.* with "
            f"closed_version = {entry.version}. To take in what is new: vs month {month} --restate"
        )
    return entry


def check_versions(month: Month) -> list[VersionCheck]:
    """Every version of the month with the hash of what was kept of it, the oldest first."""
    with connect(Role.EXPORTER) as connection, connection.cursor(row_factory=class_row(LedgerEntry)) as cursor:
        entries = cursor.execute(
            f"select {_COLUMNS} from ops.closure_ledger where signal_month = %s order by version", (str(month),)
        ).fetchall()
        purged = connection.execute(
            "select exists (select from ops.purge_certificates where kept like 'closed.%%' and expired_through >= %s)",
            (str(month),),
        ).fetchone() == (True,)
    return [
        VersionCheck(
            entry,
            kept_fingerprint(month, entry.version),
            month_fingerprint(month) if entry is entries[-1] else None,
            purged,
        )
        for entry in entries
    ]


def newest_entry(month: Month, connection: psycopg.Connection) -> LedgerEntry | None:
    """The newest version of the month's closure."""
    with connection.cursor(row_factory=class_row(LedgerEntry)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from ops.closure_ledger where signal_month = %s order by version desc limit 1",
            (str(month),),
        ).fetchone()


def _add(
    connection: psycopg.Connection,
    month: Month,
    batch_id: str,
    approved_by: str,
    restatement: Restatement | None = None,
) -> LedgerEntry:
    version, reason = (restatement.version, restatement.reason) if restatement else (1, None)
    _require_answer(connection, month, batch_id, version)
    _require_balance(connection, month)
    with connection.cursor(row_factory=class_row(LedgerEntry)) as cursor:
        entry = cursor.execute(
            f"""
            insert into ops.closure_ledger ({_COLUMNS})
            select
                signal_month, %s, %s, %s, cases_opened, cases_closed, cases_open, cases_excluded, arrears_closed_eur,
                %s, %s
            from marts.rpt_closure_accounting
            where signal_month = %s
            returning {_COLUMNS}
            """,
            (version, batch_id, approved_by, month_fingerprint(month), reason, str(month)),
        ).fetchone()
    connection.execute("select ops.keep_closed_month(%s, %s)", (str(month), version))
    if restatement:
        _conclude(connection, month, version)
    return entry


def _conclude(connection: psycopg.Connection, month: Month, version: int) -> None:
    """The restatement is closed; closures that no longer hold may be sent to RIS anew."""
    connection.execute(
        "update ops.restatements set state = 'closed' where signal_month = %s and version = %s", (str(month), version)
    )
    connection.execute(
        """
        update ops.closure_items as items set reopened_in_version = %(version)s
        from marts.fct_month_end_closures as stands
        where items.signal_month = %(month)s and items.state = 'accepted' and items.reopened_in_version is null
            and stands.signal_month = items.signal_month and stands.case_id = items.case_id and stands.is_reopened
        """,
        {"month": str(month), "version": version},
    )


def _require_answer(connection: psycopg.Connection, month: Month, batch_id: str, version: int) -> None:
    """RIS has answered the version's batch, or has had its time: what it has not answered stays open."""
    batch = connection.execute(
        "select state, state = 'sent' and prepared_at + %s <= now() from ops.closure_batches "
        "where batch_id = %s and signal_month = %s and version = %s",
        (Settings.from_environment().acknowledgement_wait, batch_id, str(month), version),
    ).fetchone()
    if batch is None or not (batch[0] == "acknowledged" or batch[1]):
        raise NothingToClose(
            f"{month} cannot be closed with batch {batch_id}: "
            f"{'RIS has not acknowledged it' if batch else f'it is no batch of version {version} of this month'}. "
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
