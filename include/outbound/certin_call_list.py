"""The call list to Certin (interfaces §5): every call record goes out once, ever.

Rule: the first file of a month holds the whole list, a later one only what is new; records that went out before and are
no longer on the list, or whose person is not to be approached any more, are `withdrawn` in the manifest, unless they
were called already. A withdrawn record never goes out again. Nothing new and nothing withdrawn is no file.
`ops.call_records` gets its row in the same transaction as the ledger's `prepared`: it is what Certin bills and what RIS
may report about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from include.contracts.registry import Contract, load_contract
from include.months import Month
from include.outbound.approvals import require_approval
from include.outbound.csv_file import contracted_columns, render_csv
from include.outbound.delivery import DeliverySummary, Draft, LedgerRow, Product, deliver, sha256
from include.warehouse.closure_ledger import month_is_closed

CONTRACT = "certin_call_list"
RECIPIENT = "certin"


def deliver_call_list(month: Month) -> DeliverySummary:
    """Deliver what is new or withdrawn of the month's approved call list; nothing new is no file."""
    if not month_is_closed(month):
        require_approval(month, "call_list")
    return deliver(_product(month, load_contract(CONTRACT)))


def _product(month: Month, contract: Contract) -> Product:
    return Product(
        contract=contract.name,
        contract_version=contract.version,
        recipient=RECIPIENT,
        folder=contract.folder,
        month=month,
        file_name=lambda sequence: contract.file_name(month, sequence),
        draft=lambda connection, last: _draft(connection, month, contract),
        again=lambda connection, row: _again(connection, contract, row),
        manifest=_withdrawn_in,
    )


def _draft(connection: psycopg.Connection, month: Month, contract: Contract) -> Draft | None:
    if month_is_closed(month, connection):
        return None
    new = _rows(
        connection, contract, month,
        sql.SQL(
            "not exists (select from ops.call_records as known where known.call_record_id = list.call_record_id) "
            "and not exists (select from intermediate.int_calls__suppressed as suppressed "
            "where suppressed.signal_month = list.signal_month and suppressed.call_record_id = list.call_record_id)"
        ),
    )  # fmt: skip
    withdrawn = [
        call_record_id
        for (call_record_id,) in connection.execute(
            """
            select known.call_record_id from ops.call_records as known
            where known.signal_month = %s and known.withdrawn_in_sequence is null
                -- who has been called cannot be called back from it: that record is done, and billed
                and not exists (
                    select from staging.stg_ris_outcomes as done where done.call_record_id = known.call_record_id
                )
                and (
                    not exists (
                        select from outbound.out_certin_call_list as list
                        where list.signal_month = known.signal_month and list.call_record_id = known.call_record_id
                    )
                    or known.call_record_id in (
                        select suppressed.call_record_id from intermediate.int_calls__suppressed as suppressed
                        where suppressed.signal_month = known.signal_month
                    )
                )
            order by 1
            """,
            (str(month),),
        )
    ]
    if not new and not withdrawn:
        return None
    data = render_csv(contract, new)

    def record(connection: psycopg.Connection, sequence: int, file_name: str) -> None:
        _record(connection, month, contract, new, withdrawn, sequence, file_name)

    place = [column.name for column in contract.columns].index("call_record_id")
    about = [row[place] for row in new]
    return Draft(len(new), sha256(data + "\n".join(withdrawn).encode()), lambda sequence, at: data, record, about)


def _again(connection: psycopg.Connection, contract: Contract, row: LedgerRow) -> Draft | None:
    rows = _rows(
        connection, contract, Month.parse(row.signal_month),
        sql.SQL(
            "exists (select from ops.call_records as known "
            "where known.call_record_id = list.call_record_id and known.sequence = {})"
        ).format(sql.Literal(row.sequence)),
    )  # fmt: skip
    data = render_csv(contract, rows)

    def render(sequence: int, prepared_at: datetime) -> bytes:
        return data

    return Draft(len(rows), row.content_sha256, render)


def _rows(
    connection: psycopg.Connection, contract: Contract, month: Month, condition: sql.Composable
) -> list[tuple[Any, ...]]:
    query = sql.SQL(
        "select {} from outbound.out_certin_call_list as list where list.signal_month = %s and {} "
        "order by list.call_record_id"
    ).format(contracted_columns(contract.table, "list"), condition)
    return connection.execute(query, (str(month),)).fetchall()


def _record(
    connection: psycopg.Connection, month: Month, contract: Contract, rows: list[tuple[Any, ...]], withdrawn: list[str],
    sequence: int, file_name: str,
) -> None:  # fmt: skip
    place = {column.name: number for number, column in enumerate(contract.columns)}
    with connection.cursor().copy(
        "copy ops.call_records "
        "(call_record_id, case_id, signal_month, sequence, file_name, content_sha256, script_version) from stdin"
    ) as copy:
        for row in rows:
            copy.write_row(
                (
                    row[place["call_record_id"]], row[place["case_id"]], str(month), sequence, file_name,
                    sha256(render_csv(contract, [row])), row[place["script_version"]],
                )
            )  # fmt: skip
    connection.execute(
        "update ops.call_records set withdrawn_in_sequence = %s where call_record_id = any(%s)", (sequence, withdrawn)
    )


def _withdrawn_in(connection: psycopg.Connection, row: LedgerRow) -> Mapping[str, Any]:
    rows = connection.execute(
        "select call_record_id from ops.call_records where signal_month = %s and withdrawn_in_sequence = %s order by 1",
        (row.signal_month, row.sequence),
    )
    return {"withdrawn": [call_record_id for (call_record_id,) in rows]}
