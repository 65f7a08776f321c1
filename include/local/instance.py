"""One platform on this machine: a folder (`VS_HOME`), its ports, its generated secrets, its environment.

Everything an instance owns lies in its folder, so two instances run side by side and deleting the folder deletes all.

    instance.json   ports and secrets, readable by the owner only
    postgres/       warehouse and Airflow metadata          airflow/    AIRFLOW_HOME
    exchange/       the exchange folders of interfaces §1   reports/    monthly reports
    sandbox/        the synthetic municipality's own state  logs/       one log a service
    dbt/            dbt's target and logs                   run/        process ids
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

import psycopg

from include.local.postgres import EmbeddedPostgres, create_database, new_password
from include.settings import PROJECT_ROOT, Role, Settings
from include.warehouse.migrate import migrate

WAREHOUSE_DATABASE = "vroegsignalering"
AIRFLOW_DATABASE = "airflow"
PORTS = ("postgres", "airflow", "ris", "task_log", "triggerer_log")
SECRETS = ("postgres", "airflow_database", "airflow_admin", "airflow_jwt", "airflow_fernet", "id_key", "bsn_key", "ris_token")


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
        """Choose free ports and generate secrets, once."""
        for folder in ("exchange", "reports", "sandbox", "logs", "dbt", "run", "airflow"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        if self.exists:
            return
        state = {
            "ports": dict(zip(PORTS, _free_ports(len(PORTS)), strict=True)),
            "secrets": {name: _new_secret(name) for name in SECRETS}
            | {role.value: new_password() for role in Role},
        }
        draft = self.state_file.with_suffix(".tmp")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(state, indent=2), encoding="utf-8")
        draft.replace(self.state_file)

    @cached_property
    def _state(self) -> Mapping[str, Mapping[str, str]]:
        return json.loads(self.state_file.read_text(encoding="utf-8"))

    def port(self, name: str) -> int:
        return int(self._state["ports"][name])

    def secret(self, name: str) -> str:
        return self._state["secrets"][name]

    @property
    def postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(
            self.home / "postgres", self.home / "logs" / "postgres.log", self.port("postgres"), self.secret("postgres")
        )

    @property
    def ris_url(self) -> str:
        return f"http://127.0.0.1:{self.port('ris')}/ris/v1"

    def platform_environment(self) -> dict[str, str]:
        """What `include/settings.py` reads; the same names docker-compose.yml sets."""
        return {
            "VS_HOME": str(self.home),
            "VS_WAREHOUSE_HOST": "127.0.0.1",
            "VS_WAREHOUSE_PORT": str(self.port("postgres")),
            "VS_WAREHOUSE_DATABASE": WAREHOUSE_DATABASE,
            "VS_EXCHANGE_ROOT": str(self.home / "exchange"),
            "VS_REPORTS": str(self.home / "reports"),
            "VS_BSN_KEY": self.secret("bsn_key"),
            "VS_ID_KEY": self.secret("id_key"),
            "DBT_TARGET_PATH": str(self.home / "dbt" / "target"),
            "DBT_LOG_PATH": str(self.home / "dbt" / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "GX_ANALYTICS_ENABLED": "false",
            "AIRFLOW_CONN_RIS": json.dumps({"conn_type": "http", "host": self.ris_url, "password": self.secret("ris_token")}),
        } | {role.password_variable: self.secret(role.value) for role in Role}

    def start_warehouse(self) -> list[str]:
        """PostgreSQL up, databases there, migrations applied; returns the migrations that were new."""
        self.postgres.start()
        create_database(self.postgres, WAREHOUSE_DATABASE)
        create_database(self.postgres, AIRFLOW_DATABASE, owner="airflow", password=self.secret("airflow_database"))
        with psycopg.connect(f"{self.postgres.superuser_dsn}/{WAREHOUSE_DATABASE}") as connection:
            return migrate(connection, Settings(self.platform_environment()))


def _new_secret(name: str) -> str:
    if name == "airflow_fernet":
        from cryptography.fernet import Fernet

        return Fernet.generate_key().decode()
    return secrets.token_urlsafe(32)


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
