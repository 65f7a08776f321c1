"""Whole months through a real Airflow, driven as a person drives them: by the `vs` command in a shell.

One platform tells one story, in the order of the tests: a month that is delivered twice and closed, a month in which
the scheduler is killed, a month to which a person says no. Each result is compared with the same month run directly,
step by step, without Airflow and undisturbed.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.local.instance import WAREHOUSE_DATABASE
from include.local.processes import Processes
from include.months import Month
from tests.month_in_process import partners_deliver
from tests.personal_data import Words, personal_values, read_files, read_tables
from tests.whole_platform import SEED, Platform, run_directly

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

FIRST, SECOND, THIRD = Month(2024, 4), Month(2024, 5), Month(2024, 6)


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


def test_a_month_with_ris_by_files_gives_the_same(platform: Platform, undisturbed: dict[Month, str], tmp_path: Path):
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
