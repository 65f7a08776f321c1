"""The deliveries of the partners in a month: who may deliver, what has arrived, what became of it, who is missing.

Rule: partners are those with an active contract file; nothing here names one. A file with a bad name, or in a folder
without a contract, is refused visibly in the month that found it. One bad delivery never keeps another out, nor does
one bad contract file: what its partner delivers stays in the inbox until the contract is mended, the others' month goes
on, and `ops.contract_problems` (gate G1, `vs status`) tells it.
How to change: a new partner is a contract file; the delivery day is in its slaProperties. Which version of it counts is
include/contracts/versions.py.
"""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from include.contracts.checking import broken_contracts
from include.contracts.registry import Contract, FileName, all_contracts, unreadable_contracts
from include.contracts.versions import choose_version, contracts_in, partners_without_contract, usable_versions
from include.exchange.folders import Exchange
from include.ingest.booking import LOADED, Arrival, DeliverySummary, take_in
from include.ingest.delivered_header import delivered_header
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
        for contract in contracts_in(month):
            # an old month that is opened again does not bring back what a partner was called then
            connection.execute(
                "insert into ops.partners (partner, partner_name, sector, delivery_day, contract_version) "
                "values (%(partner)s, %(name)s, %(sector)s, %(day)s, %(version)s) on conflict (partner) do update set "
                "partner_name = excluded.partner_name, sector = excluded.sector, delivery_day = excluded.delivery_day, "
                "contract_version = excluded.contract_version "
                "where not exists (select from ops.months where signal_month > %(month)s)",
                {
                    "partner": contract.partner, "name": contract.partner_name, "sector": contract.sector,
                    "day": contract.delivery_day, "version": contract.version, "month": str(month),
                },
            )  # fmt: skip
    record_contract_problems(month)


def record_contract_problems(month: Month) -> list[str]:
    """Write down which contract files the month goes on without, and why; returns their names."""
    broken = broken_contracts()
    with connect(Role.LOADER) as connection:
        connection.execute("delete from ops.contract_problems where signal_month = %s", (str(month),))
        for contract in broken:
            connection.execute(
                "insert into ops.contract_problems (signal_month, contract_file, partner, problems) "
                "values (%s, %s, %s, %s)",
                (str(month), contract.path.name, contract.partner, list(contract.problems)),
            )
    return [contract.path.name for contract in broken]


def delivery_deadline(month: Month) -> datetime:
    """The end of the last delivery day of all contracts."""
    last = max((_due_on(contract, month) for contract in contracts_in(month)), default=month.first_day)
    return datetime.combine(last, time(23, 59, 59), tzinfo=AMSTERDAM)


def partners_awaited(month: Month) -> list[str]:
    """The partners of whom no delivery of the month is loaded or waits in the inbox."""
    loaded, contracts = _partners_loaded(month), contracts_in(month)
    by_folder = {contract.folder: contract.name for contract in contracts if contract.name not in loaded}
    versions = _versions_by_folder()
    arrived = {
        file.folder
        for file in Exchange.from_settings().files(*by_folder)
        if _month_of(versions.get(file.folder, []), file.name) == month
    }
    waiting = [partner for folder, partner in by_folder.items() if folder not in arrived]
    # a broken contract can be mended until the delivery day
    return sorted({*waiting, *(partner for partner in partners_without_contract() if partner not in loaded)})


def find_deliveries(month: Month) -> list[str]:
    """The files in the inboxes that belong to the month, and those whose name says no month at all."""
    exchange, versions = Exchange.from_settings(), _versions_by_folder()
    left_alone = {contract.folder for contract in all_contracts()} | {
        f"{INBOX}/{partner}" for partner in partners_without_contract()
    }
    folders = set(versions)
    if not any(contract.is_inbound for contract in unreadable_contracts()):
        # otherwise nobody can tell whether an unclaimed folder belongs to the contract that cannot be read
        folders |= {INBOX} | {f"{INBOX}/{name}" for name in exchange.folders(INBOX)} - left_alone
    return [
        file.path
        for file in exchange.files(*sorted(folders))
        if _month_of(versions.get(file.folder, []), file.name) in (month, None)
    ]


def ingest_delivery(path: str, month: Month) -> DeliverySummary:
    """Take in one file of the inbox; a bad delivery ends as `rejected` with its reason, and never as an error."""
    from include.ingest.landing import write_signals

    return take_in(Exchange.from_settings(), _arrival(path, month), write_signals)


def _arrival(path: str, month: Month) -> Arrival:
    """What the place and the name of a file say about it, and which version of the contract it is under."""
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
    versions = usable_versions(folder)
    named = _read_file_name(versions, name)
    contract, besides = versions[0] if versions else None, ""
    if named:
        holding = [one for one in versions if one.covers(named.month) and one.read_file_name(name)]
        contract, besides = _chosen(path, holding) if holding else (None, _no_version(versions, named.month))
    partner = versions[0].partner if versions else None
    return Arrival(
        path=path,
        sender=partner or PurePosixPath(folder).name,
        partner=partner,
        contract=contract,
        named=named,
        receipts=f"outbox/partners/{partner or UNKNOWN_SENDER}",
        month=named.month if named else month,
        besides=besides,
    )


def _chosen(path: str, versions: list[Contract]) -> tuple[Contract, str]:
    exchange = Exchange.from_settings()
    if not exchange.exists(path) or exchange.size(path) > versions[0].format.max_bytes:
        return versions[0], ""
    choice = choose_version(versions, lambda contract: delivered_header(exchange, path, contract))
    return choice.contract, choice.besides


def _no_version(versions: list[Contract], month: Month) -> str:
    known = ", ".join(
        f"{one.reference} ({one.valid_from or 'always'} to {one.valid_to or 'now'})" for one in reversed(versions)
    )
    return f"no version of the contract holds {month}; there is {known}"


def record_missing_partners(month: Month) -> list[str]:
    """Write down who has no loaded delivery of the month (and who came after all); returns the missing."""
    loaded, due = _partners_loaded(month), {one.name: _due_on(one, month) for one in contracts_in(month)}
    due |= dict.fromkeys(partners_without_contract(), delivery_deadline(month).date())
    missing = sorted(partner for partner in due if partner not in loaded)
    with connect(Role.LOADER) as connection:
        connection.execute("delete from ops.missing_deliveries where signal_month = %s", (str(month),))
        for partner in missing:
            connection.execute(
                "insert into ops.missing_deliveries (signal_month, partner, due_on) values (%s, %s, %s)",
                (str(month), partner, due[partner]),
            )
    # who mended a contract since the month opened wants to see it gone
    record_contract_problems(month)
    return missing


def _due_on(contract: Contract, month: Month) -> date:
    return month.first_day.replace(day=min(contract.delivery_day, month.last_day.day))


def _versions_by_folder() -> dict[str, list[Contract]]:
    """Every usable version of every partner by the folder it is delivered in, newest first."""
    by_folder: dict[str, list[Contract]] = {}
    for contract in usable_versions():
        by_folder.setdefault(contract.folder, []).append(contract)
    return by_folder


def _read_file_name(versions: list[Contract], file_name: str) -> FileName | None:
    return next((named for contract in versions if (named := contract.read_file_name(file_name))), None)


def _month_of(versions: list[Contract], file_name: str) -> Month | None:
    named = _read_file_name(versions, file_name)
    return named.month if named else None


def _partners_loaded(month: Month) -> set[str]:
    with connect(Role.LOADER) as connection:
        rows = connection.execute(
            "select distinct partner from ops.deliveries where signal_month = %s and status = %s", (str(month), LOADED)
        )
        return {partner for (partner,) in rows}
