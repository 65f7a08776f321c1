"""`vs person`: who is not to be approached, since when, and on what ground."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from include.local.terminal import console, running_instance

app = typer.Typer(no_args_is_help=True, help="Record who is not to be approached, and since when.")


@app.command("suppress")
def suppress_person(
    identifier: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="a person, call record or case id (of one person)")
    ] = None,
    ground: Annotated[
        str, typer.Option(help="objection, deceased, known_debt_help or reviewed (a no after review)")
    ] = "objection",
    by: Annotated[str, typer.Option(help="who records it: a function, not a name")] = "coordinator",
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="from which day; default: today")] = None,
    describe: Annotated[bool, typer.Option("--describe", help="ask for postcode, birth date and surname")] = False,
) -> None:
    """Somebody is not to be approached any more: an objection, a death, running debt help, or a no after review."""
    from include.ingest.suppressions import Ground, calls_to_withdraw, described_subject, subject_of, suppress

    if ground not in list(Ground):
        raise typer.BadParameter(f"{ground} is no ground; choose one of {', '.join(Ground)}")
    if (identifier is None) != describe:
        raise typer.BadParameter("give the id of the person, or --describe to be asked who it is (never both)")
    running_instance()
    # typed in, so that nobody stands in the shell's history
    subject = described_subject(*_described()) if identifier is None else subject_of(identifier)
    number = suppress(subject, Ground(ground), (since or _today()).date(), by)
    known = f"known here as {', '.join(subject.person_ids)}" if subject.person_ids else "not known here yet"
    out = console()
    out.print(f"Suppression {number} ({ground}) is recorded; the person is {known}.", markup=False)
    for month, records in calls_to_withdraw().items():
        out.print(
            f"{month}: {records} call record(s) already went out. Withdraw: vs month {month} --from build", markup=False
        )


@app.command("suppressed")
def list_suppressed() -> None:
    """List what is recorded; nobody can be read from it."""
    from rich.table import Table

    from include.ingest.suppressions import suppressions

    running_instance()
    table = Table("number", "ground", "from", "until", "recorded by", "persons known here")
    for one in suppressions():
        until = str(one.valid_to or "")
        table.add_row(
            str(one.suppression_id), one.ground, str(one.valid_from), until, one.recorded_by, str(one.persons)
        )
    console().print(table)


@app.command("release")
def release_person(
    number: Annotated[int, typer.Argument(help="the number `vs person suppressed` shows")],
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="last day; default: today")] = None,
) -> None:
    """End a suppression; what happened while it was in force stays."""
    from include.ingest.suppressions import end_suppression

    running_instance()
    last_day = (until or _today()).date()
    end_suppression(number, last_day)
    console().print(f"Suppression {number} ends after {last_day}.", markup=False)


def _today() -> datetime:
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo("Europe/Amsterdam"))


def _described() -> tuple[str, int, date, str]:
    return (
        typer.prompt("Postcode"),
        typer.prompt("House number", type=int),
        typer.prompt("Birth date (YYYY-MM-DD)", type=datetime).date(),
        typer.prompt("Surname"),
    )
