"""Phone numbers asked of Certin's provider (interfaces §4): each request goes out once.

Rule: a file holds only the requests that were not made before (`ops.enrichment_requests`, written together with the
ledger row); nothing to ask is no file. Reason: every request is a new processing of somebody's data, and is paid for.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from include.contracts.registry import Contract, load_contract
from include.months import Month
from include.outbound.csv_file import contracted_columns, render_csv
from include.outbound.delivery import DeliverySummary, Draft, LedgerRow, Product, deliver, sha256
from include.warehouse.closure_ledger import month_is_closed

CONTRACT = "enrichment_request"
RECIPIENT = "enrichment"


def request_enrichment(month: Month) -> DeliverySummary:
    """Ask for the numbers that are missing and were not asked for yet."""
    contract = load_contract(CONTRACT)
    return deliver(
        Product(
            contract=contract.name,
            contract_version=contract.version,
            recipient=RECIPIENT,
            folder=contract.folder,
            month=month,
            file_name=lambda sequence: contract.file_name(month, sequence),
            draft=lambda connection, last: _draft(connection, month, contract),
            again=lambda connection, row: _again(connection, contract, row),
        )
    )


def _draft(connection: psycopg.Connection, month: Month, contract: Contract) -> Draft | None:
    if month_is_closed(month, connection):
        return None
    rows = _rows(
        connection, contract, month,
        sql.SQL("not exists (select from ops.enrichment_requests as known where known.request_id = asked.request_id)"),
    )  # fmt: skip
    if not rows:
        return None
    data = render_csv(contract, rows)
    place = [column.name for column in contract.columns].index("request_id")

    def record(connection: psycopg.Connection, sequence: int, file_name: str) -> None:
        with connection.cursor().copy(
            "copy ops.enrichment_requests (request_id, signal_month, sequence) from stdin"
        ) as copy:
            for row in rows:
                copy.write_row((row[place], str(month), sequence))

    about = [row[place] for row in rows]
    return Draft(len(rows), sha256(data), lambda sequence, at: data, record, about)


def _again(connection: psycopg.Connection, contract: Contract, row: LedgerRow) -> Draft | None:
    rows = _rows(
        connection, contract, Month.parse(row.signal_month),
        sql.SQL(
            "exists (select from ops.enrichment_requests as known "
            "where known.request_id = asked.request_id and known.sequence = {})"
        ).format(sql.Literal(row.sequence)),
    )  # fmt: skip
    data = render_csv(contract, rows)
    return Draft(len(rows), row.content_sha256, lambda sequence, at: data)


def _rows(
    connection: psycopg.Connection, contract: Contract, month: Month, condition: sql.Composable
) -> list[tuple[Any, ...]]:
    query = sql.SQL(
        "select {} from outbound.out_enrichment_requests as asked where asked.signal_month = %s and {} "
        "order by asked.request_id"
    ).format(contracted_columns(contract.table, "asked"), condition)
    return connection.execute(query, (str(month),)).fetchall()
