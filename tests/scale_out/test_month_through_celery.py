"""A platform as it runs on several machines: two Celery workers, PostgreSQL and the files with somebody else.

Everything is chosen by settings. One worker is killed in the middle of the second month; that month waits for nobody.
What comes of both months is compared with the same months run step by step in one process, on a local folder.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from include.exchange.folders import Exchange
from include.local.airflow import CELERY
from include.local.postgres import EmbeddedPostgres, new_password
from include.local.processes import Processes
from include.months import Month
from tests.e2e.test_months_through_airflow import SEED, Platform, run_directly
from tests.exchange_places import SftpServer, sftp_server
from tests.month_in_process import partners_deliver
from tests.scale_out.broker import redis_server
from tests.scale_out.outbox import sent

pytestmark = [pytest.mark.scale_out, pytest.mark.airflow, pytest.mark.timeout(3000)]

FIRST, SECOND = Month(2024, 4), Month(2024, 5)
Undisturbed = tuple[dict[Month, str], dict[str, str]]
#: what Airflow's worker says of a task it has run
RAN = re.compile(r"execute_workload\[[0-9a-f-]+\].*succeeded")


@dataclass(frozen=True)
class Machines:
    """The platform, and what stands beside it."""

    platform: Platform
    sftp: SftpServer

    def tasks_run_by(self, worker: str) -> int:
        log = self.platform.instance.home / "logs" / f"{worker}.log"
        return len(RAN.findall(log.read_text(encoding="utf-8", errors="replace")))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Redis, a PostgreSQL and an SFTP server that the platform did not start, and the platform told of them."""
    beside = tmp_path_factory.mktemp("beside")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    postgres = EmbeddedPostgres(beside / "postgres", beside / "logs" / "postgres.log", port, new_password())
    postgres.start()
    platform = Platform(tmp_path_factory.mktemp("scale-out") / "home")
    try:
        with redis_server(beside / "redis") as broker, sftp_server(beside / "sftp", beside / "exchange") as sftp:
            platform.exchange = sftp.root
            platform.environment |= {
                "VS_POSTGRES_DSN": postgres.superuser_dsn,
                "AIRFLOW__CORE__EXECUTOR": CELERY,
                "AIRFLOW__CELERY__BROKER_URL": broker,
                "VS_CELERY_WORKERS": "2",
                "VS_EXCHANGE_ROOT": sftp.url,
                "AIRFLOW_CONN_EXCHANGE": sftp.connection_with_key(),
                "VS_SANDBOX_EXCHANGE": str(sftp.root),
            }
            try:
                print(platform.vs("up", "--sandbox"))
                yield Machines(platform, sftp)
            finally:
                platform.vs("down")
        assert Processes(platform.instance.home).marked() == []
        psycopg.connect(f"{postgres.superuser_dsn}/postgres").close()  # `vs down` let it be
    finally:
        postgres.stop()


@pytest.fixture(scope="module")
def undisturbed(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Fingerprints and outbox of the same two months, in one process and a local folder."""
    home = tmp_path_factory.mktemp("direct")
    prints = run_directly(machines.platform, home, "undisturbed", (FIRST, SECOND))
    return prints, sent(Exchange(str(home / "exchange")))


def test_nothing_of_the_platform_is_here_but_its_processes(machines: Machines):
    instance = machines.platform.instance
    assert not (instance.home / "postgres").exists()
    status = machines.platform.vs("status")
    assert all(f"worker-{number}" in status for number in (1, 2)), status
    databases = machines.platform.query("select datname from pg_database where not datistemplate order by 1")
    assert [name for (name,) in databases] == ["airflow", "postgres", "vroegsignalering"]


def test_a_month_through_two_workers_is_the_same_month(machines: Machines, request: pytest.FixtureRequest):
    platform = machines.platform
    partners_deliver(FIRST, machines.sftp.root, seed=SEED)
    started = time.monotonic()
    assert "closed" in platform.vs("month", str(FIRST), "--approve")
    ran = {worker: machines.tasks_run_by(worker) for worker in ("worker-1", "worker-2")}
    print(f"{FIRST} through Celery: {time.monotonic() - started:.0f} s, tasks by worker {ran}")
    assert min(ran.values()) >= 3, "one worker did (nearly) everything"
    prints, _ = request.getfixturevalue("undisturbed")
    assert platform.fingerprint(FIRST) == prints[FIRST]
    assert platform.query("select content_hash from ops.closure_ledger") == [(prints[FIRST],)]


def test_a_killed_worker_costs_a_month_nothing_but_time(machines: Machines, undisturbed: Undisturbed):
    platform, (prints, outbox) = machines.platform, undisturbed
    before = machines.tasks_run_by("worker-1")
    partners_deliver(SECOND, machines.sftp.root, seed=SEED)
    driver = platform.start("month", str(SECOND), "--approve")
    end = time.monotonic() + 600
    while machines.tasks_run_by("worker-1") < before + 3:
        assert driver.poll() is None, driver.stdout.read()
        assert time.monotonic() < end, "worker-1 got no tasks"
        time.sleep(0.2)
    leader = Processes(platform.instance.home).record("worker-1").leader()
    family = [leader, *leader.children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGKILL)
    print(f"killed worker-1 with all it ran: {len(family)} processes")
    output, _ = driver.communicate(timeout=1500)
    assert driver.returncode == 0, output
    assert platform.fingerprint(SECOND) == prints[SECOND]
    assert sent(Exchange(str(machines.sftp.root))) == outbox, "other files went out than from one process"
