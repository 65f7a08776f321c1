"""The deliveries of the partners in a month: who may deliver, what has arrived, what became of it, who is missing.

Rule: partners are those with an active contract file; nothing here names one. A file with a bad name, or in a folder
without a contract, is refused visibly in the month that found it. One bad delivery never keeps another out, nor does
one bad contract file: what its partner delivers stays in the inbox until the contract is mended, the others' month goes
on, and `ops.contract_problems` (gate G1, `vs status`) tells it. A file of a month that is over is late: the next open
month finds it and takes it in (include/ingest/receiving.py); it does not count as that month's own delivery.
How to change: a new partner is a contract file; the delivery day is in its slaProperties. Which version of it counts is
include/contracts/versions.py.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import psycopg

from include.contracts.checking import broken_contracts
from include.contracts.registry import Contract, FileName, all_contracts, unreadable_contracts
from include.contracts.versions import choose_version, contracts_in, partners_without_contract, usable_versions
from include.exchange.folders import Exchange
from include.ingest.booking import LOADED, Arrival, DeliverySummary, take_in
from include.ingest.delivered_header import delivered_header
from include.ingest.receipts import UNKNOWN_SENDER
from include.ingest.receiving import later_of, month_over
from include.months import Month
from include.settings import Role
from include.warehouse.alerts import raise_alert, settle_alert
from include.warehouse.connection import connect

logger = logging.getLogger(__name__)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
INBOX = "inbox"
MISSING_DELIVERY = "missing_delivery"


class NothingToDecide(RuntimeError):
    """A decision about a partner that nobody waits for."""


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
    """The partners of whom no delivery of the month is loaded or waits in the inbox, and nobody went on without."""
    settled, contracts = _partners_loaded(month) | set(gone_on_without(month)), contracts_in(month)
    by_folder = {contract.folder: contract.name for contract in contracts if contract.name not in settled}
    versions = _versions_by_folder()
    arrived = {
        file.folder
        for file in Exchange.from_settings().files(*by_folder)
        if _month_of(versions.get(file.folder, []), file.name) == month
    }
    waiting = [partner for folder, partner in by_folder.items() if folder not in arrived]
    # a broken contract can be mended until the delivery day
    return sorted({*waiting, *(partner for partner in partners_without_contract() if partner not in settled)})


def find_deliveries(month: Month) -> list[str]:
    """The files in the inboxes that the month takes in (late ones too), and those whose name says no month at all."""
    with connect(Role.LOADER) as connection:
        over = month_over(connection)
    if over is not None and month <= over:
        logger.warning("%s is over: files named after it are taken in by %s, as late.", month, over.next)
    return [path for path, found in _files_found() if (later_of(found, over) if found else month) == month]


def find_late_files(moment: datetime) -> list[tuple[str, Month]]:
    """The files whose month has had its delivery day at `moment`, so that nothing waits for them any more.

    A file whose name says no month counts for the last month that was opened.
    """
    with connect(Role.LOADER) as connection:
        over = month_over(connection)
        opened = [Month.parse(month) for (month,) in connection.execute("select signal_month from ops.months")]
    past = {month for month in opened if delivery_deadline(month) <= moment}
    if not past:
        return []
    takers = [(path, later_of(found, over) if found else max(past)) for path, found in _files_found()]
    return [(path, month) for path, month in takers if month in past]


def _files_found() -> list[tuple[str, Month | None]]:
    """Every complete file in the inboxes of partners and strangers, with the month its name says."""
    exchange, versions = Exchange.from_settings(), _versions_by_folder()
    left_alone = {contract.folder for contract in all_contracts()} | {
        f"{INBOX}/{partner}" for partner in partners_without_contract()
    }
    folders = set(versions)
    if not any(contract.is_inbound for contract in unreadable_contracts()):
        # otherwise nobody can tell whether an unclaimed folder belongs to the contract that cannot be read
        folders |= {INBOX} | {f"{INBOX}/{name}" for name in exchange.folders(INBOX)} - left_alone
    return [
        (file.path, _month_of(versions.get(file.folder, []), file.name)) for file in exchange.files(*sorted(folders))
    ]


def ingest_delivery(path: str, month: Month) -> DeliverySummary:
    """Take in one file of the inbox; a bad delivery ends as `rejected` with its reason, and never as an error."""
    from include.ingest.landing import prepare_signals

    return take_in(Exchange.from_settings(), _arrival(path, month), prepare_signals)


def _arrival(path: str, month: Month) -> Arrival:
    """What the place and the name of a file say about it, and which version of the contract it is under."""
    folder = str(PurePosixPath(path).parent)
    contract, named, besides = contract_for(folder, PurePosixPath(path).name, path)
    versions = usable_versions(folder)
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
        delivered_on=_delivered_on(path),
        due_on=_due_on(contract, named.month) if contract and named else None,
    )


def _delivered_on(path: str) -> date | None:
    """The day the file was put there, whenever we look."""
    exchange = Exchange.from_settings()
    changed = exchange.changed_at(path) if exchange.exists(path) else None
    return changed.astimezone(AMSTERDAM).date() if changed else None


def contract_for(folder: str, name: str, path: str) -> tuple[Contract | None, FileName | None, str]:
    """The version of the contract for a file of this name, delivered in `folder` and lying at `path` now."""
    versions = usable_versions(folder)
    named = _read_file_name(versions, name)
    if not named:
        return versions[0] if versions else None, None, ""
    holding = [one for one in versions if one.covers(named.month) and one.read_file_name(name)]
    contract, besides = _chosen(path, holding) if holding else (None, _no_version(versions, named.month))
    return contract, named, besides


def folder_of(partner: str) -> str:
    """Where the files of a partner come in."""
    folders = [contract.folder for contract in usable_versions() if contract.partner == partner]
    return folders[0] if folders else f"{INBOX}/{partner}"


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
    loaded, due = _partners_loaded(month), _days_due(month)
    missing = sorted(partner for partner in due if partner not in loaded)
    with connect(Role.LOADER) as connection:
        over = month_over(connection)
        if over is not None and month <= over:
            # what a month that is over says about who was missing does not change when they come after all
            return _recorded_missing(connection, month)
        connection.execute(
            "delete from ops.missing_deliveries where signal_month = %s and partner <> all(%s)", (str(month), missing)
        )
        for partner in loaded:
            settle_alert(connection, MISSING_DELIVERY, month, partner)
        for partner in missing:
            connection.execute(
                "insert into ops.missing_deliveries (signal_month, partner, due_on) values (%s, %s, %s) "
                "on conflict (signal_month, partner) do update set due_on = excluded.due_on",
                (str(month), partner, due[partner]),
            )
    # who mended a contract since the month opened wants to see it gone
    record_contract_problems(month)
    return missing


def alert_missing_partner(month: Month, partner: str) -> None:
    """Tell people that this partner did not deliver, and what they can do."""
    with connect(Role.LOADER) as connection:
        row = connection.execute(
            "select due_on, decided_by from ops.missing_deliveries as missing"
            " left join ops.missing_decisions using (signal_month, partner) where signal_month = %s and partner = %s",
            (str(month), partner),
        ).fetchone()
        if row is None:
            return
        due_on, decided_by = row
        went_on = f"{decided_by} went on without it" if decided_by else "the month went on at the deadline"
        message = (
            f"{partner} did not deliver {month} by {due_on}; {went_on}. Ask the partner; the file is taken in when it "
            f"comes (by {month}, or the next open month)."
        )
        raise_alert(connection, MISSING_DELIVERY, month, partner, message)


def go_on_without(month: Month, partner: str, decided_by: str, reason: str) -> None:
    """A person's decision that the month does not wait for this partner; recorded with name and reason."""
    if partner not in _days_due(month):
        raise NothingToDecide(f"{partner} is no partner with a contract; see `vs deliveries list {month}`.")
    if partner not in partners_awaited(month):
        raise NothingToDecide(f"{month} does not wait for {partner}: it has delivered, or this was decided before.")
    if not decided_by.strip() or not reason.strip():
        raise NothingToDecide("Going on without a partner needs the name of who decides, and the reason.")
    with connect(Role.LOADER) as connection:
        connection.execute(
            "insert into ops.missing_decisions (signal_month, partner, decided_by, reason) values (%s, %s, %s, %s) "
            "on conflict (signal_month, partner) do nothing",
            (str(month), partner, decided_by.strip(), reason.strip()),
        )
    logger.warning("%s goes on without %s, decided by %s.", month, partner, decided_by)


def gone_on_without(month: Month) -> dict[str, str]:
    """The partners the month does not wait for by decision, with who decided."""
    with connect(Role.LOADER) as connection:
        return dict(
            connection.execute(
                "select partner, decided_by from ops.missing_decisions where signal_month = %s", (str(month),)
            ).fetchall()
        )


@dataclass(frozen=True)
class PartnerState:
    """How a partner stands in a month."""

    partner: str
    due_on: date
    state: str
    files: int
    rows_loaded: int
    rows_quarantined: int


def partner_states(month: Month) -> list[PartnerState]:
    """Every partner with a contract: delivered, rejected, in the inbox, gone on without, awaited or missing."""
    awaited, decided = set(partners_awaited(month)), gone_on_without(month)
    with connect(Role.LOADER) as connection:
        missing = set(_recorded_missing(connection, month))
        books = {
            partner: counts
            for partner, *counts in connection.execute(
                "select partner, count(*), count(*) filter (where status = 'loaded'), coalesce(sum(rows_loaded), 0),"
                " coalesce(sum(rows_quarantined), 0) from ops.deliveries"
                " where coalesce(named_month, signal_month) = %s and partner is not null group by partner",
                (str(month),),
            )
        }
    states = []
    for partner, due_on in sorted(_days_due(month).items()):
        files, files_loaded, loaded, held = books.get(partner, (0, 0, 0, 0))
        if files_loaded:
            state = "delivered"
        elif partner in decided:
            state = f"gone on without (decided by {decided[partner]})"
        elif partner not in awaited:
            state = "in the inbox"
        else:
            state = "rejected" if files else "missing" if partner in missing else "awaited"
        states.append(PartnerState(partner, due_on, state, files, int(loaded), int(held)))
    return states


def _days_due(month: Month) -> dict[str, date]:
    """Who may deliver the month, those with a broken contract too, and on which day at the latest."""
    last = delivery_deadline(month).date()
    return dict.fromkeys(partners_without_contract(), last) | {
        contract.name: _due_on(contract, month) for contract in contracts_in(month)
    }


def _recorded_missing(connection: psycopg.Connection, month: Month) -> list[str]:
    rows = connection.execute(
        "select partner from ops.missing_deliveries where signal_month = %s order by partner", (str(month),)
    )
    return [partner for (partner,) in rows]


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
            "select distinct partner from ops.deliveries"
            " where coalesce(named_month, signal_month) = %s and status = %s and partner is not null",
            (str(month), LOADED),
        )
        return {partner for (partner,) in rows}
