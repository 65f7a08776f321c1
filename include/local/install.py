"""Install locked packages: `python include/local/install.py requirements.lock`, into the environment this runs in.

`python include/local/install.py bi/requirements.lock .venv-bi` fills another environment, which gets no project.

Every package is checked against the hash in the lock, uv itself included. uv does the work because it takes a fraction
of pip's time; where uv cannot (no wheel of it, a mirror it does not understand) pip installs the same lock. A mirror
that is configured for pip is handed to uv. Standard library only: this runs before anything else is installed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# pip's options by the name uv gives them; pip separates lists by white space or new lines. What lies in further places
# that pip knows, uv does not find: then pip installs
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}


def main(lock: Path) -> int:
    """Install what `lock` names and the project itself; the exit code is pip's."""
    if not _uv_of(lock) or not _uv(lock, Path(sys.prefix)):
        print("uv could not install; pip does it now (some minutes)", flush=True)
        code = subprocess.run([*PIP, "install", "-q", "--require-hashes", "-r", str(lock)], check=False).returncode
        if code:
            return code
    project = [*PIP, "install", "-q", "--no-deps", "--no-build-isolation", "-e", str(lock.resolve().parent)]
    return subprocess.run(project, check=False).returncode


def fill(lock: Path, environment: Path) -> int:
    """Install what `lock` names into another environment, with the uv of this one."""
    if _uv(lock, environment):
        return 0
    print("uv could not install; pip does it now (some minutes)", flush=True)
    pip = (str(environment / "bin" / "python"), *PIP[1:])
    return subprocess.run([*pip, "install", "-q", "--require-hashes", "-r", str(lock)], check=False).returncode


def _uv_of(lock: Path) -> bool:
    """Install the uv that the lock names; True when it is there."""
    own = lock.with_name(f".{lock.stem}-uv.txt")
    own.write_text(requirement("uv", lock.read_text(encoding="utf-8")), encoding="utf-8")
    try:
        return not subprocess.run([*PIP, "install", "-q", "--require-hashes", "-r", str(own)], check=False).returncode
    finally:
        own.unlink()


def _uv(lock: Path, target: Path) -> bool:
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes"]
    # uv takes the environment of the Python that started it, whatever VIRTUAL_ENV says
    command = [*uv, "--python", str(target / "bin" / "python"), "-r", str(lock)]
    environment = os.environ | uv_environment(_pip_configuration())
    return not subprocess.run(command, env=environment, check=False).returncode


def requirement(name: str, lock: str) -> str:
    """The lines of one package in the lock: its pin and its hashes."""
    lines = lock.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith("    --hash")), len(lines))
    return "\n".join(lines[start:end]).rstrip("\\ ") + "\n"


def uv_environment(pip_configuration: str) -> dict[str, str]:
    """uv's settings that mean what `pip config list` says; a setting of uv's own in the environment wins."""
    found: dict[str, str] = {}
    for line in pip_configuration.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in UV_NAMES:
            found[UV_NAMES[option]] = " ".join(" ".join(shlex.split(value)).replace("\\n", " ").split())
    return {n: v for n, v in found.items() if n not in os.environ}


def _pip_configuration() -> str:
    return subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    sys.exit(fill(Path(sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) > 2 else main(Path(sys.argv[1])))
