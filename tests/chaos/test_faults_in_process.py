"""Whatever fails while a month runs, one rerun makes it the month it would have been (the month called directly)."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from include.local.instance import Instance
from include.months import Month
from tests.chaos.house import Disk, House, small_disk, small_tablespace, without_waiting_for_the_disk
from tests.chaos.trials import Trials, told, write_report
from tests.conftest import FOUNDATION

MONTH = Month(2024, 4)
SEED = 2024


#: tasks that read or write files of the exchange folders
IN_THE_EXCHANGE = re.compile(r"ingest_delivery|request_|load_|deliver_")
#: a load, a stage of dbt, a closure
POWER_CUT = re.compile(r"ingest_delivery|load_|collect_outcomes|build_matched|build_closure|send_closures|freeze_month")
TABLES_FULL = re.compile(r"ingest_delivery|load_|build_categorised|close.build_marts")
#: tasks that take seconds are killed at a moment instead of when they are done
LONG = re.compile(r"build_|collect_outcomes|send_closures|write_report")
#: stages of dbt whose turn at once would only be more of the same
ONCE_IS_ENOUGH = re.compile(r"build_matched|build_categorised|build_closure|collect.build_marts|await_")


@dataclass(frozen=True)
class Disks:
    """Small file systems: one with the exchange folders, one for tables."""

    of_exchange: Disk
    of_tables: Disk
    tablespace: str | None


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


@pytest.fixture
def disks(server: Instance, home: Path) -> Iterator[Disks]:
    with small_disk(home / "disk", 8) as exchange, small_disk(home / "tables", 256) as tables:
        with small_tablespace(server, tables, "small") as tablespace:
            print(f"\ndisk full: {'ENOSPC on a tmpfs' if exchange.is_real else 'EFBIG by RLIMIT_FSIZE (no root here)'}")
            yield Disks(exchange, tables, tablespace)


@pytest.fixture
def house(server: Instance, warehouse: Path, home: Path, disks: Disks) -> Iterator[House]:
    shutil.copytree(os.environ["DBT_TARGET_PATH"], home / "dbt" / "target")
    told = {
        "VS_HOME": str(home), "VS_EXCHANGE_ROOT": str(home / "disk" / "exchange"), "VS_REPORTS": str(home / "reports"),
        "VS_SANDBOX_STATE": str(home / "sandbox"), "VS_SANDBOX_SEED": str(SEED),
        "DBT_TARGET_PATH": str(home / "dbt" / "target"), "DBT_LOG_PATH": str(home / "dbt" / "logs"),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        house = House(server, home, dict(os.environ), SEED)
        with without_waiting_for_the_disk(server):
            house.open(FOUNDATION)
            with house.ris(server.port("ris"), server.secret("ris_token")):
                yield house
    for name in list(house.kept):
        house.forget(name)
    house.leave()


@pytest.fixture
def trials(house: House) -> Trials:
    seed = int(os.environ.get("VS_CHAOS_SEED") or secrets.randbelow(2**31))
    print(f"\nseed: {seed} (VS_CHAOS_SEED repeats it)")
    house.partners_deliver(MONTH)
    return Trials(house, MONTH, seed)


def test_a_few_tasks_survive_what_may_happen_to_them(trials: Trials, disks: Disks):
    """The short form: a load, a stage of dbt, a list that leaves and the closures, each cut off at a place of the dice.

    Only the tasks that these rest on run. Gates are left out: they read.
    """
    for task in trials.tasks():
        step, _, name = task.partition(".")
        if name.startswith("gate_") or name in ("deliver_worklist", "deliver_feedback", "build_marts"):
            continue
        if "zorgplus" in name:
            with trials.before_and_after(task) as (after, ended):
                trials.cut_power(task, after, ended.places)
                if disks.tablespace:
                    trials.fill_tables(task, after, ended.places, disks.of_tables, disks.tablespace)
                trials.lose_exchange(task, after, ended.places)
                trials.two_at_once(task, after)
        elif name == "build_matched":
            with trials.before_and_after(task) as (after, _):
                trials.kill_at_a_moment(task, after)
        elif name in ("deliver_call_list", "send_closures"):
            with trials.before_and_after(task) as (after, ended):
                trials.kill(task, after, ended.places)
                if name == "deliver_call_list":
                    trials.fill_exchange(task, after, ended.places, disks.of_exchange)
        else:
            trials.undisturbed(task)
        if name == "send_closures":
            break
    told(trials.tried)
    assert len(trials.tried) >= 7
    assert not [str(trial) for trial in trials.tried if not trial.survived]


def test_postgresql_killed_alone_is_started_again(server: Instance):
    """The kernel kills the server and not its sessions, one of which is at work and does not notice."""
    postgres, ended = server.postgres, []

    def work() -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(f"{postgres.superuser_dsn}/postgres") as one:
            one.execute("set max_parallel_workers_per_gather = 0")
            one.execute(
                "select count(*) from generate_series(1, 9999) a, generate_series(1, 9999) b, generate_series(1, 99) c"
            )
            return
        ended.append(True)

    working = threading.Thread(target=work)
    working.start()
    with psycopg.connect(f"{postgres.superuser_dsn}/postgres", autocommit=True) as looking:
        while not looking.execute(
            "select from pg_stat_activity"
            " where state = 'active' and query like '%generate_series%' and pid <> pg_backend_pid()"
        ).rowcount:
            time.sleep(0.1)
    os.kill(int((postgres.data / "postmaster.pid").read_text(encoding="utf-8").split()[0]), signal.SIGKILL)
    postgres.start()
    assert postgres.is_running()
    working.join(20)
    assert ended == [True], "a session of the killed server went on"


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_every_task_survives_what_may_happen_to_it(trials: Trials, disks: Disks):
    """Every task of a month is killed, and meets what its kind can meet, at places and moments that the dice say."""
    only = re.compile(os.environ.get("VS_CHAOS_TASKS") or ".")
    trials.house.keep("start")
    partner = trials.dice.choice(["drinkwater_zh", "stadsenergie", "woonbedrijf", "zorgplus"])
    for task in trials.tasks():
        if not only.search(task):
            trials.undisturbed(task)
            continue
        with trials.before_and_after(task) as (after, ended):
            trials.kill(task, after, ended.places)
            if "gate_" in task or ("ingest_delivery" in task and partner not in task):
                continue
            if LONG.search(task):
                trials.kill_at_a_moment(task, after)
            else:
                trials.kill_when_done(task, after)
            if POWER_CUT.search(task):
                trials.cut_power(task, after, ended.places)
            if TABLES_FULL.search(task) and disks.tablespace:
                trials.fill_tables(task, after, ended.places, disks.of_tables, disks.tablespace)
            if IN_THE_EXCHANGE.search(task):
                trials.lose_exchange(task, after, ended.places)
                trials.fill_exchange(task, after, ended.places, disks.of_exchange)
            if not ONCE_IS_ENOUGH.search(task):
                trials.two_at_once(task, after)
    trials.two_months_at_once("start")
    write_report("in_process", told(trials.tried, seed=trials.seed))
    assert not [str(trial) for trial in trials.tried if not trial.survived]
