"""Where the time of a month goes in Airflow: what every task did at every moment, from the metadata and the logs.

While the month runs, `Watch` notes twenty times a second in which state each task is (a row of `task_instance` says
only how its last try began and ended: who deferred, asked or was looked at again left no trace in it). From the logs
come the moments in which a task's own work began and ended, so that the cost of starting a process can be told from the
work itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
import psycopg

from include.local.processes import Processes

LOOK_EVERY_SECONDS = 0.05
#: What a moment is called, by the furthest state any task is in.
PHASES = {
    "running": "a task runs",
    "queued": "queued, until a worker starts it",
    "scheduled": "scheduled, until it is queued",
    "awaiting_input": "a question waits for its answer",
    "deferred": "deferred to the triggerer",
    "up_for_reschedule": "looked, and looks again later",
    "up_for_retry": "failed, and is tried again",
}
BETWEEN = "between tasks (the scheduler decides, a run starts or ends, the driver looks)"

Key = tuple[str, str, int]
"""DAG, task, map index."""


@dataclass(frozen=True)
class TaskTimes:
    """One task of the month: seconds it spent in each state, and in its own work."""

    key: Key
    states: Mapping[str, float]
    work: float

    @property
    def name(self) -> str:
        dag, task, index = self.key
        return f"{dag}.{task}" + (f"[{index}]" if index >= 0 else "")

    @property
    def process(self) -> float:
        """Seconds of running that were not its work: the process starts, reads the DAG, reports and ends."""
        return max(0.0, self.states.get("running", 0.0) - self.work)


@dataclass
class Watch:
    """Notes the states of all tasks while its block runs."""

    metadata: str
    logs: Path
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    per_task: dict[Key, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    _runs: set[str] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self.metadata, autocommit=True) as connection:
            before = time.perf_counter()
            while not self._stopping.wait(LOOK_EVERY_SECONDS):
                rows = connection.execute(
                    "select dag_id, task_id, map_index, state, run_id from task_instance where state = any(%s)",
                    (list(PHASES),),
                ).fetchall()
                now = time.perf_counter()
                spent, before = now - before, now
                states = {row[3] for row in rows}
                self.seconds[next((PHASES[state] for state in PHASES if state in states), BETWEEN)] += spent
                for dag, task, index, state, run in rows:
                    self._runs.add(run)
                    self.per_task[dag, task, index][state] += spent

    def tasks(self) -> list[TaskTimes]:
        """Every task that was seen, those that ran longest first."""
        work = self._work()
        found = [TaskTimes(key, dict(states), work.get(key, 0.0)) for key, states in self.per_task.items()]
        return sorted(found, key=lambda task: -task.states.get("running", 0.0))

    def _work(self) -> dict[Key, float]:
        """Seconds between the end of a task's preparation and the beginning of its clearing up, over all its tries."""
        found: dict[Key, float] = defaultdict(float)
        for path in self.logs.glob("dag_id=*/run_id=*/**/*.log"):
            parts = dict(part.split("=", 1) for part in path.relative_to(self.logs).parts if "=" in part)
            if parts["run_id"] in self._runs:
                key = (parts["dag_id"], parts["task_id"], int(parts.get("map_index", -1)))
                found[key] += sum(_spans(path))
        return found


def processor_seconds(processes: Processes, postgres: Path) -> dict[str, float]:
    """Seconds of processor that each service has used so far, and `tasks`: what the scheduler has forked.

    `postgres` is the data folder of the server, which serves both the warehouse and Airflow's metadata.
    """
    used: dict[str, float] = defaultdict(float)
    for record in processes.records():
        leader = record.leader()
        if leader is None:
            continue
        forked = "tasks" if record.name == "scheduler" else record.name
        used[record.name] += _own(leader)
        used[forked] += _ended(leader) + sum(_own(child) + _ended(child) for child in leader.children(recursive=True))
    server = psutil.Process(int((postgres / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
    used["postgres"] = _own(server) + _ended(server) + sum(_own(child) for child in server.children())
    return dict(used)


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _ended(process: psutil.Process) -> float:
    """Of the processes it started and that have ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.children_user + times.children_system


def _spans(path: Path) -> Iterator[float]:
    began: datetime | None = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        at = datetime.fromisoformat(said["timestamp"])
        if said["event"] == "::endgroup::" and began is None:
            began = at
        elif said["event"] == "::group::Post Execute" and began is not None:
            yield (at - began).total_seconds()
            began = None
        elif said["event"] == "::group::Pre Execute":
            began = None
