"""`vs quarantine`: rows and files that were held back. What stands in a row is shown in the terminal only."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from include.local.terminal import CommandFailed, console, month_of, running_instance

if TYPE_CHECKING:
    from include.ingest.quarantine import Selection

app = typer.Typer(no_args_is_help=True, help="Rows and files that were held back: see, release, discard.")


class Status(StrEnum):
    OPEN, RELEASED, DISCARDED, ALL = "open", "released", "discarded", "all"


MonthOption = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="only of this month")]
PartnerOption = Annotated[str | None, typer.Option(help="only of this partner")]
DeliveryOption = Annotated[str | None, typer.Option(metavar="ID", help="only of this file (the id, or its start)")]
CodeOption = Annotated[str | None, typer.Option(help="only with this reason code, as postcode_invalid")]
LineOption = Annotated[list[int] | None, typer.Option("--line", help="only this line; may be given several times")]
ByOption = Annotated[str, typer.Option("--by", help="who decides; default: who is logged in")]


@app.command("list")
def list_rows(
    month: MonthOption = None,
    partner: PartnerOption = None,
    delivery: DeliveryOption = None,
    code: CodeOption = None,
    status: Annotated[Status, typer.Option(help="open, released, discarded or all")] = Status.OPEN,
    rows: Annotated[int, typer.Option(min=1, help="how many rows to show at most")] = 50,
) -> None:
    """Show what is held back and why; refused files too. No personal data."""
    from rich.table import Table

    from include.ingest.quarantine import held_rows, refused_files

    running_instance()
    selection, out = _selection(month, partner, delivery, code), console()
    held = held_rows(selection, None if status is Status.ALL else str(status))
    refused = refused_files(selection) if status in (Status.OPEN, Status.ALL) else []
    if not held and not refused:
        out.print("Nothing is held back that answers to that.")
        return
    if held:
        table = Table(title=f"{len(held)} rows, status {status}", title_justify="left")
        for heading in ("month", "file", "delivery", "line", "reasons", "status"):
            table.add_column(heading, justify="right" if heading == "line" else "left", overflow="fold")
        for row in held[:rows]:
            entered = f"{row.status} into {row.released_in}" if row.released_in else row.status
            table.add_row(
                row.signal_month, row.file_name, row.delivery_id[:12], str(row.line_number), ", ".join(row.reasons),
                f"{entered} by {row.decided_by}" if row.decided_by else entered,
            )  # fmt: skip
        out.print(table)
        if len(held) > rows:
            out.print(f"… and {len(held) - rows} more; --rows shows more of them.")
    if refused:
        table = Table(title=f"{len(refused)} refused files", title_justify="left")
        for heading in ("month", "file", "delivery", "reason", "detail"):
            table.add_column(heading, overflow="fold")
        for file in refused:
            table.add_row(
                file.signal_month, file.file_name, file.delivery_id[:12], file.reason_code, file.reason_detail
            )
        out.print(table)


@app.command()
def show(
    delivery: Annotated[str, typer.Argument(help="the id of the delivery, or its start")],
    line: Annotated[int, typer.Argument(help="the line in the file")],
) -> None:
    """Show one row as it was delivered, without BSN, and why it is held back. That you looked is recorded."""
    from rich.table import Table

    from include.ingest.quarantine import delivery_called, look_at_row

    running_instance()
    row, delivered = look_at_row(delivery_called(delivery), line, getpass.getuser())
    out = console()
    table = Table(title=f"{row.file_name}, line {row.line_number} ({row.status})", title_justify="left")
    table.add_column("column")
    table.add_column("as delivered", overflow="fold")
    for label, value in delivered.items():
        table.add_row(label, "" if value is None else str(value))
    out.print(table)
    out.print(f"Held back for: {', '.join(row.reasons)}", markup=False)
    if row.reasons != row.reasons_on_arrival:
        out.print(f"On arrival: {', '.join(row.reasons_on_arrival)}", markup=False)
    if row.decided_by:
        out.print(f"{row.status} by {row.decided_by}: {row.decision_reason or 'no remark'}", markup=False)


@app.command()
def release(
    month: MonthOption = None,
    partner: PartnerOption = None,
    delivery: DeliveryOption = None,
    code: CodeOption = None,
    line: LineOption = None,
    by: ByOption = "",
    remark: Annotated[str | None, typer.Option(help="what was mended (no personal data)")] = None,
) -> None:
    """Judge held rows again under the contract of today; the good ones become signals, the others stay.

    A refused file named by --delivery is judged again as a whole.
    """
    from include.ingest import quarantine

    running_instance()
    selection, out = _selection(month, partner, delivery, code, line), console()
    if selection.delivery_id and quarantine.refused_files(selection):
        summary = quarantine.release_file(selection.delivery_id, by or getpass.getuser())
        out.print(
            f"{summary.file_name}: {summary.status}; {summary.rows_in_file} rows, {summary.rows_loaded} loaded, "
            f"{summary.rows_quarantined} quarantined, {summary.rows_duplicate} duplicate."
            + (f" {summary.reason_code}: {summary.reason_detail}" if summary.reason_code else ""),
            markup=False,
        )
        _say_what_next(out, (summary.signal_month,) if summary.status == "loaded" else ())
        return
    done = quarantine.release(selection, by or getpass.getuser(), remark)
    out.print(f"{done.rows_judged} rows judged again: {done.rows_released} released, {done.rows_held} still held back.")
    for code, count in done.held_for.items():
        out.print(f"  {code}: {count}", markup=False)
    for problem in done.problems:
        out.print(problem, markup=False)
    _say_what_next(out, done.months)
    if done.problems and not done.rows_judged:
        raise CommandFailed("Nothing could be judged again.")


@app.command()
def discard(
    reason: Annotated[str, typer.Option(help="why these rows never become signals")],
    month: MonthOption = None,
    partner: PartnerOption = None,
    delivery: DeliveryOption = None,
    code: CodeOption = None,
    line: LineOption = None,
    by: ByOption = "",
) -> None:
    """Decide that held rows never become signals; who decided, and why, is kept. There is no way back."""
    from include.ingest import quarantine

    running_instance()
    count = quarantine.discard(_selection(month, partner, delivery, code, line), by or getpass.getuser(), reason)
    console().print(f"{count} rows discarded.")


def _selection(
    month: str | None, partner: str | None, delivery: str | None, code: str | None, lines: list[int] | None = None
) -> Selection:
    from include.ingest.quarantine import Selection, delivery_called

    return Selection(
        month=month_of(month) if month else None,
        partner=partner,
        delivery_id=delivery_called(delivery) if delivery else None,
        reason=code,
        lines=tuple(lines or ()),
    )


def _say_what_next(out, months: tuple[str, ...]) -> None:
    for month in months:
        out.print(f"They are in {month} now. Have it built again: vs month {month} --from build", markup=False)
