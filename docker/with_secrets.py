"""Run a command with the secrets of its service: `python docker/with_secrets.py COMMAND …`, the entrypoint in compose.

Every `*.env` file in VS_SECRETS (/run/secrets in a container) is lines of NAME=value. They reach the process here and
not through docker-compose.yml, so that no secret stands in what `docker inspect` or `docker compose config` shows. What
is set already stays. Standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def secrets_in(folder: Path) -> dict[str, str]:
    """Every NAME=value of the folder's `*.env` files."""
    lines = [line for file in sorted(folder.glob("*.env")) for line in file.read_text(encoding="utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def main(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Become `command`; this process is it from then on."""
    found = secrets_in(Path(environment.get("VS_SECRETS") or "/run/secrets")) | dict(environment)
    os.execvpe(command[0], list(command), found)  # noqa: S606 - the point of an entrypoint


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
