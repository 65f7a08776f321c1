"""A whole platform in its own folder, spoken to by the `vs` command in a shell; and the same months without Airflow."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from include.local.instance import Instance
from include.months import Month
from include.settings import PROJECT_ROOT, Role, Settings
from tests import month_in_process
from tests.month_in_process import free_port, partners_deliver, second_warehouse
from tests.personal_data import Arguments

SEED = 2024


class Platform:
    """An instance in its own folder, spoken to through the command line."""

    def __init__(self, home: Path) -> None:
        self.instance = Instance(home)
        self.exchange = home / "exchange"
        self.arguments = Arguments()
        self.environment = dict(
            os.environ, VS_HOME=str(home), PYTHONPATH=str(PROJECT_ROOT), VS_SANDBOX_SEED=str(SEED), COLUMNS="160"
        )

    def vs(self, *arguments: str, exit_code: int = 0) -> str:
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=800
        )
        assert done.returncode == exit_code, f"vs {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "include.local.command", *arguments]

    def query(self, statement: str, *parameters: str) -> list[tuple]:
        with psycopg.connect(Settings(self.instance.platform_environment()).dsn(Role.ADMIN)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def sent(self, folder: str) -> dict[str, str]:
        """What lies in a folder of the outbox: name and hash of each file."""
        root = self.exchange / "outbox" / folder
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def fingerprint(self, month: Month) -> str:
        return fingerprint(month, self.instance.platform_environment())


def fingerprint(month: Month, environment: dict[str, str]) -> str:
    from include.warehouse.fingerprints import month_fingerprint

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return month_fingerprint(month)


def run_directly(
    platform: Platform,
    home: Path,
    database: str,
    months: tuple[Month, ...],
    *,
    ris_by: str = "api",
    furnish: Callable[[str], None] | None = None,
) -> dict[Month, str]:
    """Run `months` step by step in this process, in a warehouse and exchange of their own; the fingerprint of each.

    `furnish` gets the address of the new warehouse before anything runs in it.
    """
    from include.warehouse.dbt import build_stage

    instance, port = platform.instance, free_port()
    environment = second_warehouse(instance, home, database, port, ris_by=ris_by)
    if furnish:
        furnish(f"{instance.postgres.superuser_dsn}/{database}")
    outside = {"port": port, "token": instance.secret("ris_token"), "seed": SEED, "ris_by": ris_by}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        build_stage("foundation")
        with month_in_process.sandbox(home / "exchange", home / "sandbox", **outside):
            for month in months:
                partners_deliver(month, home / "exchange", seed=SEED)
                month_in_process.run_month(month)
        return {month: fingerprint(month, environment) for month in months}
