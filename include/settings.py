"""Every setting of the platform, read once from the environment.

The local platform (`include/local`) generates these at set-up; a real deployment sets them in compose, Kubernetes or
the shell. Nothing else in the code reads the environment, and no password has a default.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
CONTRACTS_FOLDER = PROJECT_ROOT / "include" / "contracts"
EXPECTATIONS_FOLDER = PROJECT_ROOT / "expectations"
DBT_PROJECT_FOLDER = PROJECT_ROOT / "dbt_project"
_TRACE_OF_THIS_PROCESS = secrets.token_hex(16)
DBT_PROFILE, DBT_TARGET = "vroegsignalering", "warehouse"  # as in dbt_project/profiles.yml


class Role(StrEnum):
    """Who connects to the warehouse; each step of the month has its own (design §5)."""

    ADMIN = "vs_admin"
    LOADER = "vs_loader"
    TRANSFORMER = "vs_transformer"
    EXPORTER = "vs_exporter"
    BI_READER = "bi_reader"

    @property
    def password_variable(self) -> str:
        return f"VS_PASSWORD_{self.name}"


class SettingMissing(RuntimeError):
    """A setting is absent; the message names the variable and where it is normally set."""


@dataclass(frozen=True)
class Settings:
    """What this process may know. Built by `Settings.from_environment()`."""

    environment: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(dict(os.environ))

    def _required(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            raise SettingMissing(
                f"{name} is not set. Locally `vs up` sets it (run commands through `vs`); "
                "in a deployment it belongs in the environment of this service (see docker-compose.yml)."
            )
        return value

    def dsn(self, role: Role) -> str:
        """The libpq URL with which `role` connects to the warehouse."""
        from urllib.parse import quote

        password = quote(self._required(role.password_variable), safe="")
        host, port = self._required("VS_WAREHOUSE_HOST"), self._required("VS_WAREHOUSE_PORT")
        return f"postgresql://{role.value}:{password}@{host}:{port}/{self._required('VS_WAREHOUSE_DATABASE')}"

    @property
    def exchange_root(self) -> str:
        """The folder, or the sftp:// or s3:// URL, of interfaces §1."""
        return self._required("VS_EXCHANGE_ROOT")

    @property
    def exchange_connection(self) -> str:
        """The Airflow connection `exchange` (JSON), which leads to an SFTP server or S3; empty for a folder."""
        return self.environment.get("AIRFLOW_CONN_EXCHANGE", "")

    @property
    def contracts_folder(self) -> Path:
        """Where the contracts lie; another folder is for trying out a contract before it goes live."""
        return Path(self.environment.get("VS_CONTRACTS") or CONTRACTS_FOLDER)

    @property
    def reports_folder(self) -> Path:
        return Path(self._required("VS_REPORTS"))

    @property
    def home(self) -> Path:
        """The platform's own folder on this machine; nothing in it is exchanged with anybody."""
        return Path(self._required("VS_HOME"))

    @property
    def answers_folder(self) -> Path:
        """Answers to residents who asked what is known about them; outside the exchange, readable by the owner only."""
        return self.home / "rights" / "answers"

    @property
    def forgotten_register(self) -> Path:
        """What was erased and until when was purged, beside the database: a restored backup does not know it."""
        return self.home / "rights" / "forgotten.json"

    @property
    def log_folders(self) -> tuple[Path, ...]:
        """Where services, Airflow's tasks and dbt write their logs on this machine."""
        named = (self.environment.get(name) for name in ("AIRFLOW__LOGGING__BASE_LOG_FOLDER", "DBT_LOG_PATH"))
        folders = [self.home / "logs", self.home / "airflow" / "logs", *(Path(one) for one in named if one)]
        return tuple(dict.fromkeys(folders))

    @property
    def origin(self) -> tuple[str, str]:
        """Where this process acts from, and the trace its operations share: a run of Airflow, or this process."""
        run = self.environment.get("AIRFLOW_CTX_DAG_RUN_ID")
        if run:
            dag, task = self.environment.get("AIRFLOW_CTX_DAG_ID", ""), self.environment.get("AIRFLOW_CTX_TASK_ID", "")
            return f"airflow {dag}.{task}", hashlib.sha256(f"{dag}|{run}".encode()).hexdigest()[:32]
        return f"{getpass.getuser()}@{socket.gethostname()}", _TRACE_OF_THIS_PROCESS

    @property
    def openpgp_keys(self) -> Path | None:
        """The recipients' public keys, laid out as the outbox; None when nothing is encrypted."""
        folder = self.environment.get("VS_OPENPGP_KEYS")
        return Path(folder) if folder else None

    @property
    def chromium(self) -> str | None:
        """The browser that prints the report; without it the first Chromium on PATH, if there is one."""
        return self.environment.get("VS_CHROMIUM") or None

    @property
    def bsn_keys(self) -> tuple[bytes, ...]:
        """Keys of the keyed hash that stands for a BSN everywhere outside landing's raw rows, the oldest first."""
        return tuple(key.encode() for key in self._required("VS_BSN_KEY").split(":"))

    @property
    def municipality_code(self) -> str:
        """CBS municipality code; 0637 is Zoetermeer."""
        return self.environment.get("VS_MUNICIPALITY_CODE", "0637")

    @property
    def municipality_name(self) -> str:
        return self.environment.get("VS_MUNICIPALITY_NAME", "Zoetermeer")

    @property
    def ris_by_files(self) -> bool:
        """True when RIS exchanges files through inbox/ris and outbox/ris instead of its API."""
        return self.environment.get("VS_RIS_BY", "api") == "files"

    @property
    def schedules_on(self) -> bool:
        """False when nothing may start by the clock (months of the past driven by hand: demo, tests, backfill)."""
        return self.environment.get("VS_SCHEDULES", "on") != "off"

    @property
    def poll_seconds(self) -> float:
        """How often a waiting task looks again."""
        return float(self.environment.get("VS_POLL_SECONDS", "60"))

    @property
    def enrichment_wait(self) -> timedelta:
        """How long a month waits for the enrichment provider before it goes on without the missing answers."""
        return timedelta(minutes=float(self.environment.get("VS_ENRICHMENT_WAIT_MINUTES", "2880")))

    @property
    def previous_month_wait(self) -> timedelta:
        """How long a month waits, from its opening, for an earlier month to be closed before its run fails."""
        return timedelta(days=float(self.environment.get("VS_PREVIOUS_MONTH_WAIT_DAYS", "45")))

    @property
    def approval_wait(self) -> timedelta:
        """How long a question waits for a person; without an answer it is a no."""
        return timedelta(hours=float(self.environment.get("VS_APPROVAL_WAIT_HOURS", "120")))

    @property
    def acknowledgement_wait(self) -> timedelta:
        """How long a closure batch waits for the acknowledgement of RIS before its run fails."""
        return timedelta(hours=float(self.environment.get("VS_ACKNOWLEDGEMENT_WAIT_HOURS", "72")))

    @property
    def approval_alert(self) -> timedelta:
        """How long a question may wait for a person before somebody is told."""
        return timedelta(hours=float(self.environment.get("VS_ALERT_APPROVAL_HOURS") or "24"))

    @property
    def call_list_alert(self) -> timedelta:
        """How long a delivered call list may go without a first outcome or an acknowledgement."""
        return timedelta(hours=float(self.environment.get("VS_ALERT_CALL_LIST_HOURS") or "72"))

    @property
    def worklist_alert(self) -> timedelta:
        """How long a month's work lists may go without a first follow-up or an acknowledgement."""
        return timedelta(hours=float(self.environment.get("VS_ALERT_WORKLIST_HOURS") or "168"))

    @property
    def quarantine_alert(self) -> timedelta:
        """How long rows may lie in quarantine."""
        return timedelta(days=float(self.environment.get("VS_ALERT_QUARANTINE_DAYS") or "7"))

    @property
    def ingest_deadline(self) -> timedelta:
        """From the opening of a month until its deliveries are in."""
        return timedelta(days=float(self.environment.get("VS_DEADLINE_INGEST_DAYS") or "12"))

    @property
    def build_deadline(self) -> timedelta:
        """From landed signals until the month has its cases; the enrichment provider's time is part of it."""
        return timedelta(days=float(self.environment.get("VS_DEADLINE_BUILD_DAYS") or "4"))

    @property
    def close_deadline(self) -> timedelta:
        """From the end of a month until it is closed."""
        return timedelta(days=float(self.environment.get("VS_DEADLINE_CLOSE_DAYS") or "10"))

    @property
    def lineage_file(self) -> Path | None:
        """Where OpenLineage events are appended; None when lineage is switched off."""
        file = self.environment.get("VS_LINEAGE_FILE")
        return Path(file) if file and self.environment.get("VS_LINEAGE", "on") != "off" else None

    @property
    def docs_url(self) -> str | None:
        """Where `docs/` can be read in a browser, for the links in alerts; without it they are paths in the project."""
        return self.environment.get("VS_DOCS_URL") or None

    @property
    def dbt_target_folder(self) -> Path:
        """Where dbt keeps its parse of the project; every month has a folder of its own in it."""
        return Path(self._required("DBT_TARGET_PATH"))
