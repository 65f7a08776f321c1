"""What the commands of `vs` share: which platform is meant, whether it runs, and what a person typed.

What can go wrong in normal use is a `CommandFailed`: `vs` shows its message and no traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from include.months import Month

if TYPE_CHECKING:
    from rich.console import Console

    from include.local.instance import Instance


class CommandFailed(RuntimeError):
    """What a person should read instead of a traceback."""


def console(*, errors: bool = False) -> Console:
    from include.local.progress import console as shown

    return shown(errors=errors)


def platform_instance() -> Instance:
    """The platform of this shell (VS_HOME), whether it exists or not."""
    from include.local.instance import Instance, default_home

    return Instance(default_home())


def existing_instance() -> Instance:
    instance = platform_instance()
    if not instance.exists:
        raise CommandFailed(f"There is no platform in {instance.home}. Make one with `vs up` (or `vs demo`).")
    return instance


def running_instance() -> Instance:
    """The platform, its PostgreSQL up; this process gets its settings."""
    from include.local.lifecycle import load_environment

    instance = existing_instance()
    if not instance.postgres.is_running():
        raise CommandFailed("The platform is down. Start it with `vs up`.")
    load_environment(instance)
    return instance


def month_of(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from wrong


def months_of(text: str) -> list[Month]:
    try:
        return Month.parse_range(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from wrong
