"""Connections to the warehouse, one role each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from include.settings import Role, Settings


@contextmanager
def connect(role: Role, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """One connection as `role`; the block is one transaction (committed at its end, rolled back on an error)."""
    dsn = Settings.from_environment().dsn(role)
    with psycopg.connect(dsn, autocommit=autocommit, application_name=f"vs:{role}") as connection:
        yield connection
