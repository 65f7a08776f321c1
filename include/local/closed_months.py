"""Whether a month is closed, as the ledger says it, with what a person wants to know about it."""

from __future__ import annotations

from dataclasses import dataclass

from include.months import Month
from include.settings import Role
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
