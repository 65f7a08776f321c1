"""The background processes of one instance: start, look, stop, and prove that none is left.

Every service is the leader of its own session, with an output log in `VS_HOME/logs` and a record in `VS_HOME/run`. A
session, because a service outlives the shell that started it and must be restartable alone, while whatever it forks
(LocalExecutor's workers, their tasks) keeps the session's id even after its parent died. Two more marks catch what a
session would miss: the variable VS_SERVICE_OF in the environment, and a working folder inside VS_HOME. A person's shell
that happens to stand in VS_HOME, or has VS_HOME exported, carries neither mark and is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.local.instance import write_private

MARK = "VS_SERVICE_OF"

# What a service may inherit from the shell; everything else is set on purpose.
INHERITED = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "SYSTEMROOT",
)  # fmt: skip


def inherited_environment() -> dict[str, str]:
    own = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return own | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Service:
    """What to start. Secrets belong in `environment`, never in `command`: every user of a machine can read that."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Changes when the service would start differently: then `vs up` restarts it."""
        text = json.dumps([self.command, sorted(self.environment.items()), str(self.folder)])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """What was started."""

    name: str
    pid: int
    started: float
    fingerprint: str

    def leader(self) -> psutil.Process | None:
        """The started process if it still runs (a zombie does not; a stranger with the same number does not)."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 1
        except psutil.Error:
            return None
        return process if alive else None


@dataclass(frozen=True)
class Processes:
    """The processes of the instance in `home`."""

    home: Path

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def record(self, name: str) -> Record | None:
        try:
            return Record(**json.loads(self._record_file(name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def records(self) -> list[Record]:
        names = sorted(path.stem for path in (self.home / "run").glob("*.json"))
        return [record for name in names if (record := self.record(name))]

    def is_running(self, name: str) -> bool:
        record = self.record(name)
        return bool(record and record.leader())

    def start(self, service: Service) -> bool:
        """Start `service` unless it runs just so already; True when it was started now."""
        record = self.record(service.name)
        if record:
            if record.leader() and record.fingerprint == service.fingerprint:
                return False
            # Its orphans (a killed scheduler's workers) would compete with the new one.
            self.stop([service.name])
        service.folder.mkdir(parents=True, exist_ok=True)
        with open(self.log(service.name), "ab") as log:
            process = subprocess.Popen(
                service.command,
                env=dict(service.environment) | {MARK: str(self.home)},
                cwd=service.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = Record(service.name, process.pid, psutil.Process(process.pid).create_time(), service.fingerprint)
        write_private(self._record_file(service.name), json.dumps(started.__dict__))
        return True

    def stop(self, names: Iterable[str] | None = None, *, patience: float = 3.0) -> int:
        """Ask the services (`None`: all) to end, then end what is left of them; returns how many were ended hard."""
        chosen = [record for record in self.records() if names is None or record.name in set(names)]
        leaders = [leader for record in chosen if (leader := record.leader())]
        # Found before the leaders die: a process can be traced to its session leader while that one lives.
        family = self._of_sessions(chosen)
        for leader in leaders:
            _signal(leader, signal.SIGTERM)
        psutil.wait_procs(leaders, timeout=patience)
        ended = 0
        for _ in range(20):
            left = [process for process in {*family, *self._of_sessions(chosen)} if _lives(process)]
            if names is None:
                left = list({*left, *self.marked()})
            if not left:
                break
            for process in left:
                _signal(process, signal.SIGKILL)
            psutil.wait_procs(left, timeout=2)
            ended += len(left)
        for record in chosen:
            self._record_file(record.name).unlink(missing_ok=True)
        return ended

    def marked(self) -> list[psutil.Process]:
        """Every live process that carries this instance's mark, whoever its parent is now."""
        home = str(self.home)
        found = []
        for process in psutil.process_iter():
            if process.pid == os.getpid() or not _lives(process):
                continue
            try:
                environment = process.environ()
                # LocalExecutor's workers overwrite their environment with their title.
                titled = not environment and _title(process).startswith("airflow")
                if environment.get(MARK) == home or (titled and process.cwd().startswith(home + os.sep)):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def _of_sessions(self, records: list[Record]) -> list[psutil.Process]:
        # A record older than the machine's start says nothing: its number may be anybody's now.
        sessions = {record.pid: record for record in records if record.started > psutil.boot_time() - 60}
        found = []
        for process in psutil.process_iter():
            try:
                record = sessions.get(os.getsid(process.pid))
                if record is None or not _lives(process):
                    continue
                # The number is ours as long as its leader, when it still exists, is the process we started.
                stranger = psutil.pid_exists(record.pid) and not _same(record)
                if not stranger and process.create_time() >= record.started - 1:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def _record_file(self, name: str) -> Path:
        return self.home / "run" / f"{name}.json"


def _same(record: Record) -> bool:
    try:
        return abs(psutil.Process(record.pid).create_time() - record.started) < 1
    except psutil.Error:
        return False


def _title(process: psutil.Process) -> str:
    command = process.cmdline()
    return command[0] if command else process.name()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def wait_until(condition, seconds: float, interval: float = 0.2) -> bool:
    """True as soon as `condition()` holds, False after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True
