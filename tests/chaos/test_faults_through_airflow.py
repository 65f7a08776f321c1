"""The same through a real Airflow: every worker of a month killed once, the scheduler, PostgreSQL (make test-chaos).

Nothing is done for a killed task: Airflow finds out and tries again. After the scheduler or PostgreSQL is gone a person
does what the message says: `vs up`, then `vs month` once more. The months are compared with the same months run
directly and undisturbed: marts, ledgers, and every byte that left the house.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import psycopg
import pytest

from include.local.instance import WAREHOUSE_DATABASE
from include.local.processes import Processes
from include.months import Month
from include.warehouse.fingerprints import table_fingerprints
from tests.chaos.faults import cut_power
from tests.chaos.house import files_of, stop_the_clock, tables_of
from tests.chaos.trials import Trial, differences, told, write_report
from tests.month_in_process import partners_deliver
from tests.whole_platform import SEED, Platform, run_directly

pytestmark = [pytest.mark.chaos, pytest.mark.airflow, pytest.mark.timeout(7200)]

FIRST, SECOND = Month(2024, 4), Month(2024, 5)
DIRECT = "undisturbed"
#: who was asked and approved, in which run, differs between a person and a test; `of_persons` looks at those
OF_PERSONS = ("approved_by", "run_id", "ops.approvals", "ops.questions", "ops.alerts")
ASKED_ONCE = [(subject, True, "approved") for subject in ("call_list", "closure")]
#: besides the task itself its worker is killed: Airflow finds out by the heartbeat that is missing, after a minute
WORKERS_KILLED = 2


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("chaos") / "home")
    try:
        platform.vs("up", "--sandbox")
        stop_the_clock(f"{platform.instance.postgres.superuser_dsn}/{WAREHOUSE_DATABASE}")
        yield platform
    finally:
        platform.vs("down")
    assert Processes(platform.instance.home).marked() == []


@pytest.fixture(scope="module")
def direct(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Mapping[Month, Mapping[str, str]]:
    """What the two months leave when nothing happens: state after each."""
    home, states = tmp_path_factory.mktemp("direct"), {}
    for month in (FIRST, SECOND):
        run_directly(platform, home, DIRECT, (month,), furnish=stop_the_clock)
        states[month] = state(platform, DIRECT, home, month)
    return states


@pytest.fixture(scope="module")
def tried() -> Iterator[list[Trial]]:
    tried: list[Trial] = []
    yield tried
    write_report("through_airflow", told(tried))


@pytest.fixture(scope="module")
def dice() -> random.Random:
    seed = int(os.environ.get("VS_CHAOS_SEED") or secrets.randbelow(2**31))
    print(f"\nseed: {seed} (VS_CHAOS_SEED repeats it)")
    return random.Random(seed)


def state(platform: Platform, database: str, home: Path, month: Month) -> dict[str, str]:
    """Marts by their fingerprints, all rows of landing, ledgers and layers, and the bytes of what left."""
    with psycopg.connect(f"{platform.instance.postgres.superuser_dsn}/{database}") as connection:
        tables = tables_of(connection, OF_PERSONS)
        marts = table_fingerprints(connection, month)
    files = {
        name: one
        for folder in ("outbox", "archive", "inbox")
        for name, one in files_of(home / "exchange", folder).items()
    }
    return tables | {f"fingerprint of {name}": one for name, one in marts.items()} | files


def wrong_with(platform: Platform, direct: Mapping[Month, Mapping[str, str]], month: Month) -> tuple[str, ...]:
    """What is not as in the undisturbed month."""
    holds = state(platform, WAREHOUSE_DATABASE, platform.instance.home, month)
    return (*differences(direct[month], holds), *of_persons(platform, month))


def of_persons(platform: Platform, month: Month) -> list[str]:
    """What is wrong with what people were asked and told: each question once, answered, and nobody alarmed for good."""
    asked = platform.query(
        "select subject, questions.run_id is not null, decision from ops.questions"
        " full join ops.approvals using (signal_month, subject, run_id) where signal_month = %s order by 1",
        str(month),
    )
    alarmed = platform.query(
        "select kind, subject from ops.alerts where signal_month = %s and settled_at is null order by 1, 2", str(month)
    )
    strange = [] if asked == ASKED_ONCE else [f"people were asked {asked}"]
    return strange + [f"an alert stays: {one}" for one in alarmed]


class Killer:
    """Kills the process of every task of a month once, at a moment of the dice; with some their worker as well."""

    def __init__(self, platform: Platform, month: Month, dice: random.Random) -> None:
        self.dsn = f"{platform.instance.postgres.superuser_dsn}/airflow"
        self.month, self.dice = month, dice
        self.killed: dict[str, str] = {}
        self.missed: set[str] = set()
        self.workers_left = WORKERS_KILLED
        self.done = threading.Event()
        self.watching, self.killing = threading.Thread(target=self._watch), list[threading.Thread]()

    def __enter__(self) -> Killer:
        self.watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in (self.watching, *self.killing):
            thread.join()

    def _watch(self) -> None:
        seen: set[str] = set()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.done.wait(0.03):
                for task, pid in connection.execute(
                    "select concat_ws('.', dag_id, task_id, nullif(map_index, -1)), pid from task_instance"
                    " where state = 'running' and pid is not null"
                ):
                    if task not in seen:
                        seen.add(task)
                        # early rather than late, or the quick ones have ended
                        wait = self.dice.triangular(0, 1.5 if "build_" in task else 0.5, 0)
                        with_worker = self.workers_left > 0 and "build_" in task and self.dice.random() < 0.5
                        self.workers_left -= with_worker
                        self.killing.append(threading.Thread(target=self._kill, args=(task, pid, wait, with_worker)))
                        self.killing[-1].start()

    def _kill(self, task: str, pid: int, wait: float, with_worker: bool) -> None:
        try:
            process = psutil.Process(pid)
            worker = process.parent()
            try:
                process.wait(wait)
            except psutil.TimeoutExpired:
                if with_worker and worker:
                    worker.send_signal(signal.SIGKILL)
                process.send_signal(signal.SIGKILL)
                self.killed[task] = f"after {wait:.2f} s{', with its worker' if with_worker else ''}"
                return
        except psutil.NoSuchProcess:
            pass
        # it was quicker than the dice
        self.missed.add(task)


def test_every_worker_of_a_month_is_killed_once(
    platform: Platform, direct: Mapping[Month, Mapping[str, str]], tried: list[Trial], dice: random.Random
) -> None:
    """Airflow alone brings the month home; the month is driven once more only if it stopped."""
    partners_deliver(FIRST, platform.exchange, seed=SEED)
    started = time.monotonic()
    with Killer(platform, FIRST, dice) as killer:
        driver = platform.start("month", str(FIRST), "--approve")
        output, _ = driver.communicate(timeout=5400)
    if driver.returncode:
        print(output)
        platform.vs("month", str(FIRST), "--approve")
    wrong = wrong_with(platform, direct, FIRST)
    seconds = round(time.monotonic() - started, 1)
    for task, at in killer.killed.items():
        trial = Trial("worker killed in Airflow", task, at, (-9,), wrong, seconds)
        tried.append(trial)
        print(trial)
    print(
        f"  the month came home in {seconds:.0f} s, rerun by hand: {'yes' if driver.returncode else 'no'}; "
        f"quicker than the dice: {len(killer.missed)} ({', '.join(sorted(killer.missed))})"
    )
    assert not wrong
    assert len(killer.killed) > 3 * len(killer.missed), "most tasks were not killed"


def test_the_scheduler_and_the_warehouse_are_killed(
    platform: Platform, direct: Mapping[Month, Mapping[str, str]], tried: list[Trial], dice: random.Random
) -> None:
    """The month is under way when the scheduler goes; it goes on after `vs up`, and PostgreSQL goes."""
    if not platform.query("select from ops.closure_ledger where signal_month = %s", str(FIRST)):
        partners_deliver(FIRST, platform.exchange, seed=SEED)
        platform.vs("month", str(FIRST), "--approve")
    partners_deliver(SECOND, platform.exchange, seed=SEED)

    def kill_scheduler() -> None:
        (scheduler,) = [one for one in Processes(platform.instance.home).records() if one.name == "scheduler"]
        os.kill(scheduler.pid, signal.SIGKILL)

    faults = {"scheduler": kill_scheduler, "PostgreSQL": lambda: cut_power(str(platform.instance.postgres.data))}
    came: dict[str, tuple[str, int, float]] = {}
    for what, happens in faults.items():
        started = time.monotonic()
        driver = platform.start("month", str(SECOND), "--approve")
        wait = dice.uniform(8, 25)
        time.sleep(wait)
        happens()
        output, _ = driver.communicate(timeout=600)
        print(f"  {what} killed after {wait:.0f} s; vs month ended as {driver.returncode}: {_last_line(output)}")
        platform.vs("up")
        came[what] = f"after {wait:.0f} s", driver.returncode, time.monotonic() - started
    platform.vs("month", str(SECOND), "--approve")
    wrong = wrong_with(platform, direct, SECOND)
    for what, (at, ended, seconds) in came.items():
        trial = Trial(f"{what} killed under Airflow", f"month {SECOND}", at, (ended,), wrong, round(seconds, 1))
        tried.append(trial)
        print(trial)
    assert not wrong


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1]
