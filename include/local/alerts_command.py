"""`vs alerts` and `vs exports`: what somebody must look at, whether they can be told, and files that were received."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from include.local.terminal import CommandFailed, console, month_of, running_instance

app = typer.Typer(no_args_is_help=True, help="What somebody must look at, and telling them by mail or webhook.")
exports_app = typer.Typer(no_args_is_help=True, help="Files that went out: which there are, and who says to have them.")


@app.command("list")
def list_alerts() -> None:
    """Show every open alert in full: what happened, what to do, and the runbook."""
    from include.alerts.channels import as_text
    from include.warehouse.alerts import open_alerts

    running_instance()
    alerts = open_alerts()
    console().print(as_text(alerts) if alerts else "No alert is open.", markup=False, highlight=False)


@app.command("send")
def send() -> None:
    """Look what waits too long now, and tell what nobody was told yet (the DAG watch_months does so every day)."""
    from datetime import UTC, datetime

    from include.alerts.channels import AlertNotSent, channels, tell
    from include.alerts.watch import watch

    running_instance()
    watched = watch(datetime.now(UTC))
    if not channels():
        console().print(f"{watched}. No channel is set: alerts are recorded only.", markup=False)
        return
    try:
        sent = tell()
    except AlertNotSent as failure:
        raise CommandFailed(str(failure)) from failure
    console().print(f"{watched}. Messages sent: {sent}.", markup=False)


@app.command("test")
def test() -> None:
    """Send a trial message through every channel that is set; nothing is recorded."""
    from datetime import UTC, datetime

    from include.alerts.channels import AlertNotSent, channels
    from include.warehouse.alerts import Alert

    running_instance()
    found = channels()
    if not found:
        raise CommandFailed("No channel is set. docs/runbooks/tell-somebody.md says how; then `vs up`.")
    now = datetime.now(UTC)
    trial = Alert("task_failed", f"{now:%Y-%m}", "a trial", "A trial message: alerts arrive here.", now, None)
    for channel in found:
        try:
            channel.send([trial])
        except AlertNotSent as failure:
            raise CommandFailed(str(failure)) from failure
        console().print(f"{channel.name}: sent", markup=False)


@app.command("settle")
def settle(
    kind: Annotated[str, typer.Argument(help="as ops.alerts names it, such as task_failed")],
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="the month of the alert")],
    subject: Annotated[str, typer.Argument(help="what it is about, such as collect_ris_outcomes.collect_outcomes")],
) -> None:
    """Settle an alert by hand: what it asked for was done in another way. What still waits is raised again."""
    from include.settings import Role
    from include.warehouse.alerts import open_alerts, settle_alert
    from include.warehouse.connection import connect

    running_instance()
    wanted = month_of(month)
    if not [one for one in open_alerts() if (one.kind, one.signal_month, one.subject) == (kind, str(wanted), subject)]:
        raise CommandFailed(f"There is no open alert {kind} of {wanted} about {subject}; see ops.alerts.")
    with connect(Role.LOADER) as connection:
        settle_alert(connection, kind, wanted, subject)
    console().print(f"Settled: {kind} of {wanted}, {subject}.", markup=False)


@exports_app.command("list")
def list_exports(month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="the signal month")]) -> None:
    """Show every file that went out for the month, and who said to have it."""
    from rich.table import Table

    from include.outbound.acknowledgements import exports_of

    running_instance()
    wanted = month_of(month)
    table = Table(title=f"Files that went out for {wanted}", title_justify="left")
    for heading in ("file", "to", "rows", "delivered", "acknowledged by"):
        table.add_column(heading, justify="right" if heading == "rows" else "left", overflow="fold")
    for one in exports_of(wanted):
        delivered = f"{one.delivered_at:%Y-%m-%d %H:%M}" if one.delivered_at else one.state
        table.add_row(one.file_name, one.recipient, str(one.rows), delivered, one.acknowledged_by or "")
    console().print(table)


@exports_app.command("acknowledge")
def acknowledge(
    file_name: Annotated[str, typer.Argument(help="the file, as `vs exports list` names it")],
    by: Annotated[str, typer.Option(help="who says to have received it")],
) -> None:
    """Note that the recipient has the file; then it is no longer asked for."""
    from include.outbound.acknowledgements import NotDelivered, acknowledge

    running_instance()
    try:
        acknowledge(file_name, by, noted_by=getpass.getuser())
    except NotDelivered as unknown:
        raise CommandFailed(str(unknown)) from unknown
    console().print(f"Noted: {file_name} was received (says {by}).", markup=False)
