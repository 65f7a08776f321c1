"""How a file leaves the platform exactly once per content.

Order, and why a crash at any point loses and repeats nothing:

1. one run at a time per product and month (advisory lock); a second run waits, then finds nothing new;
2. the bytes are made from one snapshot of the warehouse and laid ready beside their destination as `<file>.part`,
   which no recipient reads;
3. one transaction writes the ledger row `prepared` and everything that counts as handed over with it (call records,
   requests), with its line in the two logs (logbook.py). Before this commit nothing happened; after it the file will
   go out, whatever comes;
4. the file becomes visible in one step, then its manifest;
5. the ledger row becomes `delivered`.

A run that finds a `prepared` row completes that one first, with the same bytes. The time a file or manifest carries is
the row's `prepared_at`, so it is the same in every rewrite. A file for a recipient who gave a key is encrypted when it
is prepared (include/outbound/encryption.py); its hash is that of the encrypted bytes, and the ledger keeps both.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from include.exchange.folders import Exchange
from include.months import Month
from include.outbound.encryption import SUFFIX, KeyMissing, key_for
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import sending

logger = logging.getLogger(__name__)


class PreparedFileLost(RuntimeError):
    """A file was prepared, its bytes are gone, and the warehouse no longer says the same."""


@dataclass(frozen=True)
class LedgerRow:
    """One row of ops.exchange_ledger."""

    contract: str
    signal_month: str
    recipient: str
    sequence: int
    file_name: str
    rows: int
    content_sha256: str
    file_sha256: str
    supersedes: str | None
    state: str
    prepared_at: datetime
    #: of a file that goes out encrypted: the key's fingerprint, and the hash of what it holds
    encrypted_to: str | None = None
    plain_sha256: str | None = None


@dataclass(frozen=True)
class Draft:
    """What would go out now. `content_sha256` says what it says (no sequence, no time); `render` makes the bytes."""

    rows: int
    content_sha256: str
    render: Callable[[int, datetime], bytes]
    # what counts as handed over with this file, written in the transaction of the ledger row
    record: Callable[[psycopg.Connection, int, str], None] | None = None
    #: ids of whom the file is about, of any kind: for the processing log
    about: Sequence[str] = ()


DraftOf = Callable[[psycopg.Connection, LedgerRow | None], Draft | None]
AgainOf = Callable[[psycopg.Connection, LedgerRow], Draft | None]


@dataclass(frozen=True)
class Product:
    """One kind of file for one recipient and month."""

    contract: str
    contract_version: str
    recipient: str
    folder: str
    month: Month
    file_name: Callable[[int], str]
    #: what is to go out, given the last file that went out; None when that is nothing
    draft: DraftOf
    #: the file of this ledger row once more, for the case that the bytes laid ready are gone
    again: AgainOf
    #: what the manifest says beside the standard fields; None when the product has no manifest
    manifest: Callable[[psycopg.Connection, LedgerRow], Mapping[str, Any]] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.contract, str(self.month), self.recipient

    def path(self, file_name: str) -> str:
        return f"{self.folder}/{file_name}"


@dataclass(frozen=True)
class DeliverySummary:
    """What one call delivered; counts and names only. `sequence` is None when there was nothing new."""

    contract: str
    month: str
    recipient: str
    sequence: int | None = None
    file: str | None = None
    rows: int = 0
    completed_earlier: int = 0


def deliver(product: Product) -> DeliverySummary:
    """Complete what an earlier run left prepared, then hand over what is new, once."""
    exchange = Exchange.from_settings()
    with one_at_a_time("|".join(product.key)):
        left = _ledger(product, "prepared")
        for row in left:
            _complete(exchange, product, row)
        row = _prepare(exchange, product)
        if row is None:
            return DeliverySummary(*product.key, completed_earlier=len(left))
        _complete(exchange, product, row)
    logger.info("%s %s for %s: sequence %s, %s rows", *product.key, row.sequence, row.rows)
    return DeliverySummary(*product.key, row.sequence, product.path(row.file_name), row.rows, len(left))


def whole_content(contents: Callable[[psycopg.Connection], Draft | None]) -> tuple[DraftOf, AgainOf]:
    """`draft` and `again` of a product whose file always holds everything: only other content is something new."""

    def draft(connection: psycopg.Connection, last: LedgerRow | None) -> Draft | None:
        now = contents(connection)
        return None if now is None or (last and last.content_sha256 == now.content_sha256) else now

    return draft, lambda connection, row: contents(connection)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Two runs at once of the same thing: the second waits until the first is done (or dead)."""
    with connect(Role.EXPORTER, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('vs:outbound'), hashtext(%s))", (what,))
        yield  # the lock ends with the connection


def _ledger(product: Product, state: str | None = None) -> list[LedgerRow]:
    with connect(Role.EXPORTER) as connection, connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
        return cursor.execute(
            """
            select
                contract, signal_month, recipient, sequence, file_name, rows, content_sha256, file_sha256, supersedes,
                state, prepared_at, encrypted_to, plain_sha256
            from ops.exchange_ledger
            where contract = %s and signal_month = %s and recipient = %s and state = coalesce(%s, state)
            order by sequence
            """,
            (*product.key, state),
        ).fetchall()


def _prepare(exchange: Exchange, product: Product) -> LedgerRow | None:
    rows = _ledger(product)
    last = rows[-1] if rows else None
    with connect(Role.EXPORTER) as connection:
        # one snapshot for the list and what is known to have gone out
        connection.execute("set transaction isolation level repeatable read")
        draft = product.draft(connection, last)
        if draft is None:
            return None
        (prepared_at,) = connection.execute("select date_trunc('second', now())").fetchone()
        sequence = last.sequence + 1 if last else 1
        plain = draft.render(sequence, prepared_at)
        key = key_for(product.folder)
        file_name = product.file_name(sequence) + (SUFFIX if key else "")
        data = key.encrypted(plain) if key else plain
        exchange.write(_ready(product, file_name), data)
        row = LedgerRow(
            *product.key, sequence, file_name, draft.rows, draft.content_sha256, sha256(data),
            last.file_name if last else None, "prepared", prepared_at, key.fingerprint if key else None,
            sha256(plain) if key else None,
        )  # fmt: skip
        connection.execute(
            """
            insert into ops.exchange_ledger
                (contract, signal_month, recipient, sequence, file_name, rows, content_sha256, file_sha256, supersedes,
                state, prepared_at, encrypted_to, plain_sha256)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            (
                row.contract, row.signal_month, row.recipient, row.sequence, row.file_name, row.rows,
                row.content_sha256, row.file_sha256, row.supersedes, row.state, row.prepared_at, row.encrypted_to,
                row.plain_sha256,
            ),
        )  # fmt: skip
        if draft.record:
            draft.record(connection, sequence, file_name)
        sending(product.contract, product.path(file_name), draft.about).done(connection)
    return row


def _complete(exchange: Exchange, product: Product, row: LedgerRow) -> None:
    destination, ready = product.path(row.file_name), _ready(product, row.file_name)
    if _holds(exchange, ready, row.file_sha256):
        exchange.move(ready, destination)
    elif not _holds(exchange, destination, row.file_sha256):
        row, data = _made_again(product, row)
        exchange.write(destination, data)
    if product.manifest:
        exchange.write(product.path(manifest_name(row.file_name)), _manifest(product, row))
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "update ops.exchange_ledger set state = 'delivered', delivered_at = now() "
            "where contract = %s and signal_month = %s and recipient = %s and sequence = %s",
            (*product.key, row.sequence),
        )


def _made_again(product: Product, row: LedgerRow) -> tuple[LedgerRow, bytes]:
    """The bytes once more, with their row: encrypting again gives other bytes, and the ledger learns of them first."""
    with connect(Role.EXPORTER) as connection:
        draft = product.again(connection, row)
    plain = draft.render(row.sequence, row.prepared_at) if draft else b""
    if sha256(plain) != (row.plain_sha256 or row.file_sha256):
        raise PreparedFileLost(
            f"{product.path(row.file_name)} was prepared but never became visible, its bytes "
            f"({_ready(product, row.file_name)}) are gone, and the warehouse has changed since. Put the file back from "
            "the backup of the exchange folders and run this task again; nothing else of this kind is sent before."
        )
    if row.plain_sha256 is None:
        return row, plain
    key = key_for(product.folder)
    if key is None:
        raise KeyMissing(
            f"{product.path(row.file_name)} was prepared for the key {row.encrypted_to}, and {product.folder} now gets "
            "its files as they are. Put the key back and run this task again; change it after this file is out."
        )
    data = key.encrypted(plain)
    row = replace(row, file_sha256=sha256(data), encrypted_to=key.fingerprint)
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "update ops.exchange_ledger set file_sha256 = %s, encrypted_to = %s "
            "where contract = %s and signal_month = %s and recipient = %s and sequence = %s and state = 'prepared'",
            (row.file_sha256, row.encrypted_to, *product.key, row.sequence),
        )
    return row, data


def _manifest(product: Product, row: LedgerRow) -> bytes:
    with connect(Role.EXPORTER) as connection:
        more = product.manifest(connection, row)
    manifest = {
        "contract": product.contract,
        "version": product.contract_version,
        "month": row.signal_month,
        "sequence": row.sequence,
        "file": row.file_name,
        "rows": row.rows,
        "sha256": row.file_sha256,
        "created_at": _local_iso(row.prepared_at),
        "supersedes": row.supersedes,
        **more,
    }
    if row.encrypted_to:
        manifest["encryption"] = {"method": "OpenPGP", "key": row.encrypted_to, "plain_sha256": row.plain_sha256}
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


def _local_iso(moment: datetime) -> str:
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo("Europe/Amsterdam")).isoformat(timespec="seconds")


def manifest_name(file_name: str) -> str:
    return file_name.removesuffix(SUFFIX).rsplit(".", 1)[0] + ".manifest.json"


def _ready(product: Product, file_name: str) -> str:
    return product.path(file_name + ".part")


def _holds(exchange: Exchange, path: str, file_sha256: str) -> bool:
    return exchange.exists(path) and sha256(exchange.read(path)) == file_sha256
