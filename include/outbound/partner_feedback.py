"""What a partner hears about its signals (interfaces §8): reference, status, day; one file a partner and month.

Rule: only what `outbound.out_partner_feedback` says, and that holds only statuses of the whitelist. The file has one
name a month and always holds everything: when a status changes it is written again, and the ledger counts the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.contracts.registry import Contract, load_contract
from include.months import Month
from include.outbound.csv_file import contracted_columns, render_csv
from include.outbound.delivery import Draft, Product, deliver, sha256, whole_content
from include.settings import Role
from include.warehouse.connection import connect

CONTRACT = "partner_feedback"


@dataclass(frozen=True)
class FeedbackSummary:
    """How many partners there were, and how many got a new file."""

    month: str
    partners: int
    files: int
    rows: int


def deliver_feedback(month: Month) -> FeedbackSummary:
    """Write the feedback of every partner whose feedback says something new."""
    contract = load_contract(CONTRACT)
    with connect(Role.EXPORTER) as connection:
        partners = [
            partner
            for (partner,) in connection.execute(
                "select distinct partner from outbound.out_partner_feedback where signal_month = %s order by 1",
                (str(month),),
            )
        ]
    delivered = [deliver(_product(contract, month, partner)) for partner in partners]
    new = [one for one in delivered if one.sequence is not None]
    return FeedbackSummary(str(month), len(partners), len(new), sum(one.rows for one in new))


def _product(contract: Contract, month: Month, partner: str) -> Product:
    draft, again = whole_content(lambda connection: _contents(connection, contract, month, partner))
    return Product(
        contract=contract.name,
        contract_version=contract.version,
        recipient=partner,
        folder=contract.folder.replace("<partner>", partner),
        month=month,
        file_name=lambda sequence: contract.file_name(month, sequence).replace("<partner>", partner),
        draft=draft,
        again=again,
    )


def _contents(connection: psycopg.Connection, contract: Contract, month: Month, partner: str) -> Draft | None:
    query = sql.SQL(
        "select {} from outbound.out_partner_feedback where signal_month = %s and partner = %s "
        "order by partner_reference, status_on, status"
    ).format(contracted_columns(contract.table))
    rows = connection.execute(query, (str(month), partner)).fetchall()
    if not rows:
        return None
    data = render_csv(contract, rows)
    place = [column.name for column in contract.columns].index("partner_reference")
    about = [f"{partner}|{row[place]}|{month}" for row in rows]
    return Draft(len(rows), sha256(data), lambda sequence, at: data, about=about)
