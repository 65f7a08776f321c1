"""Whole months through a real Airflow, driven as a person drives them: by the `vs` command in a shell.

One platform tells one story, in the order of the tests: a month that is delivered twice and closed, a month in which
the scheduler is killed, a month to which a person says no. Each result is compared with the same month run directly,
step by step, without Airflow and undisturbed.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.local.processes import Processes
from include.months import Month
from include.settings import PROJECT_ROOT, Role, Settings
from tests import month_in_process
from tests.month_in_process import partners_deliver
from tests.personal_data import Arguments, Words, personal_values, read_files, read_tables

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

FIRST, SECOND, THIRD = Month(2024, 4), Month(2024, 5), Month(2024, 6)
SEED = 2024


class Platform:
    """An instance in its own folder, spoken to through the command line."""

    def __init__(self, home: Path) -> None:
        self.instance = Instance(home)
        self.exchange = home / "exchange"
        self.arguments = Arguments()
        self.environment = dict(
            os.environ, VS_HOME=str(home), PYTHONPATH=str(PROJECT_ROOT), VS_SANDBOX_SEED=str(SEED), COLUMNS="160"
        )

    def vs(self, *arguments: str, exit_code: int = 0) -> str:
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=800
        )
        assert done.returncode == exit_code, f"vs {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "include.local.command", *arguments]

    def query(self, statement: str, *parameters: str) -> list[tuple]:
        with psycopg.connect(Settings(self.instance.platform_environment()).dsn(Role.ADMIN)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def sent(self, folder: str) -> dict[str, str]:
        """What lies in a folder of the outbox: name and hash of each file."""
        root = self.exchange / "outbox" / folder
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def fingerprint(self, month: Month) -> str:
        return fingerprint(month, self.instance.platform_environment())


def fingerprint(month: Month, environment: dict[str, str]) -> str:
    from include.warehouse.fingerprints import month_fingerprint

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return month_fingerprint(month)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("e2e") / "home")
    with platform.arguments:
        try:
            platform.vs("up", "--sandbox")
            yield platform
        finally:
            platform.vs("down")
    assert Processes(platform.instance.home).marked() == []


@pytest.fixture(scope="module")
def undisturbed(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[Month, str]:
    """The fingerprints of the same two months, run directly in a second warehouse with the same keys."""
    return run_directly(platform, tmp_path_factory.mktemp("direct"), "undisturbed", (FIRST, SECOND))


def run_directly(
    platform: Platform, home: Path, database: str, months: tuple[Month, ...], *, ris_by: str = "api"
) -> dict[Month, str]:
    """Run `months` step by step in this process, in a warehouse and exchange of their own; the fingerprint of each."""
    from include.local.postgres import create_database
    from include.warehouse.dbt import build_stage
    from include.warehouse.migrate import migrate

    instance = platform.instance
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = instance.platform_environment()
    environment |= {
        "VS_HOME": str(home),
        "VS_WAREHOUSE_DATABASE": database,
        "VS_EXCHANGE_ROOT": str(home / "exchange"),
        "VS_REPORTS": str(home / "reports"),
        "VS_RIS_BY": ris_by,
        "DBT_TARGET_PATH": str(home / "dbt" / "target"),
        "DBT_LOG_PATH": str(home / "dbt" / "logs"),
        "AIRFLOW_CONN_RIS": environment["AIRFLOW_CONN_RIS"].replace(f":{instance.port('ris')}/", f":{port}/"),
    }
    create_database(instance.postgres, database)
    with psycopg.connect(f"{instance.postgres.superuser_dsn}/{database}") as connection:
        migrate(connection, Settings(environment))
    outside = {"port": port, "token": instance.secret("ris_token"), "seed": SEED, "ris_by": ris_by}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        build_stage("foundation")
        with month_in_process.sandbox(home / "exchange", home / "sandbox", **outside):
            for month in months:
                partners_deliver(month, home / "exchange", seed=SEED)
                month_in_process.run_month(month)
        return {month: fingerprint(month, environment) for month in months}


def test_delivering_a_month_twice_sends_nothing_twice(platform: Platform):
    partners_deliver(FIRST, platform.exchange, seed=SEED)
    platform.vs("month", str(FIRST), "--until", "deliver", "--approve")
    lists, records = platform.sent("certin"), platform.query("select * from ops.call_records order by 1")
    assert [name for name in lists if name.endswith(".csv")] == [f"certin_call_list_{FIRST.compact}_01.csv"]
    assert 150 < len(records) < 450

    platform.vs("month", str(FIRST), "--from", "ingest", "--until", "deliver", "--approve")
    assert platform.sent("certin") == lists
    assert platform.query("select * from ops.call_records order by 1") == records
    assert platform.query(
        "select count(*) from ops.approvals where subject = 'call_list' and decision = 'approved'"
    ) == [(2,)]


def test_a_month_closes_and_equals_the_same_month_without_airflow(platform: Platform, undisturbed: dict[Month, str]):
    output = platform.vs("month", str(FIRST), "--from", "collect", "--approve")
    assert "closed" in output
    assert platform.fingerprint(FIRST) == undisturbed[FIRST]

    ledger = platform.query(
        "select cases_opened, cases_closed + cases_open + cases_excluded, content_hash from ops.closure_ledger"
    )
    assert ledger == [(ledger[0][0], ledger[0][0], undisturbed[FIRST])]
    assert ledger[0][0] > 200
    gates = platform.query("select distinct gate from ops.gate_results order by 1")
    assert [gate for (gate,) in gates] == [f"G{number}" for number in range(1, 9)]
    assert not platform.query("select gate, rule from ops.gate_results where not success and severity = 'critical'")
    approved_by = platform.query("select distinct approved_by from ops.closure_ledger")
    assert approved_by[0][0], "a closure without the name of who approved it"
    assert (platform.instance.home / "reports" / str(FIRST) / "rapportage.html").stat().st_size > 5_000


def test_a_month_with_ris_by_files_gives_the_same(
    platform: Platform, undisturbed: dict[Month, str], tmp_path: Path
):
    by_files = run_directly(platform, tmp_path, "by_files", (FIRST,), ris_by="files")
    assert by_files[FIRST] == undisturbed[FIRST]
    assert list((tmp_path / "exchange" / "outbox" / "ris").glob("ris_closures_*.csv")), "the closures left by a file"


def test_a_closed_month_is_left_alone(platform: Platform):
    before = platform.sent("")
    output = platform.vs("month", str(FIRST), "--approve")
    assert "closed" in output
    assert platform.sent("") == before


def test_the_funnel_shows_shares_with_their_counts(platform: Platform):
    received = platform.query(
        "select numerator from marts.kpi_monthly"
        " where signal_month = %s and kpi = 'signals_received' and segment = 'all'",
        str(FIRST),
    )
    in_files = platform.query(
        "select sum(rows_in_file) from ops.deliveries where signal_month = %s and partner is not null", str(FIRST)
    )
    assert received == in_files
    assert 400 <= received[0][0] <= 500
    assert f"{received[0][0]:.0f}" in platform.vs("kpi", str(FIRST))


def test_a_killed_scheduler_costs_nothing_but_time(platform: Platform, undisturbed: dict[Month, str]):
    partners_deliver(SECOND, platform.exchange, seed=SEED)
    driver = platform.start("month", str(SECOND), "--approve")
    _wait_until_a_stage_runs(platform, SECOND)
    (scheduler,) = [record for record in Processes(platform.instance.home).records() if record.name == "scheduler"]
    os.kill(scheduler.pid, signal.SIGKILL)
    assert driver.wait(120) == 1, "the driver did not notice that the scheduler is gone"

    platform.vs("up")
    platform.vs("month", str(SECOND), "--approve")
    assert platform.fingerprint(SECOND) == undisturbed[SECOND]
    assert platform.query("select count(*) from ops.closure_ledger where signal_month = %s", str(SECOND)) == [(1,)]


def test_a_no_sends_nothing_and_is_recorded(platform: Platform):
    from include.local.airflow import LocalAirflow
    from include.local.airflow_api import AirflowApi
    from include.local.month_driver import SETTLED_AFTER

    partners_deliver(THIRD, platform.exchange, seed=SEED)
    before = platform.sent("certin")
    driver = platform.start("month", str(THIRD), "--until", "deliver")
    api = AirflowApi(LocalAirflow(platform.instance))
    end = time.monotonic() + 240
    while not (waiting := _waiting(api, THIRD)):
        assert driver.poll() is None, driver.stdout.read()
        assert time.monotonic() < end, "no approval was asked for"
        time.sleep(1)
    time.sleep(SETTLED_AFTER)
    api.answer(*waiting, "Reject")
    assert driver.wait(120) == 1
    output = driver.stdout.read()
    assert "not approved" in output, output
    assert platform.sent("certin") == before
    assert platform.query("select decision from ops.approvals where signal_month = %s", str(THIRD)) == [("rejected",)]


def test_nothing_personal_and_no_secret_stands_where_it_may_not(platform: Platform):
    """Of all that ran above: logs, Airflow's database (XCom, rendered templates), books, marts, reports, arguments."""
    home, postgres = platform.instance.home, platform.instance.postgres
    where_it_may, where_not, in_airflow = Words(), Words(), Words()
    with psycopg.connect(f"{postgres.superuser_dsn}/{WAREHOUSE_DATABASE}") as connection:
        values = personal_values(connection)
        read_tables(where_it_may, connection, lambda schema, _: schema in ("landing", "outbound"))
        read_tables(where_not, connection, lambda schema, _: schema in ("ops", "marts", "marts_public", "closed"))
    with psycopg.connect(f"{postgres.superuser_dsn}/airflow") as connection:
        read_tables(in_airflow, connection, lambda *_: True)
    read_files(where_it_may, platform.exchange / "archive")
    logs = Words()
    for folder in (home / "logs", home / "airflow" / "logs"):
        read_files(logs, folder)
    read_files(where_not, home, [home / name for name in ("postgres", "exchange", "sandbox", "logs")])
    for receipt in sorted(platform.exchange.rglob("receipt_*.json")):
        where_not.add(receipt.name, receipt.read_text(encoding="utf-8"))

    arguments = platform.arguments.words
    for words in (logs, where_not, in_airflow, arguments):
        assert len(words.places) > 100, "hardly anything was read"
    for kind, wanted in values.items():
        assert len(where_it_may.found(wanted)) > 50, f"the search does not find a {kind} where it stands"
        for words in (logs, where_not, in_airflow, arguments):
            assert not sorted(set(words.found(wanted).values())), f"a {kind} stands there"
    secrets = {secret.strip(".+-") for secret in _secrets(platform)}
    assert len(secrets) > 8
    for words in (logs, in_airflow, arguments):
        assert not sorted(set(words.found(secrets).values())), "a secret stands there"


def _secrets(platform: Platform) -> list[str]:
    return list(json.loads(platform.instance.state_file.read_text(encoding="utf-8"))["secrets"].values())


def _waiting(api, month: Month):
    for run in api.runs("deliver_call_lists", month):
        for task in api.tasks(run):
            if task.state == "awaiting_input":
                return run, task
    return None


def _wait_until_a_stage_runs(platform: Platform, month: Month) -> None:
    """Until dbt has built something of the month and the month is not yet through."""
    end = time.monotonic() + 240
    while not platform.query("select 1 from ops.dbt_results where signal_month = %s limit 1", str(month)):
        assert time.monotonic() < end, "the month did not get to its first stage"
        time.sleep(0.3)
