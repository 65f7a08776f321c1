"""A whole platform up and down: PostgreSQL, platform tables, code lists, Airflow, and the sandbox when chosen.

`up` starts only what does not run and may be repeated at any moment, also after a crash; `down` ends every process of
the instance and proves it. Data stays: delete the folder (`make clean`) to delete an instance.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from include.local.airflow import LocalAirflow
from include.local.foundation import build_foundation
from include.local.instance import Instance
from include.local.postgres import EmbeddedPostgres
from include.local.processes import Processes
from include.local.sandbox import LocalSandbox
from include.local.secrets_check import refuse_weak_secrets

Say = Callable[[str], None]


class ProcessesLeft(RuntimeError):
    """Something of the instance still runs after `down`."""


def up(instance: Instance, say: Say, *, sandbox: bool | None = None) -> LocalAirflow:
    """Bring the platform up and return when it is healthy. `sandbox=None`: with or without it, as last time."""
    started = time.monotonic()
    instance.create()
    with _alone(instance):
        instance.choose(os.environ, sandbox)
        refuse_unready(instance)
        load_environment(instance)
        airflow, municipality = LocalAirflow(instance, _dags_folder()), LocalSandbox(instance)

        say("PostgreSQL: starting")
        migrations = instance.start_warehouse()
        say(f"PostgreSQL: up on {instance.postgres.host}:{instance.postgres.port}{_applied(migrations)}")

        migration = None if _metadata_is_current(airflow) else airflow.start_migration()
        if migration:
            say("Airflow: preparing its metadata")
        try:
            built = build_foundation(instance)
        finally:
            if migration:
                airflow.finish_migration(migration)
                _metadata_stamp(airflow).write_text(version("apache-airflow"), encoding="utf-8")
        say("Warehouse: code lists, rules and staging views " + ("built" if built else "unchanged"))

        if instance.has_sandbox:
            municipality.start()
        else:
            municipality.stop()
        names = airflow.start()
        say("Airflow: " + (f"starting {', '.join(names)}" if names else "all components run already"))
        airflow.wait_until_healthy()
        if instance.has_sandbox:
            municipality.wait_until_serving()
            say(f"Sandbox: RIS serves on {instance.ris_url}")
        say(f"Airflow: healthy on {airflow.url} ({time.monotonic() - started:.0f} s)")
    return airflow


def refuse_unready(instance: Instance) -> None:
    """A platform for real data does not start without its secrets, nor with the sandbox's way to RIS."""
    if instance.has_sandbox:
        return
    environment = LocalAirflow(instance).environment()
    if "AIRFLOW_CONN_RIS" not in (instance.choices.keys() | os.environ.keys()):
        # what is generated leads to the sandbox
        environment.pop("AIRFLOW_CONN_RIS", None)
    refuse_weak_secrets(environment)


def down(instance: Instance, say: Say) -> None:
    """End every process of the instance: its services with all they forked, then PostgreSQL."""
    if not instance.exists:
        say(f"There is no platform in {instance.home}")
        return
    with _alone(instance):
        processes = Processes(instance.home)
        names = [record.name for record in processes.records()]
        processes.stop()
        if names:
            say(f"Stopped: {', '.join(names)}")
        is_ours = isinstance(instance.postgres, EmbeddedPostgres)
        instance.postgres.stop()
        left = processes.marked()
        if left or (is_ours and instance.postgres.is_running()):
            raise ProcessesLeft(
                f"Still running: {', '.join(str(process.pid) for process in left) or 'PostgreSQL'}. "
                f"Run `vs down` again; the logs are in {instance.home / 'logs'}."
            )
        if is_ours:
            say("PostgreSQL: stopped. Everything is down; the data stays in " + str(instance.home))
        else:
            say(f"Everything of ours is down; PostgreSQL on {instance.postgres.host} is not ours to stop")


def is_up(instance: Instance) -> bool:
    """PostgreSQL and every Airflow component run (healthy or not)."""
    processes = Processes(instance.home)
    components = LocalAirflow(instance).components
    return instance.exists and instance.postgres.is_running() and all(processes.is_running(name) for name in components)


def load_environment(instance: Instance) -> None:
    """This process may now speak to the platform, as its services do."""
    os.environ.update(instance.platform_environment())


def _dags_folder() -> Path:
    # tests only: a platform with two small DAGs
    return Path(os.environ.get("VS_DAGS_FOLDER") or LocalAirflow.dags)


def _applied(migrations: list[str]) -> str:
    return f", {len(migrations)} migrations applied" if migrations else ""


def _metadata_stamp(airflow: LocalAirflow) -> Path:
    return airflow.home / "metadata-version"


def _metadata_is_current(airflow: LocalAirflow) -> bool:
    stamp = _metadata_stamp(airflow)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == version("apache-airflow")


@contextmanager
def _alone(instance: Instance) -> Iterator[None]:
    """One `up` or `down` at a time per instance; the second waits for the first."""
    with open(instance.home / "run" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
