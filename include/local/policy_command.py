"""`vs policy`: what other rules would have done."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.local.terminal import console, months_of, running_instance

if TYPE_CHECKING:
    from rich.table import Table

    from include.warehouse.policy_simulation import Counts, Simulation

app = typer.Typer(no_args_is_help=True, help="Try out other rules on months that happened.")


class Form(StrEnum):
    TABLE, CSV, JSON = "table", "csv", "json"


@app.callback()
def policy() -> None:
    """Try out other rules on months that happened."""


@app.command("simulate")
def simulate_rules(
    rule_file: Annotated[
        Path, typer.Option("--rule-file", help="the changed rules (docs/how-to/simulate-a-policy.md)")
    ],
    months: Annotated[str, typer.Option(help="one month, or a range: 2024-04..2024-06")],
    form: Annotated[Form, typer.Option("--format", help="a table to read, or csv/json to keep")] = Form.TABLE,
) -> None:
    """Show, next to what happened, how many signals, cases and calls each route would have had."""
    from include.warehouse.policy_simulation import Counts, simulate, totals
    from include.warehouse.rule_changes import read_rule_file

    changes, wanted = read_rule_file(rule_file), months_of(months)
    running_instance()
    found = simulate(changes, wanted)
    if form is Form.JSON:
        print(json.dumps(asdict(found), indent=1))
    elif form is Form.CSV:
        print(_csv(found.counts, [field.name for field in fields(Counts)]), end="")
    else:
        for month in wanted:
            console().print(_table(str(month), found, [one for one in found.counts if one.signal_month == str(month)]))
        if len(wanted) > 1:
            console().print(_table(f"{len(wanted)} months", found, totals(found)))
        if found.never_looked_up:
            console().print(
                f"{found.never_looked_up} person(s) with a letter or visit in the simulation were never looked up with "
                "the enrichment provider: some of them would have been called.",
                markup=False,
            )


def _csv(counts: Sequence[Counts], names: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(one) for one in counts)
    return text.getvalue()


def _table(title: str, found: Simulation, counts: Sequence[Counts]) -> Table:
    from rich.table import Table

    table = Table(title=f"{title}: what happened → {found.name}", title_justify="left")
    table.add_column("route")
    for unit in ("signals", "cases", "calls"):
        table.add_column(unit, justify="right")
        table.add_column("would be", justify="right", style="bold")
        table.add_column("±", justify="right")
    for one in counts:
        if one.route == "all":
            table.add_section()
        cells = (
            cell
            for was, would_be in (
                (one.signals, one.simulated_signals), (one.cases, one.simulated_cases), (one.calls, one.simulated_calls)
            )
            for cell in (str(was), str(would_be), f"{would_be - was:+d}" if would_be != was else "")
        )  # fmt: skip
        table.add_row(one.route, *cells)
    return table
