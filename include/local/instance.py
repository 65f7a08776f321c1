"""One platform on this machine: a folder (`VS_HOME`), its ports, its generated secrets, its environment.

Everything an instance owns lies in its folder, so two instances run side by side and deleting the folder deletes all.

    instance.json   ports and secrets, readable by the owner only
    postgres/       warehouse and metadata of the tools     airflow/    AIRFLOW_HOME
    exchange/       the exchange folders of interfaces §1   reports/    monthly reports
    sandbox/        the synthetic municipality's own state  logs/       one log a service
    dbt/            dbt's target and logs                   run/        process ids
    choices.json    what was chosen at `vs up`: sandbox or not, RIS, municipality (see CHOICES)

A choice is made by setting the variable for `vs up` (`VS_RIS_BY=files vs up`); it is remembered until `vs up` runs with
another value, so that `vs month` and a restarted scheduler see the same platform. Setting it empty takes it back.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from include.exchange.folders import Exchange
from include.local.postgres import EmbeddedPostgres, ExternalPostgres, new_password
from include.local.prepare import prepare_databases
from include.settings import PROJECT_ROOT, Role, Settings

WAREHOUSE_DATABASE = "vroegsignalering"
PORTS = ("postgres", "airflow", "ris", "superset")
SECRETS = (
    "postgres", "airflow_database", "airflow_admin", "airflow_jwt", "airflow_api", "airflow_fernet", "id_key",
    "bsn_key", "ris_token", "superset_database", "superset_key", "superset_beheer", "superset_kijker",
)  # fmt: skip
# those a person types, or that stand in a URL of a role
PASSWORDS = frozenset({"superset_beheer", "superset_kijker", *(role.value for role in Role)})

# Applied at every `vs up`, so that new ones take over there; what signs sessions ends them.
ROTATED_PASSWORDS = (
    *(role.value for role in Role), "airflow_database", "airflow_admin", "airflow_jwt", "airflow_api",
)  # fmt: skip

# What the person who starts the platform may decide, as environment of `vs up`.
CHOICES = (
    "VS_RIS_BY", "AIRFLOW_CONN_RIS", "VS_EXCHANGE_ROOT", "AIRFLOW_CONN_EXCHANGE", "VS_REPORTS", "VS_MUNICIPALITY_CODE",
    "VS_MUNICIPALITY_NAME", "VS_OPENPGP_KEYS", "VS_CHROMIUM",
    # on more machines than one: PostgreSQL that somebody else runs, Celery's broker (docs/how-to/scale-out.md)
    "VS_POSTGRES_DSN", "PGSSLMODE", "PGSSLROOTCERT", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CELERY__BROKER_URL",
    "VS_CELERY_WORKERS", "AIRFLOW__CORE__PARALLELISM",
    "VS_POLL_SECONDS", "VS_ENRICHMENT_WAIT_MINUTES", "VS_PREVIOUS_MONTH_WAIT_DAYS", "VS_APPROVAL_WAIT_HOURS",
    "VS_ACKNOWLEDGEMENT_WAIT_HOURS",
    "AIRFLOW_CONN_ALERTS_WEBHOOK", "AIRFLOW_CONN_ALERTS_SMTP", "VS_DOCS_URL", "VS_LINEAGE",
    "VS_ALERT_APPROVAL_HOURS", "VS_ALERT_CALL_LIST_HOURS", "VS_ALERT_WORKLIST_HOURS", "VS_ALERT_QUARANTINE_DAYS",
    "VS_DEADLINE_INGEST_DAYS", "VS_DEADLINE_BUILD_DAYS", "VS_DEADLINE_CLOSE_DAYS",
)  # fmt: skip
# what no service needs to know: the server's owner
STAYS_HERE = frozenset({"VS_POSTGRES_DSN"})
SANDBOX_CHOICES = (
    "VS_SANDBOX_SEED", "VS_SANDBOX_HOUSEHOLDS", "VS_SANDBOX_DIRT", "VS_SANDBOX_REJECTED", "VS_SANDBOX_LATE",
    "VS_SANDBOX_CORRECTED", "VS_SANDBOX_EXCHANGE", "VS_RIS_FAULTS",
)  # fmt: skip


def default_home() -> Path:
    """`VS_HOME`, or `.vs` in the project."""
    return Path(os.environ.get("VS_HOME") or PROJECT_ROOT / ".vs").resolve()


@dataclass(frozen=True)
class Instance:
    """A platform instance in `home`; nothing is created until `create()`."""

    home: Path

    @property
    def state_file(self) -> Path:
        return self.home / "instance.json"

    @property
    def exists(self) -> bool:
        return self.state_file.exists()

    def create(self) -> None:
        """Choose free ports and generate secrets, once; an instance of an older version gets what it lacks."""
        for folder in ("exchange", "reports", "sandbox", "logs", "dbt", "run", "airflow"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        kept = json.loads(self.state_file.read_text(encoding="utf-8")) if self.exists else {"ports": {}, "secrets": {}}
        ports = [name for name in PORTS if name not in kept["ports"]]
        secret_names = [name for name in (*SECRETS, *(role.value for role in Role)) if name not in kept["secrets"]]
        if not ports and not secret_names:
            return
        state = {
            "ports": kept["ports"] | dict(zip(ports, _free_ports(len(ports)), strict=True)),
            "secrets": kept["secrets"] | {name: _new_secret(name) for name in secret_names},
        }
        write_private(self.state_file, json.dumps(state, indent=2))
        self.__dict__.pop("_state", None)

    def rotate(self, what: str) -> list[str]:
        """New secrets, written down; `vs up` applies them. A key of BSNs goes behind the old ones, still needed."""
        state = json.loads(self.state_file.read_text(encoding="utf-8"))
        if what == "bsn":
            fresh = {"bsn_key": f"{state['secrets']['bsn_key']}:{_new_secret('bsn_key')}"}
        else:
            fresh = {name: _new_secret(name) for name in ROTATED_PASSWORDS}
        write_private(self.state_file, json.dumps(state | {"secrets": state["secrets"] | fresh}, indent=2))
        self.__dict__.pop("_state", None)
        return list(fresh)

    @cached_property
    def _state(self) -> Mapping[str, Mapping[str, str]]:
        return json.loads(self.state_file.read_text(encoding="utf-8"))

    def port(self, name: str) -> int:
        return int(self._state["ports"][name])

    def secret(self, name: str) -> str:
        return self._state["secrets"][name]

    @property
    def postgres(self) -> EmbeddedPostgres | ExternalPostgres:
        if dsn := self.choices.get("VS_POSTGRES_DSN"):
            return ExternalPostgres(dsn)
        return EmbeddedPostgres(
            self.home / "postgres", self.home / "logs" / "postgres.log", self.port("postgres"), self.secret("postgres")
        )

    @property
    def ris_url(self) -> str:
        return f"http://127.0.0.1:{self.port('ris')}/ris/v1"

    @property
    def choices(self) -> Mapping[str, str]:
        path = self.home / "choices.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def choose(self, environment: Mapping[str, str], sandbox: bool | None) -> None:
        """Remember what this `vs up` decides; `sandbox=None` and absent variables keep what was chosen before."""
        chosen = dict(self.choices) | {
            name: environment[name] for name in (*CHOICES, *SANDBOX_CHOICES) if name in environment
        }
        if sandbox is not None:
            chosen["VS_SANDBOX"] = "on" if sandbox else "off"
        write_private(
            self.home / "choices.json", json.dumps({name: value for name, value in chosen.items() if value}, indent=2)
        )

    @property
    def has_sandbox(self) -> bool:
        return self.choices.get("VS_SANDBOX") == "on"

    def platform_environment(self) -> dict[str, str]:
        """What `include/settings.py` reads; the same names docker-compose.yml sets."""
        chosen = {name: value for name, value in self.choices.items() if name in CHOICES and name not in STAYS_HERE}
        return self._generated_environment() | chosen

    def sandbox_environment(self) -> dict[str, str]:
        """What the sandbox may know: the exchange folders and its own RIS port. No way into the warehouse."""
        environment = self.platform_environment()
        return {
            "VS_SANDBOX_STATE": str(self.home / "sandbox"),
            # an exchange elsewhere: the folder in which the sandbox sees it (the SFTP server's own)
            "VS_EXCHANGE_ROOT": self.choices.get("VS_SANDBOX_EXCHANGE") or environment["VS_EXCHANGE_ROOT"],
            "VS_RIS_PORT": str(self.port("ris")),
            "VS_RIS_TOKEN": self.secret("ris_token"),
            "VS_RIS_BY": environment["VS_RIS_BY"],
        } | {name: value for name, value in self.choices.items() if name in SANDBOX_CHOICES}

    def _generated_environment(self) -> dict[str, str]:
        return {
            "VS_HOME": str(self.home),
            "VS_WAREHOUSE_HOST": self.postgres.host,
            "VS_WAREHOUSE_PORT": str(self.postgres.port),
            "VS_WAREHOUSE_DATABASE": WAREHOUSE_DATABASE,
            "VS_EXCHANGE_ROOT": str(self.home / "exchange"),
            "VS_REPORTS": str(self.home / "reports"),
            "VS_LINEAGE_FILE": str(self.home / "logs" / "lineage.jsonl"),
            "VS_BSN_KEY": self.secret("bsn_key"),
            "VS_ID_KEY": self.secret("id_key"),
            "VS_RIS_BY": "api",
            # The sandbox's months lie in the past: there, only triggers and assets start a DAG.
            "VS_SCHEDULES": "off" if self.has_sandbox else "on",
            # how often a waiting month looks again; the sandbox answers within seconds, people and partners do not
            "VS_POLL_SECONDS": "1" if self.has_sandbox else "60",
            "DBT_TARGET_PATH": str(self.home / "dbt" / "target"),
            "DBT_LOG_PATH": str(self.home / "dbt" / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "GX_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "AIRFLOW_CONN_RIS": json.dumps(
                {"conn_type": "http", "host": self.ris_url, "password": self.secret("ris_token")}
            ),
        } | {role.password_variable: self.secret(role.value) for role in Role}

    def start_warehouse(self) -> list[str]:
        """PostgreSQL up, databases there, migrations applied; returns the migrations that were new."""
        self.postgres.start()
        settings = Settings(self.platform_environment())
        Exchange(settings.exchange_root, settings.exchange_connection).lay_out()
        return prepare_databases(self.postgres.superuser_dsn, settings, self.secret("airflow_database"))


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner reads, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _new_secret(name: str) -> str:
    if name == "airflow_fernet":
        from cryptography.fernet import Fernet

        return Fernet.generate_key().decode()
    return new_password() if name in PASSWORDS else secrets.token_urlsafe(64)


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; held together while choosing, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
