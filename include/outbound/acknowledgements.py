"""Which files went out, and of which the recipient said that they are there.

RIS acknowledges closures itself and the enrichment provider by its answer; Certin shows it by the first outcome and
Kwadraad by the first follow-up. Where nothing of the kind comes, a person asks and notes the answer here: then
`ops.waiting` no longer asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect


class NotDelivered(RuntimeError):
    """No file of that name went out."""


@dataclass(frozen=True)
class Export:
    """One file of ops.exchange_ledger."""

    file_name: str
    recipient: str
    rows: int
    state: str
    delivered_at: datetime | None
    acknowledged_by: str | None


def exports_of(month: Month) -> list[Export]:
    """Every file of the month, in the order in which they went out."""
    with connect(Role.EXPORTER) as connection, connection.cursor(row_factory=class_row(Export)) as cursor:
        return cursor.execute(
            "select file_name, recipient, rows, state, delivered_at, acknowledged_by from ops.exchange_ledger"
            " left join ops.acknowledgements using (contract, signal_month, recipient, sequence)"
            " where signal_month = %s order by prepared_at, file_name",
            (str(month),),
        ).fetchall()


def acknowledge(file_name: str, acknowledged_by: str, noted_by: str) -> None:
    """Note that the recipient has the file; saying it again changes nothing."""
    with connect(Role.EXPORTER) as connection:
        known = connection.execute(
            "select contract, signal_month, recipient, sequence from ops.exchange_ledger"
            " where file_name = %s and state = 'delivered'",
            (file_name,),
        ).fetchone()
        if known is None:
            raise NotDelivered(f"No file {file_name} went out. `vs exports list YYYY-MM` shows which did.")
        connection.execute(
            "insert into ops.acknowledgements (contract, signal_month, recipient, sequence, acknowledged_by, noted_by)"
            " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
            (*known, acknowledged_by, noted_by),
        )
