"""Closures to RIS (interfaces §6): one batch, the same one however often it is sent, answered case by case.

Rule: a batch is stored before it leaves, under an id made from month, version and content; RIS gets that id as the
idempotency key, so a repeated call changes nothing. A case RIS has accepted is not sent again, unless a later version
of the month reopened it; a case it rejected only when the proposal says something new about it. Without an API the
batch is a file and the answer another one; a month does not wait for that answer for ever: after
`acknowledgement_wait` it is closed with those cases open, and an answer that comes later is a restatement.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg.rows import class_row

from include.contracts.registry import Contract, load_contract
from include.exchange.folders import Exchange
from include.exchange.ris import ClosureAnswer, RisClient, RisRefused
from include.months import Month
from include.outbound.approvals import require_approval
from include.outbound.csv_file import render_csv
from include.outbound.delivery import Draft, LedgerRow, Product, deliver, one_at_a_time, sha256
from include.settings import Role, Settings
from include.warehouse.closure_ledger import month_is_closed
from include.warehouse.connection import connect
from include.warehouse.logbook import sending
from include.warehouse.restatements import restatement_of

logger = logging.getLogger(__name__)

CONTRACT = "ris_closures"
ACKNOWLEDGEMENT = "ris_closures_ack"
RECIPIENT = "ris"


class AcknowledgementPending(RuntimeError):
    """The closure file is out and RIS has not answered it yet: ask again later."""


class AcknowledgementUnreadable(RuntimeError):
    """RIS's answer cannot be used as it is."""


@dataclass(frozen=True)
class ClosureSummary:
    """How the month's closures stand at RIS; counts only."""

    batch_id: str
    month: str
    version: int
    items: int
    accepted: int
    rejected: int
    #: sent, and not answered by RIS in its time
    unanswered: int = 0


@dataclass(frozen=True)
class Batch:
    batch_id: str
    signal_month: str
    version: int
    items: int
    state: str


@dataclass(frozen=True)
class Item:
    case_id: str
    ddas_result: str
    reason: str
    closed_on: date


def send_closures(month: Month, approved_by: str, client: RisClient | None = None) -> ClosureSummary:
    """Send what is to be closed and store RIS's answer; AcknowledgementPending while a file waits for its answer."""
    if _may_be_sent(month):
        with one_at_a_time(f"{CONTRACT}|{month}|batch"):
            # first the batch an earlier run did not finish, then what has become closable since
            while (batch := _unfinished(month) or _new_batch(month, approved_by)) is not None:
                _finish(month, batch, client)
    with connect(Role.EXPORTER) as connection:
        summary = _summary(connection, month)
    logger.info("closures of %s: %s", month, summary)
    return summary


def send_closures_in_time(month: Month, approved_by: str, client: RisClient | None = None) -> ClosureSummary:
    """`send_closures`, which no longer waits for a file's answer when RIS has had its time."""
    try:
        return send_closures(month, approved_by, client)
    except AcknowledgementPending:
        with connect(Role.EXPORTER) as connection:
            if not _is_overdue(connection, month):
                raise
            summary = _summary(connection, month)
    logger.warning("RIS has had its time for %s: %s cases stay open, awaiting RIS", month, summary.unanswered)
    return summary


def closures_to_send(month: Month) -> int:
    """How many cases would go to RIS now."""
    with connect(Role.EXPORTER) as connection:
        return len(_to_send(connection, month))


def collect_late_acknowledgements() -> list[str]:
    """Store answers that came after their month was closed; the months, which are then to be restated."""
    with connect(Role.EXPORTER) as connection, connection.cursor(row_factory=class_row(Batch)) as cursor:
        silent = cursor.execute(
            "select batch_id, signal_month, version, items, state from ops.closure_batches as batches "
            "where state = 'sent' and exists ("
            "select from ops.closure_ledger as ledger where ledger.signal_month = batches.signal_month) "
            "order by signal_month, version"
        ).fetchall()
    answered = []
    for batch in silent:
        month = Month.parse(batch.signal_month)
        with one_at_a_time(f"{CONTRACT}|{month}|batch"):
            try:
                _finish(month, batch, None)
            except AcknowledgementPending:
                continue
        answered.append(batch.signal_month)
    return answered


def _may_be_sent(month: Month) -> bool:
    """An open month needs its approval; of a closed month only an approved restatement sends something."""
    if not month_is_closed(month):
        require_approval(month, "closure")
        return True
    restatement = restatement_of(month)
    return restatement is not None and restatement.state == "approved"


def _is_overdue(connection: psycopg.Connection, month: Month) -> bool:
    (overdue,) = connection.execute(
        "select coalesce(bool_and(prepared_at + %s <= now()), false) from ops.closure_batches "
        "where signal_month = %s and version = %s and state = 'sent'",
        (Settings.from_environment().acknowledgement_wait, str(month), _next_version(connection, month)),
    ).fetchone()
    return overdue


def _next_version(connection: psycopg.Connection, month: Month) -> int:
    """The version this month is closed as next."""
    (version,) = connection.execute(
        "select coalesce(max(version), 0) + 1 from ops.closure_ledger where signal_month = %s", (str(month),)
    ).fetchone()
    return version


def _unfinished(month: Month) -> Batch | None:
    """A batch of the version at hand without an answer; an older version's silence does not hold up this one."""
    with connect(Role.EXPORTER) as connection:
        version = _next_version(connection, month)
        return _batch(connection, month, f"and state <> 'acknowledged' and version = {version}")


def _batch(connection: psycopg.Connection, month: Month, condition: str = "") -> Batch | None:
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            f"select batch_id, signal_month, version, items, state from ops.closure_batches where signal_month = %s "
            f"{condition} order by version desc, prepared_at desc, batch_id limit 1",
            (str(month),),
        ).fetchone()


def _new_batch(month: Month, approved_by: str) -> Batch | None:
    """Store what is to be closed and was not answered before as the next batch; None when there is nothing to send.

    A version without any closable case gets one empty batch that needs no answer: its ledger entry points to it.
    """
    with connect(Role.EXPORTER) as connection:
        items = _to_send(connection, month)
        version = _next_version(connection, month)
        if not items and _batch(connection, month, f"and version = {version}") is not None:
            return None
        content = render_csv(load_contract(CONTRACT), [_values(item) for item in items])
        batch = Batch(
            f"batch_{sha256(f'{month}|{version}|'.encode() + content)[:20]}", str(month), version, len(items),
            "prepared" if items else "acknowledged",
        )  # fmt: skip
        connection.execute(
            "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state) "
            "values (%s, %s, %s, %s, %s, %s)",
            (batch.batch_id, batch.signal_month, version, approved_by, batch.items, batch.state),
        )
        with connection.cursor().copy(
            "copy ops.closure_items (batch_id, case_id, signal_month, ddas_result, reason, closed_on) from stdin"
        ) as copy:
            for item in items:
                copy.write_row(
                    (batch.batch_id, item.case_id, str(month), item.ddas_result, item.reason, item.closed_on)
                )
    return batch if items else None


def _to_send(connection: psycopg.Connection, month: Month) -> list[Item]:
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            """
            select proposed.case_id, proposed.ddas_result, proposed.reason, proposed.closed_on
            from outbound.out_ris_closures as proposed
            where proposed.signal_month = %(month)s
                and not exists (
                    select from ops.closure_items as known
                    where known.signal_month = %(month)s and known.case_id = proposed.case_id
                        and known.reopened_in_version is null
                        and (
                            known.state = 'accepted'
                            or (known.ddas_result, known.reason, known.closed_on)
                            = (proposed.ddas_result, proposed.reason, proposed.closed_on)
                        )
                )
            order by proposed.case_id
            """,
            {"month": str(month)},
        ).fetchall()


def _finish(month: Month, batch: Batch, client: RisClient | None) -> None:
    """Send the stored batch (again) and store the answer."""
    with connect(Role.EXPORTER) as connection:
        items = _items(connection, batch)
    if Settings.from_environment().ris_by_files:
        answer, acknowledgement = _by_file(month, batch, items)
    else:
        body = [
            {
                "case_id": item.case_id, "ddas_result": item.ddas_result, "reason": item.reason,
                "closed_on": item.closed_on.isoformat(),
            }
            for item in items
        ]  # fmt: skip
        answer, acknowledgement = (client or RisClient()).close(batch.batch_id, str(month), body), None
    _store(batch, items, answer)
    if acknowledgement:
        name = acknowledgement.rsplit("/", 1)[1]
        Exchange.from_settings().move(acknowledgement, f"archive/{month}/{name}")


def _items(connection: psycopg.Connection, batch: Batch) -> list[Item]:
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            "select case_id, ddas_result, reason, closed_on from ops.closure_items where batch_id = %s "
            "order by case_id",
            (batch.batch_id,),
        ).fetchall()


def _store(batch: Batch, items: list[Item], answer: ClosureAnswer) -> None:
    silent = {item.case_id for item in items} - answer.accepted - answer.rejected.keys()
    if silent:
        raise RisRefused(
            f"RIS answered closure batch {batch.batch_id} without {len(silent)} of its {len(items)} cases. Nothing was "
            "recorded; ask RIS's supplier what became of them, then run send_closures again (it sends the same batch)."
        )
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "update ops.closure_items set state = 'accepted' where batch_id = %s and case_id = any(%s)",
            (batch.batch_id, list(answer.accepted)),
        )
        connection.cursor().executemany(
            "update ops.closure_items set state = 'rejected', rejection_reason = %s "
            "where batch_id = %s and case_id = %s",
            [(_code(reason), batch.batch_id, case_id) for case_id, reason in answer.rejected.items()],
        )
        connection.execute(
            "update ops.closure_batches set state = 'acknowledged', acknowledged_at = now() where batch_id = %s",
            (batch.batch_id,),
        )
        # by file, the file is what was sent
        if not Settings.from_environment().ris_by_files:
            sending(CONTRACT, f"RIS {batch.batch_id}", [item.case_id for item in items]).done(connection)


def _code(reason: str) -> str:
    """RIS answers with codes; other text could name somebody, and ops holds no personal data."""
    code = "_".join(reason.strip().lower().replace("-", " ").split())
    is_code = code.replace("_", "").isalnum() and code.isascii() and code[0].isalpha() and len(code) <= 40
    return code if is_code else "rejected_by_ris"


def _summary(connection: psycopg.Connection, month: Month) -> ClosureSummary:
    batch = _batch(connection, month)
    accepted, rejected, unanswered = connection.execute(
        """
        with answered as (
            select distinct on (items.case_id) items.state
            from ops.closure_items as items
            inner join ops.closure_batches as batches on batches.batch_id = items.batch_id
            where items.signal_month = %s
            order by items.case_id, items.state = 'accepted' desc, batches.version desc, batches.prepared_at desc
        )
        select
            count(*) filter (where state = 'accepted'), count(*) filter (where state = 'rejected'),
            count(*) filter (where state = 'sent')
        from answered
        """,
        (str(month),),
    ).fetchone()
    items = accepted + rejected + unanswered
    return ClosureSummary(batch.batch_id, str(month), batch.version, items, accepted, rejected, unanswered)


# -- by file ----------------------------------------------------------------------------------------------------------


def _by_file(month: Month, batch: Batch, items: list[Item]) -> tuple[ClosureAnswer, str]:
    contract = load_contract(CONTRACT)
    data = render_csv(contract, [_values(item) for item in items])
    content_sha256 = sha256(batch.batch_id.encode() + data)

    def draft(connection: psycopg.Connection, last: LedgerRow | None) -> Draft | None:
        # not only the last file: an older version may still wait for its answer
        (is_out,) = connection.execute(
            "select exists (select from ops.exchange_ledger "
            "where contract = %s and signal_month = %s and content_sha256 = %s)",
            (contract.name, str(month), content_sha256),
        ).fetchone()
        about = [item.case_id for item in items]
        return None if is_out else Draft(len(items), content_sha256, lambda sequence, at: data, about=about)

    deliver(
        Product(
            contract=contract.name,
            contract_version=contract.version,
            recipient=RECIPIENT,
            folder=contract.folder,
            month=month,
            file_name=lambda sequence: contract.file_name(month, sequence),
            draft=draft,
            again=lambda connection, row: Draft(len(items), content_sha256, lambda sequence, at: data),
        )
    )
    with connect(Role.EXPORTER) as connection:
        connection.execute("update ops.closure_batches set state = 'sent' where batch_id = %s", (batch.batch_id,))
        (sequence,) = connection.execute(
            "select sequence from ops.exchange_ledger "
            "where contract = %s and signal_month = %s and content_sha256 = %s",
            (contract.name, str(month), content_sha256),
        ).fetchone()
    return _acknowledgement(month, sequence, contract)


def _acknowledgement(month: Month, sequence: int, contract: Contract) -> tuple[ClosureAnswer, str]:
    """RIS's answer file: where its contract says, or beside the batch."""
    answered = load_contract(ACKNOWLEDGEMENT)
    name = answered.file_name(month, sequence)
    exchange = Exchange.from_settings()
    for folder in (answered.folder, contract.folder):
        for file in exchange.files(folder):
            if file.name == name:
                return _read_acknowledgement(answered, name, exchange.read(file.path)), file.path
    raise AcknowledgementPending(
        f"RIS has not answered {contract.folder}/{contract.file_name(month, sequence)} yet; "
        f"{answered.folder}/{name} is awaited. The batch stays as it is; run send_closures again when it is there."
    )


def _read_acknowledgement(contract: Contract, name: str, data: bytes) -> ClosureAnswer:
    from include.ingest.reading import read_delivery

    judged = read_delivery(contract, name, data)
    if judged.rejection or len(judged.quarantined):
        what = (
            judged.rejection.detail
            if judged.rejection
            else f"{len(judged.quarantined)} rows break {contract.reference}"
        )
        raise AcknowledgementUnreadable(
            f"{name} cannot be used: {what}. Nothing was recorded; ask RIS's supplier for the answer again under the "
            "same name, then run send_closures."
        )
    answers = list(judged.rows[["case_id", "accepted", "reason"]].itertuples(index=False, name=None))
    return ClosureAnswer(
        accepted=frozenset(case_id for case_id, accepted, _ in answers if accepted),
        rejected={case_id: reason or "no_reason_given" for case_id, accepted, reason in answers if not accepted},
    )


def _values(item: Item) -> tuple[str, str, str, date]:
    return item.case_id, item.ddas_result, item.reason, item.closed_on
