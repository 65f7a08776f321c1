"""Whether a month is closed, in which versions, as the ledger says it, with what a person wants to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from include.months import Month
from include.settings import Role
from include.warehouse.closure_ledger import VersionCheck
from include.warehouse.connection import connect


@dataclass(frozen=True)
class ClosedMonth:
    """The newest ledger entry of a month."""

    month: Month
    version: int
    content_hash: str
    closed: int
    opened: int

    def __str__(self) -> str:
        return (
            f"{self.month} is closed: version {self.version}, {self.closed} of {self.opened} cases closed, "
            f"content hash {self.content_hash}"
        )


def closed_month(month: Month) -> ClosedMonth | None:
    """The ledger's newest entry of `month`, or None while it is open."""
    with connect(Role.EXPORTER) as connection:
        row = connection.execute(
            "select version, content_hash, cases_closed, cases_opened from ops.closure_ledger"
            " where signal_month = %s order by version desc limit 1",
            (str(month),),
        ).fetchone()
    return ClosedMonth(month, *row) if row else None


def ask_for_restatement(month: Month, because: str | None) -> None:
    """Record a reason of our own, when there is one; NothingToRestate while the month is open."""
    from include.warehouse.closure_ledger import month_is_closed
    from include.warehouse.restatements import NothingToRestate, request_restatement

    if because:
        request_restatement(month, because)
    elif not month_is_closed(month):
        raise NothingToRestate(f"{month} is not closed: there is nothing to restate. Close it: vs month {month}")


def versions_table(month: Month, checks: Sequence[VersionCheck]) -> Table:
    """The month's versions, the oldest first. What each said in full: `closed.*` with that closed_version."""
    table = Table(title=f"{month} as it was closed", title_justify="left")
    headings = ("version", "opened", "closed", "open", "excluded", "arrears closed", "approved by", "reason", "hash")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for check in checks:
        entry = check.entry
        table.add_row(
            str(entry.version), str(entry.cases_opened), str(entry.cases_closed), str(entry.cases_open),
            str(entry.cases_excluded), f"€ {entry.arrears_closed_eur:,.2f}", entry.approved_by, entry.reason or "",
            f"{entry.content_hash[:12]} {_state(check)}",
        )  # fmt: skip
    return table


def _state(check: VersionCheck) -> str:
    if check.is_purged:
        return "purged: counts are left"
    return "kept" if check.is_intact else "[red]CHANGED[/]"
