"""The keys that BSNs are hashed with, and how a new one takes over: `keep_up_with_keys(connection, settings)`.

Rule: VS_BSN_KEY holds the keys in their order, joined by colons. A BSN is hashed with the first, that hash with the
second, and so on (include/ingest/readers.py). A key that was put behind the others is applied here to every hash that
is stored, in one transaction, when the platform starts; the BSNs themselves are not needed. What was hashed stays
comparable with what comes, and an old key that leaked no longer makes anybody's hash.
A platform whose keys are not those of the warehouse does not start: new signals would recognise nobody.
"""

from __future__ import annotations

import hashlib
import hmac

import psycopg
from psycopg import sql

from include.settings import Settings


class BsnKeyUnknown(RuntimeError):
    """VS_BSN_KEY is not what the hashes in this warehouse were made with."""


def keep_up_with_keys(connection: psycopg.Connection, settings: Settings) -> int:
    """Apply the keys that are new; returns how many. `connection` may change every table."""
    keys = settings.bsn_keys
    connection.execute("lock table ops.bsn_keys in exclusive mode")
    known = [
        fingerprint
        for (fingerprint,) in connection.execute("select fingerprint from ops.bsn_keys order by position").fetchall()
    ]
    if not known:
        known = [_remember(connection, 1, keys[0])]
    if known != [_fingerprint(key) for key in keys[: len(known)]]:
        raise BsnKeyUnknown(
            f"The hashes of BSNs in this warehouse were made with {len(known)} key(s), and VS_BSN_KEY does not begin "
            "with them: new signals would recognise nobody. Nothing was changed. Put the old keys back, before the new "
            "one, joined by a colon (docs/how-to/rotate-keys.md)."
        )
    for position, key in enumerate(keys[len(known) :], start=len(known) + 1):
        _hash_once_more(connection, key)
        _remember(connection, position, key)
    return len(keys) - len(known)


def _remember(connection: psycopg.Connection, position: int, key: bytes) -> str:
    connection.execute(
        "insert into ops.bsn_keys (position, fingerprint) values (%s, %s)", (position, _fingerprint(key))
    )
    return _fingerprint(key)


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"fingerprint of a bsn key\0" + key).hexdigest()


def _hash_once_more(connection: psycopg.Connection, key: bytes) -> None:
    tables = connection.execute(
        "select n.nspname, c.relname from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
        " inner join pg_attribute as a on a.attrelid = c.oid and a.attname = 'bsn_key' and not a.attisdropped"
        " where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' order by 1, 2"
    ).fetchall()
    connection.execute("create temporary table rehashed (before text primary key, after text not null) on commit drop")
    # what was erased for somebody is no hash of a BSN
    stored = sql.SQL(" union ").join(
        sql.SQL("select bsn_key from {} where bsn_key ~ '^[0-9a-f]{{64}}$'").format(sql.Identifier(*table))
        for table in tables
    )
    with connection.cursor() as cursor:
        hashes = cursor.execute(stored).fetchall() if tables else []
        with cursor.copy("copy rehashed (before, after) from stdin") as copy:
            for (before,) in hashes:
                copy.write_row((before, hmac.digest(key, before.encode(), "sha256").hex()))
    for table in tables:
        connection.execute(
            sql.SQL(
                "update {} as t set bsn_key = rehashed.after from rehashed where t.bsn_key = rehashed.before"
            ).format(sql.Identifier(*table))
        )
    connection.execute("drop table rehashed")
