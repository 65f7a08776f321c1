"""`vs closed` and `vs ddas`: what a closed month said in each version, and what was told to CBS about it."""

from __future__ import annotations

from typing import Annotated

import typer

from include.local.terminal import CommandFailed, console, month_of, running_instance

MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="the signal month")]


def register(app: typer.Typer) -> None:
    """Both are commands of `vs` itself."""
    app.command()(closed)
    app.command()(ddas)


def closed(month: MonthArgument) -> None:
    """Show every version a month was closed in, and whether it still says what the ledger says."""
    from include.local.closed_months import versions_table
    from include.warehouse.closure_ledger import check_versions
    from include.warehouse.restatements import restatement_of

    running_instance()
    wanted, out = month_of(month), console()
    checks = check_versions(wanted)
    if not checks:
        raise CommandFailed(f"{wanted} is not closed. Close it: vs month {wanted}")
    out.print(versions_table(wanted, checks))
    if waiting := restatement_of(wanted):
        out.print(str(waiting), markup=False)
    if not all(check.is_intact for check in checks):
        raise CommandFailed(
            f"{wanted} no longer says what it was closed with: look at ops.dbt_results and at closed.* of the month."
        )


def ddas(month: MonthArgument) -> None:
    """Write and check the DDAS delivery of a closed month; an open month is only checked."""
    from include.outbound.ddas import check_delivered, check_open_month, deliver_ddas, delivered_path
    from include.settings import Settings
    from include.warehouse.closure_ledger import month_is_closed

    running_instance()
    wanted, out = month_of(month), console()
    if month_is_closed(wanted):
        delivered = deliver_ddas(wanted)
        checked = check_delivered(wanted)
        new = f"delivery {delivered.sequence}" if delivered.sequence else "as delivered before"
        said = f"{Settings.from_environment().exchange_root}/{delivered_path(wanted)} ({new})"
    else:
        checked = check_open_month(wanted)
        said = f"{wanted} is not closed: nothing was written"
    out.print(
        f"{wanted}: {checked.signals} signals, {checked.cases} cases ({checked.cases_with_result} with an end result), "
        f"{checked.attempts} contacts. Valid against DDAS v1.2 and {checked.rules - len(checked.warnings)} of "
        f"{checked.rules} stricter rules.",
        markup=False,
    )
    for warning in checked.warnings:
        out.print(f"warning {warning}", markup=False)
    out.print(said, markup=False)
