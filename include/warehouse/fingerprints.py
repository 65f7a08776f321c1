"""One hash over everything the marts say about a month: `month_fingerprint(month)`.

Rule: every row of the month in every table and view of `marts` that has a month, every column that says something, in a
fixed order. Reason: "the same month gives the same numbers" must be checkable in one comparison, after a rerun, a
restart or a restore, and years later on what was kept of a closed version (`kept_fingerprint`). Marts hold no audit
columns, so nothing is left out; a new mart joins by itself. Empty columns and empty tables say nothing, so a column or
mart that came later does not change the hash of a month that was closed before.
Which tables have a month, and in which column, is said by the function `closed.monthly_tables` (migration 009).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import psycopg
from psycopg import sql

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect


class NothingToFingerprint(RuntimeError):
    """There are no marts with a month yet."""


def month_fingerprint(month: Month) -> str:
    """The sha256 of the month's marts, as hex; the same rows give the same hash, however they were written."""
    with connect(Role.BI_READER) as connection:
        hashes = table_fingerprints(connection, month)
    if not hashes:
        raise NothingToFingerprint(
            f"marts has no rows of {month}. Build the stage `marts` of {month} first, then take its fingerprint."
        )
    return _of_all(hashes)


def kept_fingerprint(month: Month, version: int) -> str | None:
    """The same hash over what was kept when this version was closed; None when nothing was."""
    with connect(Role.BI_READER) as connection:
        hashes = _fingerprints(connection, "closed", month, version)
    return _of_all(hashes) if hashes else None


def table_fingerprints(connection: psycopg.Connection, month: Month) -> dict[str, str]:
    """The hash of each mart with rows, by name: where two fingerprints differ, this says which mart does."""
    return _fingerprints(connection, "marts", month)


def _fingerprints(
    connection: psycopg.Connection, schema: str, month: Month, version: int | None = None
) -> dict[str, str]:
    tables = connection.execute("select table_name, month_column from closed.monthly_tables(%s)", (schema,)).fetchall()
    if not tables:
        return {}
    # how a moment is written depends on the session's time zone; it must not depend on the reader's
    connection.execute("set local timezone to 'UTC'")
    each = [_hash_of(schema, table, column, version is not None) for table, column in tables]
    rows = connection.execute(sql.SQL(" union all ").join(each), {"month": str(month), "version": version}).fetchall()
    return {table: digest for table, digest in rows if digest is not None}


def _of_all(hashes: Mapping[str, str]) -> str:
    lines = "".join(f"{table} {digest}\n" for table, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _hash_of(schema: str, table: str, month_column: str, is_version: bool) -> sql.Composed:
    """Rows are hashed one by one and the sorted hashes together, so that no row text of a month is held at once."""
    return sql.SQL(
        "select {name}, encode(sha256(convert_to(string_agg(one, '' order by one), 'UTF8')), 'hex')"
        " from (select encode(sha256(convert_to("
        "jsonb_strip_nulls(to_jsonb(kept) - 'closed_version')::text, 'UTF8')), 'hex') collate \"C\" as one"
        " from {table} as kept where {month} = %(month)s {version}) as rows"
    ).format(
        name=sql.Literal(table),
        table=sql.Identifier(schema, table),
        month=sql.Identifier(month_column),
        version=sql.SQL("and closed_version = %(version)s" if is_version else ""),
    )
