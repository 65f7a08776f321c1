"""What goes wrong, and where: one task of a month in a process of its own, and one fault at a place in it.

A place is where the work meets the world: before and after a statement in PostgreSQL (ours, dbt's, those of Great
Expectations), before and after a commit, a file that is read, half written, written or renamed, a request to RIS. The
places a task comes to are counted when nothing goes wrong; a fault is then told the number of its place. What happens
there is real: SIGKILL, a file system without space, folders that are gone.

Processes are forked from a server that has imported the heavy libraries and done nothing else, so that a killed process
costs milliseconds instead of a start of Python.
"""

from __future__ import annotations

import fcntl
import functools
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.months import Month

KILLED = -signal.SIGKILL
#: a task that failed in a way that passes by itself: Airflow tries it again
TO_BE_TRIED_AGAIN = 75
PATIENCE_SECONDS = 300
PRELOADED = (
    "include.orchestration.dbt_stage", "include.orchestration.retries", "dbt.cli.main", "dbt.adapters.postgres",
    "great_expectations", "great_expectations.expectations.core", "fsspec.implementations.local",
    "include.ingest.deliveries", "include.ingest.landing", "include.ingest.enrichment", "include.ingest.ris",
    "include.quality.gates", "include.outbound.certin_call_list", "include.outbound.kwadraad_worklist",
    "include.outbound.partner_feedback", "include.outbound.ris_closures", "include.outbound.ddas",
    "include.reporting.monthly_report", "include.warehouse.closure_ledger", "include.sandbox.enrichment",
    "tests.chaos.faults", "tests.month_in_process",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What happens when a process comes to its `place`-th place; nothing when that is 0."""

    kind: str = "none"
    place: int = 0
    #: what the kind needs: the server's data folder, the exchange root, the file that fills a file system
    where: str = ""


@dataclass(frozen=True)
class Ended:
    """How a process ended, after how many places, in seconds."""

    code: int
    places: int
    seconds: float
    #: where it was when the fault came
    at: str


class Running:
    """One task in a process of its own."""

    def __init__(self, task: str, month: Month, environment: Mapping[str, str], fault: Fault, told: Path) -> None:
        self.told, self.started = told, time.monotonic()
        told.unlink(missing_ok=True)
        self.process = _server().Process(target=_in_child, args=(task, month, dict(environment), fault, str(told)))
        self.process.start()

    def kill(self) -> None:
        """SIGKILL, whatever it is doing; nothing when it was quicker."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)

    def end(self) -> Ended:
        """Wait until it has ended."""
        self.process.join(PATIENCE_SECONDS)
        if self.process.exitcode is None:
            self.kill()
            self.process.join()
            raise TimeoutError(f"a task did not end in {PATIENCE_SECONDS} s: {self._told()}")
        places, _, at = self._told().partition(" ")
        return Ended(self.process.exitcode, int(places or 0), time.monotonic() - self.started, at.strip())

    def _told(self) -> str:
        return self.told.read_text(encoding="utf-8") if self.told.exists() else ""


def run(task: str, month: Month, environment: Mapping[str, str], told: Path, fault: Fault | None = None) -> Ended:
    """Run a task in a process of its own, to its end."""
    return Running(task, month, environment, fault or Fault(), told).end()


@functools.cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _in_child(task: str, month: Month, environment: dict[str, str], fault: Fault, told: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    places = _Places(fault, Path(told))
    places.watch()
    code = 1
    try:
        _work(task, month)
        code = 0
    except BaseException as failure:  # noqa: BLE001 - the end of the process says what happened
        if _passes_by_itself(failure):
            code = TO_BE_TRIED_AGAIN
        else:
            traceback.print_exc()
        places.at += f", then {type(failure).__name__}: {' '.join(str(failure).split())[:120]}"
    places.tell()
    sys.stdout.flush()
    os._exit(code)


def _work(task: str, month: Month) -> None:
    from include.warehouse.dbt import MonthIsClosed
    from tests.month_in_process import STEPS, run_task, with_deliveries

    if task == "nothing":
        return
    if task == "month":
        # where another run has closed the month, Airflow skips the rest
        with suppress(MonthIsClosed):
            for name in [name for names in STEPS.values() for name in names]:
                for one in with_deliveries(name, month):
                    _work(one, month)
        return
    if task == "await_enrichment":
        _answer_requests()
    run_task(task, month)


def _answer_requests() -> None:
    """What the enrichment provider does; two runs at once have one provider."""
    from include.sandbox.enrichment import Provider
    from include.sandbox.settings import SandboxPlaces, SandboxSettings

    places = SandboxPlaces.from_environment()
    handle = os.open(places.exchange_root, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    Provider(SandboxSettings.from_environment(), places.exchange_root, places.state).answer_all()
    os.close(handle)


def _passes_by_itself(failure: BaseException) -> bool:
    """As Airflow's tasks judge it; a stage's answer is judged by its words (include/orchestration/dbt_stage.py)."""
    from include.orchestration.dbt_stage import INTERRUPTION
    from include.orchestration.retries import passes_by_itself
    from include.warehouse.dbt import DbtStageFailed

    return passes_by_itself(failure) or isinstance(failure, DbtStageFailed) and bool(INTERRUPTION.search(str(failure)))


class _Places:
    """Counts the places this process comes to, and lets the fault happen at its own."""

    def __init__(self, fault: Fault, told: Path) -> None:
        self.fault, self.told, self.count, self.at = fault, told, 0, ""
        self.lock = threading.Lock()

    def reached(self, what: str, half: Callable[[], None] | None = None) -> None:
        """Another place; `half` is what a killed process had done of it."""
        with self.lock:
            self.count += 1
            if self.count != self.fault.place:
                return
            self.at = what
            self.tell()
            if half and self.fault.kind == "kill":
                half()
            _HAPPENS[self.fault.kind](self.fault.where)

    def tell(self) -> None:
        self.told.write_text(f"{self.count} {self.at}", encoding="utf-8")

    def watch(self) -> None:
        """Put a place before and after everything that meets the world."""
        import httpx
        import psycopg
        from dbt.adapters.sql.connections import SQLConnectionManager
        from fsspec.implementations.local import LocalFileSystem
        from sqlalchemy import Engine, event

        for owner, name in (
            (psycopg.Cursor, "execute"), (psycopg.Cursor, "executemany"), (psycopg.Cursor, "copy"),
            (psycopg.Copy, "write"), (psycopg.Copy, "write_row"),
            (psycopg.Connection, "commit"), (SQLConnectionManager, "add_query"), (LocalFileSystem, "cat_file"),
            (LocalFileSystem, "mv"), (httpx.Client, "send"),
        ):  # fmt: skip
            self._around(owner, name)
        event.listen(Engine, "before_cursor_execute", lambda *_: self.reached("a rule of a gate"))
        write = LocalFileSystem.pipe_file

        def written(filesystem: Any, path: str, value: bytes, **options: Any) -> Any:
            name = Path(path).name
            self.reached(f"half of {name}", lambda: Path(path).write_bytes(value[: len(value) // 2]))
            done = write(filesystem, path, value, **options)
            self.reached(f"after writing {name}")
            return done

        LocalFileSystem.pipe_file = written
        replace = os.replace

        def replaced(source: Any, target: Any, **options: Any) -> None:
            self.reached(f"before {Path(target).name} gets its name")
            replace(source, target, **options)
            self.reached(f"after {Path(target).name} got its name")

        os.replace = replaced

    def _around(self, owner: type, name: str) -> None:
        work, rows = getattr(owner, name), iter(range(10**9))

        @functools.wraps(work)
        def worked(*arguments: Any, **options: Any) -> Any:
            # of the many rows of a load every hundredth is a place
            if name == "write_row" and next(rows) % 100:
                return work(*arguments, **options)
            self.reached(f"before {owner.__name__}.{name}")
            done = work(*arguments, **options)
            self.reached(f"after {owner.__name__}.{name}")
            return done

        setattr(owner, name, worked)


# -- what happens ------------------------------------------------------------------------------------------------------


def die(where: str = "") -> None:
    """No word, no clean-up: nothing of this process runs after this."""
    os.kill(os.getpid(), signal.SIGKILL)


def cut_power(data: str) -> None:
    """SIGKILL to every process of the PostgreSQL in the folder `data`; it must be started again."""
    import psutil

    postmaster = psutil.Process(int((Path(data) / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def unmount(root: str) -> None:
    """The exchange folders are gone as a network folder is gone: its place is there and holds nothing."""
    os.rename(root, f"{root}.away")
    os.mkdir(root)


def mount_again(root: str) -> list[str]:
    """Put the folders back; returns what was written meanwhile where nobody would ever find it."""
    lost = [str(path.relative_to(root)) for path in sorted(Path(root).rglob("*")) if path.is_file()]
    for path in sorted(Path(root).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    os.rmdir(root)
    os.rename(f"{root}.away", root)
    return lost


def fill(ballast: str) -> None:
    """Write a file until its file system has no byte left; without such a file no file may grow any more (EFBIG)."""
    if not ballast:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return
    with open(ballast, "ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)


_HAPPENS: Mapping[str, Callable[[str], None]] = {
    "kill": die, "power cut": cut_power, "exchange gone": unmount, "disk full": fill,
}  # fmt: skip
