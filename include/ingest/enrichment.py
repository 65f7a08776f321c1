"""The answers of the enrichment provider: telephone numbers for persons whose partner gave none (interfaces §4).

Rule: an answer is taken only to a question of ours of that month; a number that cannot be called counts as not found. A
number never replaces a partner's own (dbt keeps them side by side with their source).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from include.contracts.registry import Contract, load_contract
from include.exchange.folders import Exchange
from include.ingest.booking import LOADED, REJECTED, UNCHANGED, Arrival, DeliverySummary, take_in
from include.ingest.reading import JudgedDelivery, withhold
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

CONTRACT = "enrichment_result"
SENDER = "enrichment"
RECEIPTS = "outbox/enrichment"
UNKNOWN_REQUEST = "request_id_unknown"


@dataclass(frozen=True)
class LoadedResults:
    """What the answers in the inbox brought."""

    files_loaded: int
    files_rejected: int
    files_unchanged: int
    rows_loaded: int
    rows_quarantined: int
    rows_duplicate: int


def enrichment_answered(month: Month) -> bool:
    """True when every request file of the month has its answer, loaded or in the inbox."""
    with connect(Role.LOADER) as connection:
        asked = {
            sequence
            for (sequence,) in connection.execute(
                "select distinct sequence from ops.enrichment_requests where signal_month = %s", (str(month),)
            )
        }
        answered = {
            sequence
            for (sequence,) in connection.execute(
                "select sequence from ops.deliveries where contract like %s and signal_month = %s and status = %s",
                (f"{CONTRACT}-v%", str(month), LOADED),
            )
        }
    if asked <= answered:
        return True
    contract = load_contract(CONTRACT)
    for file in Exchange.from_settings().files(contract.folder):
        named = contract.read_file_name(file.name)
        if named and named.month == month:
            answered.add(named.sequence)
    return asked <= answered


def load_enrichment_results(month: Month) -> LoadedResults:
    """Take in the answers of the month, and files whose name says no month; a bad file does not stop the others."""
    exchange, contract = Exchange.from_settings(), load_contract(CONTRACT)
    taken = [
        _take_in(exchange, contract, file.path, file.name, month)
        for file in exchange.files(contract.folder)
        if (named := contract.read_file_name(file.name)) is None or named.month == month
    ]
    loaded = [summary for summary in taken if summary.status == LOADED]
    return LoadedResults(
        files_loaded=len(loaded),
        files_rejected=sum(summary.status == REJECTED for summary in taken),
        files_unchanged=sum(summary.status == UNCHANGED for summary in taken),
        rows_loaded=sum(summary.rows_loaded for summary in loaded),
        rows_quarantined=sum(summary.rows_quarantined for summary in loaded),
        rows_duplicate=sum(summary.rows_duplicate for summary in loaded),
    )


def _take_in(exchange: Exchange, contract: Contract, path: str, name: str, month: Month) -> DeliverySummary:
    from include.ingest.landing import prepare_enrichment_results

    arrival = Arrival(
        path=path,
        sender=SENDER,
        partner=None,
        contract=contract,
        named=contract.read_file_name(name),
        receipts=RECEIPTS,
        month=month,
    )
    return take_in(exchange, arrival, prepare_enrichment_results, _only_what_we_asked)


def _only_what_we_asked(judged: JudgedDelivery, month: Month) -> JudgedDelivery:
    """Answers to requests we did not make this month are held back."""
    with connect(Role.LOADER) as connection:
        rows = connection.execute(
            "select request_id from ops.enrichment_requests where signal_month = %s", (str(month),)
        )
        asked = {request_id for (request_id,) in rows}
    is_unknown = [request_id not in asked for request_id in judged.good.values_of("request_id")]
    return withhold(judged, np.array(is_unknown, dtype=bool), UNKNOWN_REQUEST)
