"""Fixtures of every suite: one real PostgreSQL a session, one fresh warehouse database a module.

The foundation (code lists and staging views) is built once and copied, and every module's database has the same name:
dbt parses the whole project again when the connection it is given differs, which would cost every module ten seconds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.reporting.paper import chromium
from include.warehouse.dbt import build_stage

#: pages are looked at in the machine's own Chromium; the end of the run says so when there is none
collect_ignore = [] if chromium() else ["browser"]
FOUNDATION = "warehouse_foundation"
OF_THIS_MODULE = "warehouse_of_this_module"


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


@pytest.fixture(scope="session")
def built_foundation(server: Instance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database every module's warehouse is a copy of; returns dbt's folder, with the project parsed."""
    folder = tmp_path_factory.mktemp("dbt")
    with database_of_this_module(server, WAREHOUSE_DATABASE, folder):
        build_stage("foundation")
        with psycopg.connect(f"{server.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
            connection.execute(f"create database {FOUNDATION} template {OF_THIS_MODULE}")
    return folder


@pytest.fixture(scope="module")
def warehouse(server: Instance, built_foundation: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh warehouse, its foundation built, and an exchange for this module; yields the exchange root."""
    home = tmp_path_factory.mktemp("warehouse")
    with database_of_this_module(server, FOUNDATION, built_foundation), pytest.MonkeyPatch.context() as patch:
        patch.setenv("VS_HOME", str(home))
        (home / "exchange" / "inbox").mkdir(parents=True)
        patch.setenv("VS_EXCHANGE_ROOT", str(home / "exchange"))
        patch.setenv("VS_REPORTS", str(home / "reports"))
        yield home / "exchange"


@contextmanager
def database_of_this_module(server: Instance, template: str, dbt_folder: Path) -> Iterator[None]:
    """A copy of `template`, and the environment that leads to it."""
    with psycopg.connect(f"{server.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
        copy_warehouse(connection, OF_THIS_MODULE, template)
    environment = server.platform_environment() | {
        "VS_WAREHOUSE_DATABASE": OF_THIS_MODULE,
        "DBT_TARGET_PATH": str(dbt_folder / "target"),
        "DBT_LOG_PATH": str(dbt_folder / "logs"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def copy_warehouse(connection: psycopg.Connection, name: str, template: str, tablespace: str | None = None) -> None:
    """The database `name` anew, as a copy of `template`; its tables may lie in another tablespace."""
    connection.execute(f"drop database if exists {name} with (force)")
    connection.execute(f"create database {name} template {template}{f' tablespace {tablespace}' if tablespace else ''}")
    # grants on the database itself do not come with a template
    connection.execute(f"revoke all on database {name} from public")
    connection.execute(f"grant connect, temporary, create on database {name} to vs_transformer, vs_admin")
    connection.execute(f"grant connect, temporary on database {name} to vs_loader, vs_exporter")
    connection.execute(f"grant connect on database {name} to bi_reader")
