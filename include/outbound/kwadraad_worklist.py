"""The work list to Kwadraad (interfaces §7): who to visit, write, call back or judge, as a workbook.

Rule: each file holds the whole list of the month; it goes out when its content is new. One sheet a table of the
contract `kwadraad_worklist`, filled from `outbound.out_kwadraad_<table>`; headings are the contract's. To change a
column, change the contract and that model.
"""

from __future__ import annotations

import json

import psycopg
from psycopg import sql

from include.contracts.registry import Contract, load_contract
from include.months import Month
from include.outbound.csv_file import contracted_columns
from include.outbound.delivery import DeliverySummary, Draft, Product, deliver, sha256, whole_content
from include.outbound.workbook import Sheet, content_of, render_workbook
from include.warehouse.closure_ledger import month_is_closed

CONTRACT = "kwadraad_worklist"
RECIPIENT = "kwadraad"


def deliver_worklist(month: Month) -> DeliverySummary:
    """Deliver the month's work list when it says something new; a closed month's list stays as it is."""
    contract = load_contract(CONTRACT)
    draft, again = whole_content(lambda connection: _contents(connection, month, contract))
    return deliver(
        Product(
            contract=contract.name,
            contract_version=contract.version,
            recipient=RECIPIENT,
            folder=contract.folder,
            month=month,
            file_name=lambda sequence: contract.file_name(month, sequence),
            draft=lambda connection, last: None if month_is_closed(month, connection) else draft(connection, last),
            again=again,
        )
    )


def _contents(connection: psycopg.Connection, month: Month, contract: Contract) -> Draft | None:
    sheets = []
    for table in contract.tables:
        query = sql.SQL("select {} from {} where signal_month = %s order by {}").format(
            contracted_columns(table),
            sql.Identifier("outbound", f"out_kwadraad_{table.name}"),
            sql.SQL(", ").join(sql.Literal(number + 1) for number in range(len(table.columns))),
        )
        sheets.append(Sheet(table, connection.execute(query, (str(month),)).fetchall()))
    rows = sum(len(sheet.rows) for sheet in sheets)
    if not rows:
        return None
    content = json.dumps(content_of(sheets), sort_keys=True, ensure_ascii=False).encode()
    title = f"Werklijst vroegsignalering {month}"
    return Draft(rows, sha256(content), lambda sequence, at: render_workbook(contract, sheets, title, at))
