"""Fixtures of every suite: one real PostgreSQL a session, one fresh warehouse database a module."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.local.instance import WAREHOUSE_DATABASE, Instance

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Instance]:
    """A platform instance with PostgreSQL running and an empty, migrated warehouse as template."""
    # not in pytest's own folder: a second run closes that to the user PostgreSQL drops to
    with tempfile.TemporaryDirectory(prefix="vs-server-") as folder:
        instance = Instance(Path(folder) / "home")
        instance.create()
        instance.start_warehouse()
        try:
            yield instance
        finally:
            instance.postgres.stop()


@pytest.fixture(scope="module")
def warehouse(server: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh warehouse and exchange root for this module, with the environment set for them; yields the exchange root."""
    database = f"warehouse_{next(_numbers)}"
    home = tmp_path_factory.mktemp("warehouse")
    with psycopg.connect(f"{server.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {database} template {WAREHOUSE_DATABASE}")
        # grants on the database itself do not come with a template
        connection.execute(f"revoke all on database {database} from public")
        connection.execute(f"grant connect, temporary, create on database {database} to vs_transformer, vs_admin")
        connection.execute(f"grant connect, temporary on database {database} to vs_loader, vs_exporter")
        connection.execute(f"grant connect on database {database} to bi_reader")
    environment = server.platform_environment() | {
        "VS_HOME": str(home),
        "VS_WAREHOUSE_DATABASE": database,
        "VS_EXCHANGE_ROOT": str(home / "exchange"),
        "VS_REPORTS": str(home / "reports"),
        "DBT_TARGET_PATH": str(home / "dbt" / "target"),
        "DBT_LOG_PATH": str(home / "dbt" / "logs"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield home / "exchange"
