"""Background processes, with real ones: found by session and mark, ended with all they forked, strangers untouched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.local.processes import MARK, Processes, Service, inherited_environment, wait_until

# a leader with a child that ignores SIGTERM, as LocalExecutor's workers do
FAMILY = """
import signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
print(subprocess.Popen([sys.executable, "-c", child]).pid, flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
time.sleep(600)
"""
# a worker that overwrites its environment with its title
TITLED = """
import os, setproctitle, time
if os.fork() == 0:
    setproctitle.setproctitle("airflow worker -- LocalExecutor: <idle>")
time.sleep(600)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    for folder in ("logs", "run", "airflow"):
        (tmp_path / folder).mkdir()
    found = Processes(tmp_path)
    yield found
    found.stop(patience=0.1)
    assert found.marked() == []


def service(processes: Processes, code: str, **environment: str) -> Service:
    command = (sys.executable, "-c", code)
    return Service("family", command, inherited_environment() | environment, processes.home / "airflow")


def child_of_family(processes: Processes) -> psutil.Process:
    log = processes.log("family")
    assert wait_until(lambda: log.exists() and log.read_text().strip(), 10)
    return psutil.Process(int(log.read_text().split()[-1]))


def test_it_outlives_its_starter_and_is_started_once(processes: Processes):
    assert processes.start(service(processes, FAMILY))
    assert not processes.start(service(processes, FAMILY))
    assert processes.is_running("family")
    assert os.getsid(processes.record("family").pid) == processes.record("family").pid != os.getsid(0)


def test_another_environment_starts_it_again(processes: Processes):
    processes.start(service(processes, FAMILY))
    first = processes.record("family").pid
    assert processes.start(service(processes, FAMILY, VS_RIS_BY="files"))
    assert processes.record("family").pid != first
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE


def test_a_killed_leader_takes_its_orphans_along_when_it_is_started_again(processes: Processes):
    processes.start(service(processes, FAMILY))
    orphan = child_of_family(processes)
    os.kill(processes.record("family").pid, signal.SIGKILL)
    assert wait_until(lambda: not processes.is_running("family"), 5)
    assert orphan.is_running()
    assert processes.start(service(processes, FAMILY))
    assert wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, 5)


def test_stopping_ends_children_that_refuse_to_end(processes: Processes):
    processes.start(service(processes, FAMILY))
    child = child_of_family(processes)
    assert processes.stop(patience=2) >= 1
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert processes.records() == []


def test_a_worker_that_hides_its_environment_is_found(processes: Processes):
    processes.start(service(processes, TITLED))

    def titles() -> list[str]:
        return [process.cmdline()[0].split()[0] for process in processes.marked()]

    assert wait_until(lambda: "airflow" in titles() and len(titles()) == 2, 10), titles()
    # even when nobody remembers who started it
    (processes.home / "run" / "family.json").unlink()
    assert processes.stop() == 2


def test_a_person_in_the_folder_is_left_alone(processes: Processes, tmp_path: Path):
    path = {"PATH": os.environ["PATH"]}
    shells = [
        subprocess.Popen(["sleep", "60"], cwd=tmp_path / "airflow", env=path | {"VS_HOME": str(tmp_path)}),
        subprocess.Popen(["sleep", "60"], env=path | {MARK: f"{tmp_path}2"}, start_new_session=True),
    ]
    try:
        processes.start(service(processes, FAMILY))
        child_of_family(processes)
        processes.stop(patience=1)
        assert [shell.poll() for shell in shells] == [None, None]
    finally:
        for shell in shells:
            shell.kill()
            shell.wait()


def test_a_record_of_before_the_machine_started_is_nobody(processes: Processes):
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        record = f'{{"name": "family", "pid": {stranger.pid}, "started": 1.0, "fingerprint": ""}}'
        (processes.home / "run" / "family.json").write_text(record)
        assert not processes.is_running("family")
        processes.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
