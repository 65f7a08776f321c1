"""The `vs` command: a platform on this machine up, down and through its months.

Thin on purpose: every command calls one function of this package. Heavy libraries are imported inside the commands.
"""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from include.local.alerts_command import app as alerts_app
from include.local.alerts_command import exports_app
from include.local.bi_command import app as bi_app
from include.local.billing_command import billing
from include.local.closing_command import register as register_closing
from include.local.contract_command import app as contract_app
from include.local.deliveries_command import app as deliveries_app
from include.local.escalation_command import app as escalation_app
from include.local.keys_command import app as keys_app
from include.local.person_command import app as person_app
from include.local.policy_command import app as policy_app
from include.local.quarantine_command import app as quarantine_app
from include.local.review_command import app as review_app
from include.local.terminal import CommandFailed
from include.local.terminal import console as _console
from include.local.terminal import existing_instance as _existing_instance
from include.local.terminal import month_of as _month
from include.local.terminal import months_of as _months
from include.local.terminal import platform_instance as _instance
from include.local.terminal import running_instance as _running_instance

# a machine without a desktop session has no such folder; nothing of ours uses it
warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Early signalling of debts: one platform on this machine. Its state lives in VS_HOME (default: .vs).",
)  # fmt: skip

app.add_typer(alerts_app, name="alerts")
app.add_typer(exports_app, name="exports")
app.add_typer(bi_app, name="bi")
app.add_typer(contract_app, name="contract")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(escalation_app, name="escalation")
app.add_typer(keys_app, name="keys")
app.add_typer(review_app, name="review")
app.add_typer(person_app, name="person")
app.add_typer(policy_app, name="policy")
app.command()(billing)
app.add_typer(quarantine_app, name="quarantine")
register_closing(app)

NOT_RUNNING = 3


class First(StrEnum):
    INGEST, BUILD, DELIVER, COLLECT, CLOSE = "ingest", "build", "deliver", "collect", "close"


class Last(StrEnum):
    DELIVER, COLLECT, CLOSE = "deliver", "collect", "close"


class Place(StrEnum):
    EXCHANGE, REPORTS, LOGS = "exchange", "reports", "logs"


MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="the signal month")]


@app.command()
def up(
    sandbox: Annotated[
        bool | None,
        typer.Option("--sandbox/--no-sandbox", help="with the synthetic municipality; default: as last time"),
    ] = None,
) -> None:
    """Start what does not run, and return when everything is healthy."""
    from include.local.lifecycle import up as start

    out = _console()
    start(_instance(), lambda line: out.print(line, markup=False), sandbox=sandbox)


@app.command()
def down() -> None:
    """Stop every process of the platform; the data stays."""
    from include.local.lifecycle import down as stop

    out = _console()
    stop(_instance(), lambda line: out.print(line, markup=False))


@app.command()
def status() -> None:
    """Show what runs, what waits for whom, and the open alerts; exit code 3 when something does not run."""
    from include.local.status import (
        alert_lines,
        broken_contract_lines,
        states_of,
        status_table,
        waiting_lines,
        waiting_table,
        what_waits_of,
    )

    instance = _instance()
    states = states_of(instance)
    if states:
        _console().print(status_table(states, instance))
        for line in broken_contract_lines():
            _console().print(f"[red]{line}[/]")
    else:
        _console().print(f"There is no platform in {instance.home}; `vs up` or `vs demo` makes one.", markup=False)
    if states and states[0].is_up:
        if waiting := what_waits_of(instance):
            _console().print(waiting_table(waiting))
        for line in (*alert_lines(instance), *waiting_lines(instance)):
            _console().print(line, markup=False)
    if not states or not all(state.is_up for state in states):
        raise typer.Exit(NOT_RUNNING)


@app.command()
def demo(
    months: Annotated[str, typer.Option(help="one month, or a range")] = "2024-04..2024-06",
) -> None:
    """Set everything up with the synthetic municipality, run its months, and show what came of them."""
    from include.local.demo import run_demo

    run_demo(_instance(), _months(months), _console())


@app.command()
def month(
    month: MonthArgument,
    first: Annotated[First | None, typer.Option("--from", help="begin with this step")] = None,
    last: Annotated[Last | None, typer.Option("--until", help="end with this step")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="answer the approvals with yes")] = False,
    restate: Annotated[bool, typer.Option("--restate", help="of a closed month: propose its next version")] = False,
    because: Annotated[str | None, typer.Option(help="with --restate: a reason of our own, no personal data")] = None,
) -> None:
    """Drive one month through Airflow and follow it to the end."""
    from include.local.airflow import LocalAirflow
    from include.local.airflow_api import AirflowApi
    from include.local.closed_months import ask_for_restatement, closed_month
    from include.local.lifecycle import is_up
    from include.local.month_driver import MonthDriver, chosen_steps
    from include.local.progress import shown

    instance, wanted, out = _running_instance(), _month(month), _console()
    closed = closed_month(wanted)
    if restate:
        first, last = First.COLLECT, Last.CLOSE
        ask_for_restatement(wanted, because)
    elif closed and first is None:
        out.print(
            f"{closed}. Nothing was started; what became known since is taken in with `vs month {wanted} --restate`.",
            markup=False,
        )
        return
    if not is_up(instance):
        raise CommandFailed("Airflow is not (wholly) up. Start what is missing with `vs up`.")
    try:
        steps = chosen_steps(first, last)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from wrong
    with shown(wanted, steps, out) as display:
        MonthDriver(AirflowApi(LocalAirflow(instance)), wanted, display, approve).drive(steps, resume=first is None)
    closed = closed_month(wanted)
    out.print(
        str(closed) if closed else f"{wanted} is done up to and including {steps[-1].name}; it is not closed.",
        markup=False,
    )


@app.command()
def kpi(month: MonthArgument) -> None:
    """Print the month's funnel and all its KPIs."""
    from include.local.funnel import funnel_table, kpi_table, kpis_of

    _running_instance()
    wanted, out = _month(month), _console()
    if not kpis_of(wanted):
        raise CommandFailed(
            f"There are no KPIs of {wanted} yet; they are built when a month is closed: vs month {wanted}"
        )
    out.print(funnel_table([wanted]))
    out.print(kpi_table(wanted))


@app.command()
def report(month: MonthArgument) -> None:
    """Write the monthly report again and print where it is; nothing changes while the numbers did not."""
    from include.reporting.monthly_report import write_report
    from include.reporting.paper import print_report

    _running_instance()
    page = write_report(_month(month))
    printed = print_report(page)
    print(page)
    if printed.path:
        print(printed.path)
    else:
        _console(errors=True).print(printed.remark, markup=False)


@app.command()
def dsn(
    role: Annotated[str, typer.Argument(help="vs_admin, vs_loader, vs_transformer, vs_exporter or bi_reader")],
) -> None:
    """Print the PostgreSQL URL of a role, password included: for psql and BI tools."""
    from include.settings import Role, Settings

    names = {known.value for known in Role}
    if role not in names:
        raise typer.BadParameter(f"{role} is no role; choose one of {', '.join(sorted(names))}")
    print(Settings(_existing_instance().platform_environment()).dsn(Role(role)))


@app.command()
def path(place: Place) -> None:
    """Print where files are."""
    instance = _existing_instance()
    environment = instance.platform_environment()
    places = {
        Place.EXCHANGE: environment["VS_EXCHANGE_ROOT"],
        Place.REPORTS: environment["VS_REPORTS"],
        Place.LOGS: str(instance.home / "logs"),
    }
    print(places[place])


@app.command()
def purge(month: MonthArgument) -> None:
    """Delete what is expired in this month, as the DAG does, and show the certificate."""
    from rich.table import Table

    from include.warehouse.forgetting import purge as forget

    _running_instance()
    table = Table(title=f"Purge of {month}", title_justify="left")
    for heading in ("kept", "what", "months", "expired through"):
        table.add_column(heading)
    table.add_column("deleted", justify="right")
    for one in forget(_month(month)):
        table.add_row(one.kept, one.what, str(one.months_kept), one.expired_through, f"{one.deleted:,}")
    _console().print(table)


@app.command()
def backup(folder: Annotated[Path, typer.Argument(help="a new folder; it will hold personal data and keys")]) -> None:
    """Copy the whole platform into a folder: databases, files, keys."""
    from include.local.backup import back_up

    out = _console()
    made = back_up(_existing_instance(), folder, lambda line: out.print(line, markup=False))
    out.print(f"Backup of {len(made.months)} closed months in {made.folder} ({made.megabytes} MB).", markup=False)
    out.print("It holds personal data and the platform's keys: keep it encrypted, and elsewhere.", markup=False)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="what `vs backup` wrote")],
    forgotten: Annotated[
        Path | None, typer.Option(help="forgotten.json of the lost platform: erased and purged since the backup")
    ] = None,
) -> None:
    """Make the platform of a backup in VS_HOME, where there is none yet; what was forgotten is forgotten again."""
    from include.local.backup import restore as restore_from

    out, instance = _console(), _instance()
    made = restore_from(instance, folder, lambda line: out.print(line, markup=False), forgotten=forgotten)
    out.print(
        f"Restored into {instance.home}; the marts of {len(made.months)} closed months are those of the backup. "
        "Start the platform with `vs up`.",
        markup=False,
    )


def main() -> None:
    """Run `vs`. What can go wrong in normal use is told in one message; anything else is a bug: a traceback."""
    from rich.markup import escape

    try:
        app()
    except KeyboardInterrupt:
        _console(errors=True).print(
            "Stopped watching; the platform and the month go on. `vs month …` picks it up again."
        )
        raise SystemExit(130) from None
    except RuntimeError as failure:
        if type(failure) is RuntimeError and not str(failure).startswith("PostgreSQL"):
            raise
        _console(errors=True).print(f"[red]{escape(str(failure))}[/]")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
