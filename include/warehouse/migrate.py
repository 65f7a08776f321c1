"""Bring a warehouse to the current platform tables: ordered SQL files, each applied once, safe to run again.

A migration that has landed is never edited (its checksum is kept and compared); write the next number.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
from psycopg import sql

from include.settings import Role, Settings
from include.warehouse.bsn_keys import keep_up_with_keys

MIGRATIONS = Path(__file__).parent / "migrations"

#: Of every session of ours. PostgreSQL works a statement to its end although who asked is dead, and for two hours does
#: not notice a machine that fell off the network; until then nobody gets the locks, and a task tried again waits.
SESSIONS_END_WITH_THEIR_CLIENT = {
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
}


class MigrationChanged(RuntimeError):
    """A migration that was applied before has other text now."""


def migrate(connection: psycopg.Connection, settings: Settings) -> list[str]:
    """Apply what is new, set the roles' passwords and apply a new key of BSNs; returns the names that were applied.

    `connection` is a superuser's (or the managed server's owner's): it creates roles and extensions.
    """
    applied: list[str] = []
    with connection.transaction():
        # Two platforms starting at once on one server wait for each other here.
        connection.execute("select pg_advisory_xact_lock(hashtext('vs:migrate'))")
        connection.execute("create schema if not exists ops")
        connection.execute(
            "create table if not exists ops.migrations "
            "(name text primary key, sha256 text not null, applied_at timestamptz not null default now())"
        )
        known = dict(connection.execute("select name, sha256 from ops.migrations").fetchall())
        for path in sorted(MIGRATIONS.glob("[0-9]*.sql")):
            text = path.read_text(encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            if path.name in known:
                if known[path.name] != digest:
                    raise MigrationChanged(
                        f"{path.name} was applied with other text. Restore it and put the change in a new migration."
                    )
                continue
            connection.execute(text)
            connection.execute("insert into ops.migrations (name, sha256) values (%s, %s)", (path.name, digest))
            applied.append(path.name)
        for role in Role:
            connection.execute(
                sql.SQL("alter role {} with login password {}").format(
                    sql.Identifier(role.value), sql.Literal(settings.environment[role.password_variable])
                )
            )
            for name, value in SESSIONS_END_WITH_THEIR_CLIENT.items():
                connection.execute(
                    sql.SQL("alter role {} set {} = {}").format(
                        sql.Identifier(role.value), sql.Identifier(name), sql.Literal(value)
                    )
                )
        connection.execute(
            "insert into ops.id_key (singleton, key) values (true, %s) on conflict (singleton) do nothing",
            (settings.environment["VS_ID_KEY"],),
        )
        keep_up_with_keys(connection, settings)
    return applied
