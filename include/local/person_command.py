"""`vs person`: a resident's rights. What is known about them, not being approached, and being erased.

Who is meant is an id, or typed in when asked (`--describe`, `--bsn`): an argument would stand in the shell's history
and in the list of processes. Without a terminal the answers are read from standard input, a line each.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from include.local.terminal import console, running_instance

if TYPE_CHECKING:
    from include.ingest.suppressions import Subject

app = typer.Typer(
    no_args_is_help=True, help="A resident's rights: access, objection, erasure. Who did it, and why, is logged."
)


IdArgument = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="a person, call record or case id (of one person)")
]
DescribeOption = Annotated[bool, typer.Option("--describe", help="ask for postcode, birth date and surname")]
BsnOption = Annotated[bool, typer.Option("--bsn", help="ask for the BSN; it is not shown, kept or logged")]
ByOption = Annotated[str, typer.Option(help="who decides: a function, not a name")]
ReasonOption = Annotated[str, typer.Option(help="why, without names; it is kept in the log")]


@app.command("export")
def export_person(
    by: ByOption, reason: ReasonOption, identifier: IdArgument = None, describe: DescribeOption = False,
    bsn: BsnOption = False,
) -> None:  # fmt: skip
    """Write everything that is known about one person into files for that person, readable by you only."""
    from include.warehouse.person_export import export_person as export

    running_instance()
    made = export(_known_person(identifier, describe, bsn).person_ids, requested_by=by, reason=reason)
    out = console()
    out.print(
        f"{made.rows} rows of {made.tables} tables, and {made.files} files in which the person stands.", markup=False
    )
    print(made.data)
    print(made.page)
    out.print("Hand them over safely and delete them then; the purge deletes them after a month.", markup=False)


@app.command("erase")
def erase_person(
    by: ByOption, reason: ReasonOption, identifier: IdArgument = None, describe: DescribeOption = False,
    bsn: BsnOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask whether you are sure")] = False,
) -> None:  # fmt: skip
    """Make one person unrecognisable in everything of closed months; counts and amounts stay. There is no way back."""
    from include.warehouse.erasure import erase_person as erase
    from include.warehouse.forgetting import write_register

    running_instance()
    subject = _known_person(identifier, describe, bsn)
    if not yes:
        typer.confirm(f"Erase {', '.join(subject.person_ids)} for good?", abort=True)
    erased = erase(subject.person_ids, decided_by=by, reason=reason)
    register, out = write_register(), console()
    out.print(
        f"Erasure {erased.number}: {erased.signals} signals, {erased.rows} rows and {erased.files} files made "
        f"unrecognisable. Keep {register} beside the backups: it makes a restored one forget again.",
        markup=False,
    )
    for month in erased.open_months:
        out.print(
            f"{month} is not closed: what stands there is erased by the first purge after it is. Until then the person "
            "is worked on; to stop that: vs person suppress",
            markup=False,
        )


@app.command("suppress")
def suppress_person(
    identifier: IdArgument = None,
    ground: Annotated[
        str, typer.Option(help="objection, deceased, known_debt_help or reviewed (a no after review)")
    ] = "objection",
    by: Annotated[str, typer.Option(help="who records it: a function, not a name")] = "coordinator",
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="from which day; default: today")] = None,
    describe: DescribeOption = False,
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
    by: Annotated[str, typer.Option(help="who records it: a function, not a name")] = "coordinator",
) -> None:
    """End a suppression; what happened while it was in force stays."""
    from include.ingest.suppressions import end_suppression

    running_instance()
    last_day = (until or _today()).date()
    end_suppression(number, last_day, by)
    console().print(f"Suppression {number} ends after {last_day}.", markup=False)


def _today() -> datetime:
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo("Europe/Amsterdam"))


def _known_person(identifier: str | None, describe: bool, bsn: bool) -> Subject:
    """Whoever is meant, and known here; a PersonUnknown otherwise."""
    from include.ingest.suppressions import PersonUnknown, described_subject, subject_of, subject_of_bsn

    if (identifier is not None) + describe + bsn != 1:
        raise typer.BadParameter("say who is meant in one way: an id, --describe or --bsn")
    if bsn:
        subject = subject_of_bsn(typer.prompt("BSN", hide_input=True))
    else:
        subject = described_subject(*_described()) if identifier is None else subject_of(identifier)
    if not subject.person_ids:
        raise PersonUnknown("Nobody known here answers to that. Check the spelling, or name another of their signals.")
    return subject


def _described() -> tuple[str, int, date, str]:
    return (
        typer.prompt("Postcode"),
        typer.prompt("House number", type=int),
        typer.prompt("Birth date (YYYY-MM-DD)", type=date.fromisoformat),
        typer.prompt("Surname"),
    )
