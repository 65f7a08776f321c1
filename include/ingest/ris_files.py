"""Outcomes and follow-ups as files in inbox/ris, for a RIS without an API (interfaces §6).

Rule: a delivery of outcomes is two files, outcomes and attempts with the same month and sequence, and is read when both
are there; follow-ups are one file. The contracts judge the rows; what they let through becomes the same items the API
gives, and passes through the same door. An item whose row, or one of whose attempts, is bad is set aside with its
reasons. A file is archived after its transaction has committed: dying in between only means reading it once more.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import psycopg

from include.contracts.registry import Contract, load_contract
from include.exchange.folders import Exchange, ExchangeFile
from include.ingest.reading import JudgedDelivery, read_delivery
from include.ingest.ris import Landed, land_followups, land_outcomes
from include.ingest.ris_items import Rejected, read_followups, read_outcomes, rejected
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

logger = logging.getLogger(__name__)

OUTCOMES, ATTEMPTS, FOLLOWUPS = "ris_outcomes", "ris_attempts", "ris_followups"


@dataclass(frozen=True)
class RisFile:
    """One file, judged by its contract."""

    file: ExchangeFile
    contract: Contract
    month: Month
    sequence: int
    sha256: str
    judged: JudgedDelivery

    @property
    def delivery_id(self) -> str:
        return "dlv_" + hashlib.sha256(f"ris|{self.contract.name}|{self.sha256}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class LandedFiles:
    """What the files in inbox/ris brought."""

    landed: tuple[Landed, ...]
    files: int
    refused: int


def land_ris_files() -> LandedFiles:
    """Land every complete delivery in inbox/ris."""
    exchange = Exchange.from_settings()
    landed: list[Landed] = []
    read: list[RisFile] = []
    for files in _deliveries(exchange):
        archived = [_archive_path(exchange, one) for one in files]
        landed += _land(files, archived)
        for one, path in zip(files, archived, strict=True):
            exchange.move(one.file.path, path)
        read += files
    return LandedFiles(tuple(landed), len(read), sum(not one.judged.is_accepted for one in read))


def _deliveries(exchange: Exchange) -> Iterator[list[RisFile]]:
    """Outcomes with their attempts, and follow-ups, in the order in which RIS numbered them."""
    outcomes, attempts, followups = (_named(exchange, name) for name in (OUTCOMES, ATTEMPTS, FOLLOWUPS))
    for key in sorted(outcomes.keys() & attempts.keys()):
        yield [_read(exchange, OUTCOMES, key, outcomes[key]), _read(exchange, ATTEMPTS, key, attempts[key])]
    for key in sorted(followups):
        yield [_read(exchange, FOLLOWUPS, key, followups[key])]
    waiting = outcomes.keys() ^ attempts.keys()
    if waiting:
        logger.info("inbox/ris: %s deliveries wait for their outcomes or attempts file", len(waiting))


def _named(exchange: Exchange, contract_name: str) -> dict[tuple[Month, int], ExchangeFile]:
    contract = load_contract(contract_name)
    named = {file: contract.read_file_name(file.name) for file in exchange.files(contract.folder)}
    return {(name.month, name.sequence): file for file, name in named.items() if name}


def _read(exchange: Exchange, contract_name: str, key: tuple[Month, int], file: ExchangeFile) -> RisFile:
    contract = load_contract(contract_name)
    data = exchange.read(file.path)
    return RisFile(file, contract, *key, hashlib.sha256(data).hexdigest(), read_delivery(contract, file.name, data))


def _land(files: list[RisFile], archived: list[str]) -> list[Landed]:
    """One transaction: the items, what is set aside, and what became of each file; nothing when a file is refused."""
    with connect(Role.LOADER) as connection:
        for one, path in zip(files, archived, strict=True):
            _record_delivery(connection, one, path)
        if not all(one.judged.is_accepted for one in files):
            # half a delivery is none: outcomes without their attempts would be billed and closed wrongly
            for one in files:
                logger.warning("%s: %s", one.file.name, one.judged.rejection or "its companion is refused")
            return []
        if files[0].contract.name == FOLLOWUPS:
            items, bad = read_followups(_items(files[0]))
            return [land_followups(connection, items, [*bad, *_set_aside(files[0], "followup")], "file", None)]
        items, bad = _outcomes_with_attempts(*files)
        outcomes, unreadable = read_outcomes(items)
        return [land_outcomes(connection, outcomes, [*bad, *unreadable], "file", None)]


def _outcomes_with_attempts(outcomes: RisFile, attempts: RisFile) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """The outcomes as the API shows them: flattened fields back in their places, attempts inside."""
    rows = list(_items(outcomes))
    newest: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: datetime.fromisoformat(row["updated_at"])):
        newest[row["outcome_id"]] = row["updated_at"]
    by_version: dict[tuple[str, datetime], list[dict[str, Any]]] = {}
    for attempt in _items(attempts):
        version = attempt.get("updated_at") or newest.get(attempt["outcome_id"])
        if version:
            key = (attempt["outcome_id"], datetime.fromisoformat(version))
            by_version.setdefault(key, []).append(attempt)
    spoiled = {row.get("outcome_id") for row in _bad_rows(attempts).values()}
    items, bad = [], _set_aside(outcomes, "outcome")
    for row in rows:
        item = _like_the_api(row)
        item["attempts"] = by_version.get((row["outcome_id"], datetime.fromisoformat(row["updated_at"])), [])
        if row["outcome_id"] in spoiled:
            bad.append(rejected("outcome", "outcome_id", item, "attempts_invalid"))
        else:
            items.append(item)
    return items, bad


def _like_the_api(row: Mapping[str, Any]) -> dict[str, Any]:
    callback = {name: row.get(f"callback_{name}") for name in ("part_of_day", "from", "until", "on")}
    item = {name: value for name, value in row.items() if not name.startswith("callback_")}
    item["preferred_callback"] = callback if any(callback.values()) else None
    return item


def _items(one: RisFile) -> Iterator[dict[str, Any]]:
    """The good rows as JSON would hold them."""
    names = [column.name for column in one.contract.columns]
    for values in one.judged.rows[names].itertuples(index=False, name=None):
        yield {name: _as_json(value) for name, value in zip(names, values, strict=True)}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value


def _set_aside(one: RisFile, kind: str) -> list[Rejected]:
    """The quarantined rows as they stand in the file, each with all its reasons."""
    rows = _bad_rows(one)
    reasons = dict(zip(one.judged.quarantined["line_number"], one.judged.quarantined["reasons"], strict=True))
    return [rejected(kind, f"{kind}_id", row, "+".join(reasons[line])) for line, row in rows.items()]


def _bad_rows(one: RisFile) -> dict[int, dict[str, str]]:
    """By line number, the quarantined rows under their column names."""
    opened = one.judged.opened
    place = {int(line): index for index, line in enumerate(opened.line_numbers)}
    return {
        int(line): dict(zip(opened.header, opened.rows[place[int(line)]], strict=True))
        for line in one.judged.quarantined["line_number"]
    }


def _record_delivery(connection: psycopg.Connection, one: RisFile, archived_as: str) -> None:
    judged, rejection = one.judged, one.judged.rejection
    connection.execute(
        """
        insert into ops.deliveries
            (delivery_id, contract, contract_version, file_name, sha256, signal_month, sequence, status, reason_code,
            reason_detail, warnings, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate, archived_as)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (delivery_id) do nothing
        """,
        (
            one.delivery_id, one.contract.reference, one.contract.version, one.file.name, one.sha256, str(one.month),
            one.sequence, "rejected" if rejection else "loaded", rejection.code if rejection else None,
            rejection.detail if rejection else None,
            json.dumps([{"code": warning.code, "detail": warning.detail} for warning in judged.warnings]),
            judged.rows_in_file, len(judged.rows), len(judged.quarantined), len(judged.duplicates), archived_as,
        ),
    )  # fmt: skip


def _archive_path(exchange: Exchange, one: RisFile) -> str:
    """Every file that came in is kept: a second one of the same name does not replace the first."""
    path = f"archive/{one.month}/{one.file.name}"
    return f"archive/{one.month}/{one.delivery_id}_{one.file.name}" if exchange.exists(path) else path
