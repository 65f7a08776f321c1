"""Fixtures of every suite: one real PostgreSQL a session, one fresh warehouse database a module."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.reporting.paper import chromium

#: pages are looked at in the machine's own Chromium; the end of the run says so when there is none
collect_ignore = [] if chromium() else ["browser"]
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Each run has a folder of its own: pytest shuts the shared one to others, and PostgreSQL drops to its own user."""
    if not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="vs-tests-")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: one worker runs months through Airflow while the other does the rest."""
    items.sort(key=lambda item: item.get_closest_marker("airflow") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line(
            "tests/browser is left out: no Chromium here (install one, or name it in VS_CHROMIUM)"
        )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What a failed run left behind may be looked at."""
    if exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A platform instance with PostgreSQL running and an empty, migrated warehouse as template."""
    instance = Instance(tmp_path_factory.mktemp("vs") / "home")
    instance.create()
    instance.start_warehouse()
    yield instance
    instance.postgres.stop()


@pytest.fixture(scope="module")
def warehouse(server: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh warehouse and exchange for this module, with the environment set for them; yields the exchange root."""
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
