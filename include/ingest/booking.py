"""Take one file in: judge it, book it, answer it, archive it. The same for every sender.

Rule: the rows of a delivery and its line in `ops.deliveries` are one transaction; the receipt and the move to the
archive follow it. So there is no moment at which a killed process leaves half a delivery:
  before the commit   nothing is there, the file is still in the inbox, the next run takes it in;
  after the commit    everything is there, the file is still in the inbox, the next run recognises it and finishes.
A file whose very bytes are known is recorded (`ops.repeated_deliveries`) and changes nothing; a file that was refused
is judged again when it comes again, because its contract or its name may have been repaired.
A file is judged part by part, and a part is written while the next one is judged; whether too many rows are bad shows
at the end, and takes everything back.
Reason: "was this delivery loaded?" must have one answer at any time, for anybody who looks.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import PurePosixPath
from typing import BinaryIO

import psycopg

from include.contracts.registry import Contract, FileName
from include.exchange.folders import Exchange
from include.ingest import landing
from include.ingest.findings import Findings
from include.ingest.opening import FILE_HEADER, FileRefused, too_large
from include.ingest.readers import fields_filled
from include.ingest.reading import JudgedDelivery, Rejection, judge_parts, too_many_bad_rows
from include.ingest.receipts import receipt, receipt_path
from include.ingest.receiving import receiving_month
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

logger = logging.getLogger(__name__)

FILE_NAME = "file_name"
LATE = "late"
# so many parts wait to be written while the next is judged
PARTS_IN_HAND = 2
LOADED, REJECTED, UNCHANGED = "loaded", "rejected", "unchanged"

MakeReady = Callable[[JudgedDelivery], landing.Ready]
Prepare = Callable[[psycopg.Connection, Contract, str, Month], MakeReady]
Review = Callable[[JudgedDelivery, Month], JudgedDelivery]


@dataclass(frozen=True)
class DeliverySummary:
    """What became of one file: counts and codes only."""

    delivery_id: str
    contract: str
    partner: str | None
    file_name: str
    signal_month: str
    named_month: str | None
    status: str
    reason_code: str | None
    reason_detail: str | None
    rows_in_file: int
    rows_loaded: int
    rows_quarantined: int
    rows_duplicate: int
    is_late: bool
    archived_as: str
    receipt: str


@dataclass(frozen=True)
class Arrival:
    """A file that arrived, and what its place and name say; `month` takes it in, `named` says what it is of."""

    path: str
    sender: str
    partner: str | None
    contract: Contract | None
    named: FileName | None
    receipts: str
    month: Month
    # what to tell beside a refusal: which other versions of the contract were tried, or why there is none
    besides: str = ""
    delivered_on: date | None = None
    due_on: date | None = None

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def contract_reference(self) -> str:
        return self.contract.reference if self.contract else "unknown"

    @property
    def is_late(self) -> bool:
        """True when the month it is named after was over before it came."""
        return self.named is not None and self.named.month != self.month


@dataclass(frozen=True)
class _Delivered:
    """A delivery at hand: its fingerprint, and its judged parts or why there are none."""

    sha256: str
    delivery_id: str
    rejection: Rejection | None
    parts: Iterable[JudgedDelivery] = ()

    @property
    def is_opened(self) -> bool:
        """False when its name was enough to refuse it."""
        return self.rejection is None or self.rejection.code != FILE_NAME


def take_in(
    exchange: Exchange,
    arrival: Arrival,
    prepare: Prepare,
    review: Review | None = None,
) -> DeliverySummary:
    """Book one file; safe to run again at any point. A bad file is a result, not an error.

    What `prepare` gives for a delivery makes its good rows ready; that and `review` get it part by part.
    """
    with _one_at_a_time(arrival.path) as connection, _without_collections():
        if not exchange.exists(arrival.path):
            return _booked_before(arrival)
        with _delivered(exchange, arrival, review) as delivered:
            summary, findings = _book(connection, exchange, arrival, delivered, prepare)
        exchange.write(summary.receipt, receipt(_for_sender(summary, delivered.sha256), findings))
        exchange.move(arrival.path, summary.archived_as)
        logger.info(
            "%s of %s: %s (%s in file, %s loaded, %s quarantined, %s duplicate)",
            summary.contract, summary.signal_month, summary.reason_code or summary.status,
            summary.rows_in_file, summary.rows_loaded, summary.rows_quarantined, summary.rows_duplicate,
        )  # fmt: skip
        return summary


@contextmanager
def _one_at_a_time(path: str) -> Iterator[psycopg.Connection]:
    """Two runs that found the same file: the second waits until the first has archived it, and finds it in the books.

    Otherwise it would have read the file before it went, and book the very same file as one that came twice.
    """
    with connect(Role.LOADER, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('vs:delivery'), hashtext(%s))", (path,))
        yield connection  # the lock ends with it, also when this process is killed


@contextmanager
def _without_collections() -> Iterator[None]:
    """Nothing is looked for that could be thrown away: that costs a walk over all a process ever loaded, for the few
    rings of objects a delivery makes."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _delivered(exchange: Exchange, arrival: Arrival, review: Review | None) -> Iterator[_Delivered]:
    """The file with its fingerprint; opened as far as its first part."""
    contract, salt = arrival.contract, _salt(arrival)
    if contract is None or arrival.named is None:
        yield _Delivered(*_fingerprints(exchange, arrival), _name_refused(arrival))
        return
    if exchange.size(arrival.path) > contract.format.max_bytes:
        yield _Delivered(*_fingerprints(exchange, arrival), _refused(arrival, too_large(contract)))
        return
    # what is judged is what was fingerprinted, whatever happens in the inbox meanwhile
    with exchange.copy_at_hand(arrival.path, salt) as (file, digests):
        parts = _judged_parts(arrival, contract, file, review)
        try:
            first = next(parts)
        except FileRefused as refusal:
            sha256, salted = digests()
            yield _Delivered(sha256, _delivery_id(salted), _refused(arrival, refusal))
            return
        sha256, salted = digests()
        if not first.rows_in_file:
            # a file without rows looks the same every month and is a delivery of each
            salted = hashlib.sha256(f"{salted}|{arrival.month}".encode()).hexdigest()
        yield _Delivered(sha256, _delivery_id(salted), None, itertools.chain([first], parts))


def _fingerprints(exchange: Exchange, arrival: Arrival) -> tuple[str, str]:
    """Of a file whose rows nobody reads: taken while it streams by, however large it is."""
    sha256, salted = exchange.digests(arrival.path, _salt(arrival))
    return sha256, _delivery_id(salted)


def _judged_parts(
    arrival: Arrival, contract: Contract, file: BinaryIO, review: Review | None
) -> Iterator[JudgedDelivery]:
    for part in judge_parts(contract, arrival.file_name, file):
        yield review(part, arrival.month) if review else part


def _refused(arrival: Arrival, refusal: FileRefused) -> Rejection:
    """The refusal; one of the header names the other versions of the contract that do not fit either."""
    is_told_besides = refusal.code == FILE_HEADER and arrival.besides
    return Rejection(refusal.code, f"{refusal.detail}; {arrival.besides}" if is_told_besides else refusal.detail)


def _salt(arrival: Arrival) -> bytes:
    kind = arrival.contract.name if arrival.contract else "unknown"
    return f"{arrival.sender}|{kind}|".encode()


def _delivery_id(digest: str) -> str:
    return f"dlv_{digest[:20]}"


def _name_refused(arrival: Arrival) -> Rejection:
    if arrival.contract is None and arrival.besides:
        return Rejection(FILE_NAME, f"{arrival.besides}; mend validFrom or validTo, or rename the file")
    if arrival.contract is None:
        detail = f"there is no contract for the folder {arrival.sender}; a partner is known by its contract file"
        return Rejection(FILE_NAME, detail)
    wanted = arrival.contract.file_name_template
    return Rejection(FILE_NAME, f"the name must be {wanted} with the signal month as YYYYMM; rename the file")


def _book(
    connection: psycopg.Connection,
    exchange: Exchange,
    arrival: Arrival,
    delivered: _Delivered,
    prepare: Prepare,
) -> tuple[DeliverySummary, Findings | None]:
    """The delivery in the books, and what was found in it (None when its rows were not looked at, or before).

    All of it is one transaction of the connection that holds the file.
    """
    delivery_id = delivered.delivery_id
    with connection.transaction():
        # two runs that found the same file wait for each other here
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (delivery_id,))
        if arrival.partner is not None:
            arrival = replace(arrival, month=receiving_month(connection, arrival.month))
        known = _recorded(connection, "delivery_id = %s", (delivery_id,))
        archived_as = _archive_path(exchange, arrival, delivery_id, delivered.sha256)
        if known and known.status == LOADED:
            if known.file_name == arrival.file_name and not exchange.exists(known.archived_as):
                # taken in by a run that did not live to archive it
                return known, _found(delivered)
            return _book_repeated(connection, arrival, known, archived_as), None
        rejection, findings = _load(connection, arrival, delivered, prepare)
        if known and rejection and known.reason_code == rejection.code and exchange.exists(known.archived_as):
            repeated = _book_repeated(connection, arrival, known, archived_as)
            return repeated, findings if delivered.is_opened else None
        summary = _new_summary(arrival, findings, rejection, delivery_id, archived_as)
        _record(connection, arrival, findings, summary, delivered.sha256)
        return summary, findings if delivered.is_opened else None


def _found(delivered: _Delivered) -> Findings:
    """What is in the rows, without writing them."""
    findings = Findings()
    for part in delivered.parts:
        findings.add(part)
    return findings


def _load(
    connection: psycopg.Connection,
    arrival: Arrival,
    delivered: _Delivered,
    prepare: Prepare,
) -> tuple[Rejection | None, Findings]:
    """Write all rows of an accepted file; of a refused one nothing stays."""
    findings, rejection = Findings(), delivered.rejection
    if rejection is not None or arrival.contract is None:
        return rejection, findings
    try:
        with connection.transaction() as attempt:
            make_ready = prepare(connection, arrival.contract, delivered.delivery_id, arrival.month)
            _write_parts(connection, arrival, delivered, make_ready, findings)
            rejection = too_many_bad_rows(
                arrival.contract,
                arrival.file_name,
                findings.quarantined.total,
                findings.rows_in_file,
                findings.other_months,
            )
            if rejection is not None:
                raise psycopg.Rollback(attempt)
    except FileRefused as refusal:
        # a fault far into the file: what was found before it counts no more than what was written
        return _refused(arrival, refusal), Findings()
    return rejection, findings.without_loaded() if rejection else findings


def _write_parts(
    connection: psycopg.Connection,
    arrival: Arrival,
    delivered: _Delivered,
    make_ready: MakeReady,
    findings: Findings,
) -> None:
    """Write a part while the next one is judged and made ready: three are in memory at most.

    Nothing more is done at a time, so that who writes, which takes longest, always has a processor.
    """
    with ThreadPoolExecutor(1, "writing") as writer:
        in_hand: deque[Future[None]] = deque()
        for part in delivered.parts:
            findings.add(part)
            if len(in_hand) == PARTS_IN_HAND:
                in_hand.popleft().result()
            raw = writer.submit(landing.write_raw_rows, connection, part, delivered.delivery_id, arrival.month)
            ready = _both_ready(arrival, part, delivered.delivery_id, make_ready)
            in_hand.append(writer.submit(_write, connection, arrival, part, delivered.delivery_id, raw, ready))
        for writing in in_hand:
            writing.result()


def _both_ready(
    arrival: Arrival, judged: JudgedDelivery, delivery_id: str, make_ready: MakeReady
) -> tuple[landing.Ready, landing.Ready]:
    """The good rows of a part and those held back."""
    late = replace(judged, good=judged.good.flagged(LATE)) if arrival.is_late else judged
    held = landing.ready_quarantined_rows(judged, delivery_id, arrival.sender, arrival.month)
    return make_ready(late), held


def _write(
    connection: psycopg.Connection,
    arrival: Arrival,
    judged: JudgedDelivery,
    delivery_id: str,
    raw: Future[int],
    ready: tuple[landing.Ready, landing.Ready],
) -> None:
    """The judged rows of a part behind its raw ones; the books must balance before anything is kept."""
    written = raw.result()
    kept, held = (landing.write_ready(connection, rows) for rows in ready)
    if not written == judged.rows_in_file == kept + held:
        raise landing.BooksDoNotBalance(
            f"{arrival.contract_reference}: {judged.rows_in_file} rows in the file, {written} raw rows, {kept} loaded "
            f"and {held} held back. Nothing was kept; this is a fault in include/ingest, report it with {delivery_id}."
        )


def _new_summary(
    arrival: Arrival,
    findings: Findings,
    rejection: Rejection | None,
    delivery_id: str,
    archived_as: str,
) -> DeliverySummary:
    is_taken = rejection is None
    return DeliverySummary(
        delivery_id=delivery_id,
        contract=arrival.contract_reference,
        partner=arrival.partner,
        file_name=arrival.file_name,
        signal_month=str(arrival.month),
        named_month=str(arrival.named.month) if arrival.named else None,
        status=LOADED if is_taken else REJECTED,
        reason_code=rejection.code if rejection else None,
        reason_detail=rejection.detail if rejection else None,
        rows_in_file=findings.rows_in_file,
        rows_loaded=findings.loaded if is_taken else 0,
        rows_quarantined=findings.quarantined.total if is_taken else 0,
        rows_duplicate=findings.duplicates.total if is_taken else 0,
        is_late=arrival.is_late,
        archived_as=archived_as,
        receipt=receipt_path(arrival.receipts, arrival.file_name),
    )


_COLUMNS = tuple(DeliverySummary.__dataclass_fields__)


def _record(
    connection: psycopg.Connection,
    arrival: Arrival,
    findings: Findings,
    summary: DeliverySummary,
    sha256: str,
) -> None:
    values = asdict(summary) | {
        "sha256": sha256,
        "contract_version": arrival.contract.version if arrival.contract else None,
        "sequence": arrival.named.sequence if arrival.named else None,
        "warnings": json.dumps(_warnings(findings)),
        "delivered_on": arrival.delivered_on,
        "due_on": arrival.due_on,
        "offered_fields": _offered_fields(arrival.contract) if arrival.contract else None,
    }
    columns = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name != "delivery_id")
    connection.execute(
        f"insert into ops.deliveries ({columns}) values ({places}) "
        f"on conflict (delivery_id) do update set {changes}, received_at = excluded.received_at",
        values,
    )


def _warnings(findings: Findings) -> list[dict[str, object]]:
    """Warnings about the file, and how many rows were loaded without what."""
    warnings: list[dict[str, object]] = [{"code": one.code, "detail": one.detail} for one in findings.warnings]
    counted = sorted(findings.loaded_without.rows_by_code.items())
    return warnings + [{"code": code, "rows": rows} for code, rows in counted]


def _book_repeated(
    connection: psycopg.Connection, arrival: Arrival, known: DeliverySummary, archived_as: str
) -> DeliverySummary:
    connection.execute(
        "insert into ops.repeated_deliveries (delivery_id, file_name, archived_as) values (%s, %s, %s) "
        "on conflict (delivery_id, file_name) do nothing",
        (known.delivery_id, arrival.file_name, archived_as),
    )
    told = asdict(known) | {
        "file_name": arrival.file_name,
        "status": UNCHANGED if known.status == LOADED else known.status,
        "archived_as": archived_as,
        "receipt": receipt_path(arrival.receipts, arrival.file_name),
    }
    if known.status == LOADED:
        told["reason_detail"] = f"the same bytes were loaded for {known.signal_month} as {known.file_name}"
    return DeliverySummary(**told)


def _booked_before(arrival: Arrival) -> DeliverySummary:
    """The file is gone: the run before this one archived it, and what it wrote is the answer."""
    with connect(Role.LOADER) as connection:
        known = _recorded(connection, "file_name = %s and receipt = %s order by received_at desc limit 1", (
            arrival.file_name, receipt_path(arrival.receipts, arrival.file_name)
        ))  # fmt: skip
    if known is None:
        raise FileNotFoundError(f"{arrival.path} is not in the exchange and was never taken in; look who moved it")
    return known


def _recorded(connection: psycopg.Connection, condition: str, values: tuple[str, ...]) -> DeliverySummary | None:
    row = connection.execute(f"select {', '.join(_COLUMNS)} from ops.deliveries where {condition}", values).fetchone()
    return DeliverySummary(*row) if row else None


def _offered_fields(contract: Contract) -> list[str]:
    """The fields a file of this contract can fill; a telephone number counts as one."""
    return sorted(
        {
            field
            for column in contract.columns
            for field in (("phone",) if column.reader == "phone" else fields_filled(column))
        }
    )


def _archive_path(exchange: Exchange, arrival: Arrival, delivery_id: str, sha256: str) -> str:
    """`archive/<month>/<file>`; another file of that name gets its delivery's id behind the name."""
    name, folder = PurePosixPath(arrival.file_name), f"archive/{arrival.month}"
    plain = f"{folder}/{name}"
    if arrival.named is None or (exchange.exists(plain) and exchange.digests(plain, b"")[0] != sha256):
        return f"{folder}/{name.stem}.{delivery_id.removeprefix('dlv_')}{name.suffix}"
    return plain


def _for_sender(summary: DeliverySummary, sha256: str) -> dict[str, object]:
    """What the sender is told about the file."""
    ours = {"delivery_id", "archived_as", "receipt", "partner"}
    return {name: value for name, value in asdict(summary).items() if name not in ours} | {"sha256": sha256}
