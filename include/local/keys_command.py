"""`vs keys rotate`: new keys and passwords for a platform that is down; the next `vs up` applies them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from include.local.terminal import CommandFailed, console, existing_instance

app = typer.Typer(no_args_is_help=True, help="New keys and passwords; how and when: docs/how-to/rotate-keys.md.")


class Rotated(StrEnum):
    BSN, PASSWORDS = "bsn", "passwords"


@app.callback()
def keys() -> None:
    """New keys and passwords; how and when: docs/how-to/rotate-keys.md."""


@app.command("rotate")
def rotate(
    what: Annotated[Rotated, typer.Argument(help="bsn: the key BSNs are hashed with; passwords: of roles and Airflow")],
) -> None:
    """Make it anew in instance.json. The platform must be down; `vs up` applies it to everything that is stored."""
    from include.local.processes import Processes

    instance = existing_instance()
    if Processes(instance.home).marked():
        raise CommandFailed("The platform runs with the old ones. Stop it first: vs down")
    names = instance.rotate(what.value)
    console().print(f"New: {', '.join(names)}. Start the platform with `vs up`: it applies them.", markup=False)
    if what is Rotated.BSN:
        console().print("Backups made before hold the old keys: a restored one is brought up to date the same way.")
