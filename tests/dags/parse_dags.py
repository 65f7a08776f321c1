"""Run as a process of its own: parse every DAG file and print what was found, as JSON.

Airflow and Cosmos are imported first and not counted; then every file is parsed in a fresh fork, so that no file pays
or saves another's imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import airflow  # noqa: F401  before cosmos
import cosmos.operators.local  # noqa: F401
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

BEFORE = set(sys.modules)


def parsed(file: Path) -> dict:
    """What one file holds, and what parsing it cost."""
    started = time.process_time()  # of the processor: another process beside it does not count
    bag = DagBag(str(file))
    seconds = time.process_time() - started
    imported = sorted({name.split(".")[0] for name in set(sys.modules) - BEFORE})
    return {
        "file": file.name,
        "seconds": seconds,
        "errors": list(bag.import_errors.values()),
        "imported": imported,
        "dags": {dag_id: described(dag) for dag_id, dag in bag.dags.items()},
    }


def described(dag) -> dict:
    return {
        "doc_md": dag.doc_md,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "start_date": dag.start_date.isoformat() if dag.start_date else None,
        "max_active_runs": dag.max_active_runs,
        "timetable": type(dag.timetable).__name__,
        "deadline": dag.deadline[0].callback.path if dag.deadline else None,
        "tasks": {task.task_id: described_task(task) for task in dag.tasks},
        "serialised": json.dumps(DagSerialization.to_dict(dag), sort_keys=True, default=str),
    }


def described_task(task) -> dict:
    return {
        "type": task.task_type,
        "owner": task.owner,
        "retries": task.retries,
        "policy": type(task.retry_policy).__name__,
        "doc": bool(task.doc_md or getattr(getattr(task, "python_callable", None), "__doc__", None)),
        "outlets": [outlet.name for outlet in task.outlets],
        "defaults": getattr(task, "defaults", None),
        "tells": [callback.__name__ for callback in callbacks(task.on_failure_callback)],
        "other_callbacks": [
            callback.__name__
            for others in (task.on_success_callback, task.on_execute_callback, task.on_skipped_callback)
            for callback in callbacks(others)
        ],
        "downstream": sorted(task.downstream_task_ids),
    }


def callbacks(given) -> list:
    """Airflow keeps one, several or none, depending on the kind of task."""
    return list(given) if isinstance(given, list | tuple) else [given] if given else []


def in_a_fork(file: Path) -> dict:
    """`parsed`, in a child that leaves nothing behind."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(parsed(file), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = json.load(pipe)
    os.wait()
    return answer


if __name__ == "__main__":
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.write_text(json.dumps([in_a_fork(file) for file in sorted(folder.glob("*.py"))]), encoding="utf-8")
