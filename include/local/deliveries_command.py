"""`vs deliveries`: how the partners stand in a month, and the decision not to wait for one of them."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from include.local.terminal import console, month_of, running_instance

app = typer.Typer(no_args_is_help=True, help="The partners' deliveries of a month.")

MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="the signal month")]


@app.command("list")
def list_deliveries(month: MonthArgument) -> None:
    """Show for each partner whether it delivered, and by when it had to."""
    from rich.table import Table

    from include.ingest.deliveries import partner_states

    running_instance()
    wanted = month_of(month)
    table = Table(title=f"Deliveries of {wanted}", title_justify="left")
    for heading in ("partner", "due on", "state", "files", "loaded", "quarantined"):
        table.add_column(heading, justify="right" if heading in ("files", "loaded", "quarantined") else "left")
    for one in partner_states(wanted):
        counts = (str(count) for count in (one.files, one.rows_loaded, one.rows_quarantined))
        table.add_row(one.partner, str(one.due_on), one.state, *counts)
    console().print(table)


@app.command("go-on")
def go_on(
    month: MonthArgument,
    partner: Annotated[str, typer.Argument(help="the partner the month need not wait for")],
    reason: Annotated[str, typer.Option(help="why, for whoever asks later")],
    by: Annotated[str, typer.Option(help="who decides; default: who is logged in")] = "",
) -> None:
    """Let the month go on without a partner; recorded with name and reason. Its file is still welcome later."""
    from include.ingest.deliveries import go_on_without

    running_instance()
    wanted, decided_by = month_of(month), by or getpass.getuser()
    go_on_without(wanted, partner, decided_by, reason)
    console().print(
        f"{wanted} no longer waits for {partner} (decided by {decided_by}). The waiting task looks again by itself.",
        markup=False,
    )
