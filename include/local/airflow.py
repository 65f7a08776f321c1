"""A real Airflow on one machine: its settings, its components, its first user, its health.

The components are started one by one (never `airflow standalone`, which leaves LocalExecutor's workers behind), share
the instance's PostgreSQL for their metadata and speak only on 127.0.0.1. Every setting is an environment variable with
the name that docker-compose.yml uses too; tests/unit/test_compose.py compares the two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from include.local.instance import Instance, write_private
from include.local.prepare import AIRFLOW_DATABASE, AIRFLOW_OWNER
from include.local.processes import Processes, Service, inherited_environment, wait_until
from include.settings import PROJECT_ROOT

USER = "admin"
SCHEDULER_SETTINGS = Path(__file__).parent / "scheduler_settings"
# Log servers stay off: every component reads the same log folder.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
# as Airflow's monitor calls those that write heartbeats
HEARTBEATS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
START_SECONDS = 240
# how Airflow 3.3.2's scheduler says that it has seen a task's process end, and in which state the task was then
NOTICED, PARKED = "TaskInstance Finished:", ", state=awaiting_input,"
NEWEST_BYTES = 500_000
CELERY = "CeleryExecutor"
# two tasks at once a worker: each is a process that stays
WORKER = ("celery", "worker", "--concurrency", "2", "--skip-serve-logs", "--without-mingle", "--without-gossip")

# Who may come in, on one machine behind its loopback address; docker-compose.yml has people with passwords and roles.
LOGIN = {
    "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
}

# The same on every machine. A month is many short steps: the loops look often, so that waiting is no part of it.
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
    # near the number of cores: every worker is a process that stays
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__CORE__MP_START_METHOD": "fork",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__CORE__TEST_CONNECTION": "Disabled",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__API__EXPOSE_CONFIG": "false",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # a killed scheduler is known dead after this, and its tasks are started again at the next check
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "60",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__CAPACITY": "100",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "120",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
    # a DAG that differs at every parse would grow a new version a minute
    "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "warning",
    # patient with two busy cores
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    # a supervisor that just misses its task's exit looks again after this; with the default of 5 s the slot stays taken
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "false",
    # with Celery only: a busy broker may take longer than the default second to take a task
    "AIRFLOW__CELERY__OPERATION_TIMEOUT": "10",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
    # nothing reports home
    "AIRFLOW__METRICS__STATSD_ON": "false",
    "AIRFLOW__METRICS__OTEL_ON": "false",
    "AIRFLOW__TRACES__OTEL_ON": "false",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "false",
    "SCARF_ANALYTICS": "false",
}


class AirflowUnhealthy(RuntimeError):
    """A component does not come up; the message names it and its log."""


@dataclass(frozen=True)
class LocalAirflow:
    """Airflow of one instance. `dags` differs from the project's folder in tests only."""

    instance: Instance
    dags: Path = PROJECT_ROOT / "dags"

    @cached_property
    def processes(self) -> Processes:
        return Processes(self.instance.home)

    @property
    def home(self) -> Path:
        return self.instance.home / "airflow"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.instance.port('airflow')}"

    @property
    def passwords_file(self) -> Path:
        return self.home / "passwords.json"

    def environment(self) -> dict[str, str]:
        """The whole environment of a component: the platform's settings and Airflow's."""
        instance = self.instance
        server = f"{instance.postgres.host}:{instance.postgres.port}"
        database = f"{AIRFLOW_OWNER}:{instance.secret('airflow_database')}@{server}/{AIRFLOW_DATABASE}"
        connections = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
        # what was chosen comes after the settings: another executor is a choice (docs/how-to/scale-out.md)
        return inherited_environment() | connections | SETTINGS | LOGIN | instance.platform_environment() | {
            "PYTHONPATH": str(PROJECT_ROOT),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__FERNET_KEY": instance.secret("airflow_fernet"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords_file),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(instance.port("airflow")),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": instance.secret("airflow_api"),
            "AIRFLOW__API_AUTH__JWT_SECRET": instance.secret("airflow_jwt"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.home / "logs" / "dag_processor"),
        }  # fmt: skip

    @property
    def components(self) -> dict[str, tuple[str, ...]]:
        """What runs, by name: the four of every Airflow, and Celery's workers when tasks go through Celery."""
        chosen = self.instance.choices
        if chosen.get("AIRFLOW__CORE__EXECUTOR") != CELERY:
            return COMPONENTS
        count = int(chosen.get("VS_CELERY_WORKERS") or 1)
        # each by a name of its own: they share the machine's
        return COMPONENTS | {
            f"worker-{number}": (*WORKER, "--celery-hostname", f"worker-{number}") for number in range(1, count + 1)
        }

    def services(self) -> list[Service]:
        environment = self.environment()
        preloading = environment | {"PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), str(SCHEDULER_SETTINGS)])}
        return [
            Service(name, _airflow(*arguments), preloading if _forks_tasks(name) else environment, self.home)
            for name, arguments in self.components.items()
        ]

    def start_migration(self) -> subprocess.Popen[bytes]:
        """Begin to bring the metadata tables up to date; `finish_migration` waits for it."""
        self.home.mkdir(parents=True, exist_ok=True)
        write_private(self.passwords_file, json.dumps({USER: self.instance.secret("airflow_admin")}))
        with open(self.processes.log("airflow-migrate"), "ab") as log:
            return subprocess.Popen(
                _airflow("db", "migrate"), env=self.environment(), cwd=self.home, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def finish_migration(self, migration: subprocess.Popen[bytes]) -> None:
        if migration.wait():
            raise AirflowUnhealthy(
                f"Airflow's metadata could not be brought up to date; see {self.processes.log('airflow-migrate')}"
            )

    def start(self) -> list[str]:
        """Start what does not run; returns the names that were started."""
        return [service.name for service in self.services() if self.processes.start(service)]

    def wait_until_healthy(self, seconds: float = START_SECONDS) -> None:
        """Return when every component reports healthy; otherwise say which does not and where its log is.

        A component that ends meanwhile is started once more: when PostgreSQL was away, one that still ran at `start`
        may give up just after it.
        """
        again: set[str] = set()

        def is_decided() -> bool:
            stopped = set(self._stopped())
            if stopped and not stopped & again:
                again.update(stopped)
                self.start()
                return False
            return bool(stopped) or not self.unhealthy()

        if not wait_until(is_decided, seconds, 0.3) or self._stopped():
            names = self._stopped() or self.unhealthy()
            logs = "\n".join(
                f"  {name}: {self.processes.log(name)}{_last_lines(self.processes.log(name))}" for name in names
            )
            raise AirflowUnhealthy(f"Airflow did not become healthy. Not up: {', '.join(names)}. Their logs:\n{logs}")

    def unhealthy(self) -> list[str]:
        """The components that do not report healthy, as Airflow's own monitor sees them."""
        import httpx

        try:
            with httpx.Client(trust_env=False, timeout=10) as client:
                health = client.get(f"{self.url}/api/v2/monitor/health").raise_for_status().json()
                # the first call of a task builds this part of the server, for seconds: let it be this call
                client.get(f"{self.url}/execution/health").raise_for_status()
        except (httpx.HTTPError, ValueError):
            return list(self.components)
        return [name for name in self.components if not self._is_healthy(name, health)]

    def has_noticed_question(self, task_instance: str) -> bool:
        """The scheduler's log says that the process which asked has ended and that it knows: the answer may come."""
        log = self.processes.log("scheduler")
        if not log.exists():
            return False
        with log.open("rb") as lines:
            lines.seek(max(0, log.stat().st_size - NEWEST_BYTES))
            said = lines.read().decode(errors="replace").splitlines()
        return any(NOTICED in line and f"ti_id={task_instance}," in line and PARKED in line for line in said)

    def _is_healthy(self, name: str, health: Mapping[str, Mapping[str, str | None]]) -> bool:
        record = self.processes.record(name)
        if record is None or not record.leader():
            return False
        if name not in HEARTBEATS:
            return True
        reported = health.get(HEARTBEATS[name]) or {}
        heartbeat = reported.get(f"latest_{HEARTBEATS[name]}_heartbeat")
        # a heartbeat from before it started is its predecessor's
        return reported.get("status") == "healthy" and bool(heartbeat) and _seconds(heartbeat) >= record.started

    def _stopped(self) -> list[str]:
        return [name for name in self.components if not self.processes.is_running(name)]


def _forks_tasks(component: str) -> bool:
    """Tasks are forked from it, so what it has imported they have."""
    return component == "scheduler" or component.startswith("worker-")


def _airflow(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "airflow", *arguments)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _last_lines(log: Path, count: int = 5) -> str:
    if not log.exists():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    return "".join(f"\n      {line[:300]}" for line in lines)
