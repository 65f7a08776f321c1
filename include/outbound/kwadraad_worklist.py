"""The work list to Kwadraad (interfaces §7): who to visit, write, call back or judge, as a workbook.

Rule: each file holds the whole list of the month; it goes out when its content is new. One sheet a table of the
contract `kwadraad_worklist`, filled from `outbound.out_kwadraad_<table>`; headings are the contract's. Days of waiting
are counted up to a given day, so a day later the list of who still waits is new. A closed month's list stays as it is,
unless somebody in it still waits: a closure must not end the daily reminder. To change a column, change the contract
and that model.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date

import psycopg
from psycopg import sql

from include.contracts.registry import Contract, load_contract
from include.months import Month
from include.outbound.csv_file import contracted_columns
from include.outbound.delivery import DeliverySummary, Draft, Product, deliver, sha256, whole_content
from include.outbound.workbook import Sheet, content_of, render_workbook
from include.settings import Role
from include.warehouse.closure_ledger import month_is_closed
from include.warehouse.connection import connect

CONTRACT = "kwadraad_worklist"
RECIPIENT = "kwadraad"

#: What a worker takes up first stands first; other sheets are ordered by their columns.
_ORDER = {"warm": "followup_started_on is not null, days_waiting desc nulls last, case_id, surname, initials"}


#: accepted help, nobody has come yet, and RIS did not close the case
_WAITING = """
    select warm.signal_month
    from outbound.out_kwadraad_warm as warm
    where warm.followup_started_on is null and not exists (
        select from ops.closure_items as items where items.case_id = warm.case_id and items.state = 'accepted'
    )
"""


def deliver_open_worklists(on: date | None, except_for: Collection[str] = ()) -> list[DeliverySummary]:
    """Deliver the list of every month that has one and is open, or has somebody waiting, but for these."""
    with connect(Role.EXPORTER) as connection:
        months = connection.execute(
            "select distinct signal_month from ops.exchange_ledger where contract = %s and signal_month <> all (%s) "
            "and (signal_month not in (select ledger.signal_month from ops.closure_ledger as ledger)"
            f" or signal_month in ({_WAITING})) order by 1",
            (CONTRACT, list(except_for)),
        ).fetchall()
    return [deliver_worklist(Month.parse(month), on) for (month,) in months]


def deliver_worklist(month: Month, on: date | None = None) -> DeliverySummary:
    """Deliver the month's work list as of the day `on` when it says something new.

    Without a day, days of waiting are counted up to the last answer of RIS, and a closed month's list stays.
    """
    contract = load_contract(CONTRACT)
    draft, again = whole_content(lambda connection: _contents(connection, month, contract, on))
    return deliver(
        Product(
            contract=contract.name,
            contract_version=contract.version,
            recipient=RECIPIENT,
            folder=contract.folder,
            month=month,
            file_name=lambda sequence: contract.file_name(month, sequence),
            draft=lambda connection, last: None if _stays(connection, month, on) else draft(connection, last),
            again=again,
        )
    )


def _stays(connection: psycopg.Connection, month: Month, on: date | None) -> bool:
    if not month_is_closed(month, connection):
        return False
    return on is None or not connection.execute(f"{_WAITING} and warm.signal_month = %s", (str(month),)).rowcount


def _contents(connection: psycopg.Connection, month: Month, contract: Contract, on: date | None) -> Draft | None:
    # read by outbound.out_kwadraad_warm, for this transaction
    connection.execute("select set_config('vs.business_date', %s, true)", (on.isoformat() if on else "",))
    sheets = []
    for table in contract.tables:
        query = sql.SQL("select {} from {} where signal_month = %s order by {}").format(
            contracted_columns(table),
            sql.Identifier("outbound", f"out_kwadraad_{table.name}"),
            sql.SQL(_ORDER[table.name])
            if table.name in _ORDER
            else sql.SQL(", ").join(sql.Literal(number + 1) for number in range(len(table.columns))),
        )
        sheets.append(Sheet(table, connection.execute(query, (str(month),)).fetchall()))
    rows = sum(len(sheet.rows) for sheet in sheets)
    if not rows:
        return None
    content = json.dumps(content_of(sheets), sort_keys=True, ensure_ascii=False).encode()
    title = f"Werklijst vroegsignalering {month}"
    return Draft(
        rows, sha256(content), lambda sequence, at: render_workbook(contract, sheets, title, at),
        # a list of cases: everybody in them
        about=[row[_place_of_case(sheet)] for sheet in sheets for row in sheet.rows],
    )  # fmt: skip


def _place_of_case(sheet: Sheet) -> int:
    return [column.name for column in sheet.table.columns].index("case_id")
