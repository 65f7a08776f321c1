"""Superset of one instance: its environment, its metadata database, its dashboards from `bi/`, its one process.

It lives in an environment of its own (`.venv-bi`, made by `make bi` from `bi/requirements.lock`), because it needs a
SQLAlchemy that Airflow refuses. It reads numbers as `bi_reader` and speaks only on 127.0.0.1. The dashboards and roles
are those of `bi/`; `bi/apply_assets.py` brings Superset to them, in one process that leaves again.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.bi.assets import ASSETS_FOLDER, BI_FOLDER, MASKED_PASSWORD
from include.local.instance import WAREHOUSE_DATABASE, Instance, write_private
from include.local.prepare import SUPERSET_DATABASE, SUPERSET_OWNER, prepare_superset
from include.local.processes import Processes, Service, inherited_environment, wait_until
from include.settings import PROJECT_ROOT, Role

NAME = "superset"
ENVIRONMENT_FOLDER = PROJECT_ROOT / ".venv-bi"
#: who may log in, as bi/roles.yaml says; each has a password of this instance
ADMIN, VIEWER = "beheer", "kijker"
START_SECONDS = 120
THREADS = 8


class SupersetFailed(RuntimeError):
    """Superset did not start or did not take the dashboards; the message has its words or its log."""


@dataclass(frozen=True)
class LocalSuperset:
    """Superset of one instance. `warehouse` and `assets` differ from the instance's own in tests only."""

    instance: Instance
    warehouse: str = WAREHOUSE_DATABASE
    assets: Path = ASSETS_FOLDER

    @property
    def processes(self) -> Processes:
        return Processes(self.instance.home)

    @property
    def home(self) -> Path:
        return self.instance.home / "superset"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.instance.port('superset')}"

    @property
    def passwords_file(self) -> Path:
        return self.home / "passwords.json"

    @property
    def was_started(self) -> bool:
        """It runs, or it ended without being told to."""
        return self.processes.record(NAME) is not None

    def password(self, user: str) -> str:
        return self.instance.secret(f"superset_{user}")

    def prepare(self) -> None:
        """Its empty database, its folder, and the passwords where a person finds them."""
        if not (ENVIRONMENT_FOLDER / "bin" / "gunicorn").exists():
            raise SupersetFailed(f"Superset is not installed in {ENVIRONMENT_FOLDER}. Install and start it: make bi")
        self.home.mkdir(parents=True, exist_ok=True)
        prepare_superset(self.instance.postgres.superuser_dsn, self.instance.secret("superset_database"))
        write_private(
            self.passwords_file, json.dumps({user: self.password(user) for user in (ADMIN, VIEWER)}, indent=2)
        )

    def apply_assets(self) -> dict[str, int]:
        """Bring Superset to the dashboards, datasets and roles of `bi/`; returns how many of each there are."""
        done = subprocess.run(
            [str(ENVIRONMENT_FOLDER / "bin" / "python"), str(BI_FOLDER / "apply_assets.py"), str(self.assets)],
            env=self._environment() | self._secrets_of_assets(), cwd=self.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        log = self.processes.log("superset-import")
        log.write_text(done.stderr, encoding="utf-8")
        said = _last_line_of(done.stdout)
        if done.returncode:
            why = said.get("refused") or (done.stderr.strip().splitlines() or ["It said nothing."])[-1]
            raise SupersetFailed(f"The dashboards were not imported. {why[:2000]}\nThe whole log is {log}")
        return said

    def start(self) -> bool:
        """Start it unless it runs just so already."""
        return self.processes.start(self._service())

    def stop(self) -> bool:
        """Stop it; False when it did not run."""
        running = self.was_started
        self.processes.stop([NAME])
        return running

    def is_healthy(self) -> bool:
        import httpx

        try:
            with httpx.Client(trust_env=False, timeout=5) as client:
                return client.get(f"{self.url}/health").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def wait_until_healthy(self, seconds: float = START_SECONDS) -> None:
        wait_until(lambda: self.is_healthy() or not self.processes.is_running(NAME), seconds)
        if not self.is_healthy():
            raise SupersetFailed(f"Superset did not become healthy on {self.url}; see {self.processes.log(NAME)}")

    def _service(self) -> Service:
        command = (
            str(ENVIRONMENT_FOLDER / "bin" / "gunicorn"), "--bind", f"127.0.0.1:{self.instance.port('superset')}",
            "--workers", "1", "--worker-class", "gthread", "--threads", str(THREADS), "--timeout", "120",
            "superset.app:create_app()",
        )  # fmt: skip
        return Service(NAME, command, self._environment(), self.home)

    def _environment(self) -> dict[str, str]:
        """What the running Superset knows: its key and its own database. Not a word about the warehouse."""
        secret, server = self.instance.secret("superset_database"), self.instance.postgres
        return inherited_environment() | {
            "SUPERSET_CONFIG_PATH": str(BI_FOLDER / "superset_config.py"),
            "SUPERSET_HOME": str(self.home),
            "FLASK_APP": "superset",
            "SCARF_ANALYTICS": "false",
            "VS_SUPERSET_KEY": self.instance.secret("superset_key"),
            "VS_SUPERSET_METADATA": (
                f"postgresql+psycopg2://{SUPERSET_OWNER}:{secret}@{server.host}:{server.port}/{SUPERSET_DATABASE}"
            ),
        }

    def _secrets_of_assets(self) -> dict[str, str]:
        """What importing needs besides: the way to the marts (Superset keeps it encrypted) and the users' passwords."""
        server = self.instance.postgres
        address = f"{Role.BI_READER}:{MASKED_PASSWORD}@{server.host}:{server.port}/{self.warehouse}"
        return {
            "VS_SUPERSET_MARTS": f"postgresql+psycopg2://{address}",
            "VS_SUPERSET_MARTS_PASSWORD": self.instance.secret(Role.BI_READER),
        } | {f"VS_SUPERSET_PASSWORD_{user.upper()}": self.password(user) for user in (ADMIN, VIEWER)}


def _last_line_of(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
