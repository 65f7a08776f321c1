"""The deliveries of the partners in a month: who may deliver, what has arrived, what became of it, who is missing.

Rule: partners are those with an active contract file; nothing here names one. A file with a bad name, or in a folder
without a contract, is refused visibly in the month that found it. One bad delivery never keeps another out.
How to change: a new partner is a contract file; the delivery day is in its slaProperties.
"""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from include.contracts.registry import Contract, all_contracts, partner_contracts
from include.exchange.folders import Exchange
from include.ingest.booking import LOADED, Arrival, DeliverySummary, take_in
from include.ingest.receipts import UNKNOWN_SENDER
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
INBOX = "inbox"


def open_month(month: Month) -> None:
    """Write down that the month runs and who may deliver in it."""
    with connect(Role.LOADER) as connection:
        connection.execute("insert into ops.months (signal_month) values (%s) on conflict do nothing", (str(month),))
        for contract in partner_contracts():
            connection.execute(
                "insert into ops.partners (partner, partner_name, sector, delivery_day, contract_version) "
                "values (%s, %s, %s, %s, %s) on conflict (partner) do update set partner_name = excluded.partner_name, "
                "sector = excluded.sector, delivery_day = excluded.delivery_day, "
                "contract_version = excluded.contract_version",
                (contract.partner, contract.partner_name, contract.sector, contract.delivery_day, contract.version),
            )


def delivery_deadline(month: Month) -> datetime:
    """The end of the last delivery day of all contracts."""
    last = max(_due_on(contract, month) for contract in partner_contracts())
    return datetime.combine(last, time(23, 59, 59), tzinfo=AMSTERDAM)


def partners_awaited(month: Month) -> list[str]:
    """The partners of whom no delivery of the month is loaded or waits in the inbox."""
    loaded, contracts = _partners_loaded(month), partner_contracts()
    by_folder = {contract.folder: contract for contract in contracts if contract.partner not in loaded}
    arrived = {
        file.folder
        for file in Exchange.from_settings().files(*by_folder)
        if _month_of(by_folder[file.folder], file.name) == month
    }
    return [contract.partner for folder, contract in by_folder.items() if folder not in arrived]


def find_deliveries(month: Month) -> list[str]:
    """The files in the inboxes that belong to the month, and those whose name says no month at all."""
    exchange = Exchange.from_settings()
    contracts = {contract.folder: contract for contract in partner_contracts()}
    others = {contract.folder for contract in all_contracts() if contract.folder not in contracts}
    folders = {INBOX} | {f"{INBOX}/{name}" for name in exchange.folders(INBOX)} | set(contracts)
    return [
        file.path
        for file in exchange.files(*sorted(folders - others))
        if _month_of(contracts.get(file.folder), file.name) in (month, None)
    ]


def ingest_delivery(path: str, month: Month) -> DeliverySummary:
    """Take in one file of the inbox; a bad delivery ends as `rejected` with its reason, and never as an error."""
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
    contract = next((one for one in partner_contracts() if one.folder == folder), None)
    named = contract.read_file_name(name) if contract else None
    arrival = Arrival(
        path=path,
        sender=contract.partner if contract else PurePosixPath(folder).name,
        partner=contract.partner if contract else None,
        contract=contract,
        named=named,
        receipts=f"outbox/partners/{contract.partner if contract else UNKNOWN_SENDER}",
        month=named.month if named else month,
    )
    from include.ingest.landing import write_signals

    return take_in(Exchange.from_settings(), arrival, write_signals)


def record_missing_partners(month: Month) -> list[str]:
    """Write down who has no loaded delivery of the month (and who came after all); returns the missing."""
    loaded = _partners_loaded(month)
    missing = [contract for contract in partner_contracts() if contract.partner not in loaded]
    with connect(Role.LOADER) as connection:
        connection.execute("delete from ops.missing_deliveries where signal_month = %s", (str(month),))
        for contract in missing:
            connection.execute(
                "insert into ops.missing_deliveries (signal_month, partner, due_on) values (%s, %s, %s)",
                (str(month), contract.partner, _due_on(contract, month)),
            )
    return [contract.partner for contract in missing]


def _due_on(contract: Contract, month: Month) -> date:
    return month.first_day.replace(day=min(contract.delivery_day, month.last_day.day))


def _month_of(contract: Contract | None, file_name: str) -> Month | None:
    named = contract.read_file_name(file_name) if contract else None
    return named.month if named else None


def _partners_loaded(month: Month) -> set[str]:
    with connect(Role.LOADER) as connection:
        rows = connection.execute(
            "select distinct partner from ops.deliveries where signal_month = %s and status = %s", (str(month), LOADED)
        )
        return {partner for (partner,) in rows}
