"""One hash over everything the marts say about a month: `month_fingerprint(month)`.

Rule: every row of the month in every table and view of `marts` that has a month (`signal_month`, or `period`), every
column, in a fixed order. Reason: "the same month gives the same numbers" must be checkable in one comparison, after a
rerun, a restart or a restore. Marts hold no audit columns, so nothing is left out; a new mart joins by itself.
"""

from __future__ import annotations

import hashlib

import psycopg
from psycopg import sql

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

MONTH_COLUMNS = ("signal_month", "period")


class NothingToFingerprint(RuntimeError):
    """There are no marts with a month yet."""


def month_fingerprint(month: Month) -> str:
    """The sha256 of the month's marts, as hex; the same rows give the same hash, however they were written."""
    with connect(Role.BI_READER) as connection:
        hashes = table_fingerprints(connection, month)
    if not hashes:
        raise NothingToFingerprint("marts has no table with a month. Build the stage `marts` of a month first.")
    lines = "".join(f"{table} {digest}\n" for table, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def table_fingerprints(connection: psycopg.Connection, month: Month) -> dict[str, str]:
    """The hash of each mart, by name: where two fingerprints differ, this says which mart does."""
    tables = connection.execute(
        "select table_name::text, array_agg(column_name::text order by column_name::text),"
        " (array_agg(column_name::text order by array_position(%(month)s, column_name::text))"
        "  filter (where column_name::text = any(%(month)s)))[1]"
        " from information_schema.columns where table_schema = 'marts' group by table_name"
        " having bool_or(column_name::text = any(%(month)s)) order by table_name",
        {"month": list(MONTH_COLUMNS)},
    ).fetchall()
    if not tables:
        return {}
    # how a moment is written depends on the session's time zone; it must not depend on the reader's
    connection.execute("set local timezone to 'UTC'")
    each = [_hash_of(table, columns, month_column) for table, columns, month_column in tables]
    return dict(connection.execute(sql.SQL(" union all ").join(each), {"key": str(month)}).fetchall())


def _hash_of(table: str, columns: list[str], month_column: str) -> sql.Composed:
    """Rows are hashed one by one and the sorted hashes together, so that no row text of a month is held at once."""
    return sql.SQL(
        "select {name}, encode(sha256(convert_to(coalesce(string_agg(one, '' order by one), ''), 'UTF8')), 'hex')"
        " from (select encode(sha256(convert_to(row({columns})::text, 'UTF8')), 'hex') collate \"C\" as one"
        " from {table} where {month} = %(key)s) as rows"
    ).format(
        name=sql.Literal(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=sql.Identifier("marts", table),
        month=sql.Identifier(month_column),
    )
