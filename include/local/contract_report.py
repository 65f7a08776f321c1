"""How the answers of `vs contract check` look: tables on a terminal, the same tables in a pipe or a log file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.contracts.checking import Problem
from include.contracts.comparison import Change, Level, heaviest
from include.ingest.trial import ABSENT, KEPT, MISSING, UNKNOWN, Reason, Trial, form_of

LINES_SHOWN = 12
_DIGIT = re.compile(r"\d")
LEVEL_COLOURS = {Level.BREAKING: "red", Level.COMPATIBLE: "yellow", Level.DOCUMENTATION: "dim"}
COLOURS = {MISSING: "red", UNKNOWN: "yellow", ABSENT: "dim", KEPT: "dim"}


def show_problems(out: Console, path: Path, problems: Sequence[Problem]) -> None:
    """Every problem with its line and place; one green line when there is none."""
    errors = [problem for problem in problems if not problem.is_advice]
    name = escape(path.name)
    if not problems:
        out.print(f"[green]✓[/] {name}: nothing wrong with the contract")
        return
    mark = f"[red]✗[/] {name}: {_counted(len(errors), 'problem')}" if errors else f"[green]✓[/] {name}: can be used"
    if advice := len(problems) - len(errors):
        mark += f", {_counted(advice, 'thing')} to look at"
    table = _table("line", "place", "found", "expected", right=("line",))
    for problem in problems:
        found = f"[yellow]{escape(problem.found)}[/]" if problem.is_advice else f"[red]{escape(problem.found)}[/]"
        table.add_row(str(problem.line or ""), escape(problem.place), found, escape(problem.expected))
    out.print(mark)
    out.print(table)


def show_folder(out: Console, checked: Sequence[tuple[Path, Sequence[Problem]]]) -> None:
    """All contracts of the folder, one line each."""
    table = _table("contract", "problems", "to look at", right=("problems", "to look at"))
    for path, problems in checked:
        errors = sum(not problem.is_advice for problem in problems)
        shown = f"[red]{errors}[/]" if errors else "[green]0[/]"
        table.add_row(escape(f"{path.parent.name}/{path.name}"), shown, str(len(problems) - errors or ""))
    out.print(table)


def show_trial(out: Console, trial: Trial, rows: int, *, masked: bool) -> None:
    """What the contract makes of the sample."""
    _show_name(out, trial)
    out.print(_columns(trial, masked))
    judged = trial.judged
    out.print(
        f"Rows: {judged.rows_in_file} in the file, [green]{len(judged.rows)} good[/], "
        f"{len(judged.quarantined)} quarantined, {len(judged.duplicates)} duplicate"
        if judged.rows_in_file
        else "Rows: none were looked at"
    )
    found = (("quarantined", trial.quarantined), ("duplicate", trial.duplicates), ("without it", trial.loaded_without))
    if any(reasons for _, reasons in found):
        out.print(_reasons(found))
    for warning in judged.warnings:
        out.print(f"[yellow]![/] {warning.code}: {escape(warning.detail)}")
    if shown := trial.canonical_rows(rows, masked=masked):
        out.print(_rows(trial, shown, masked))
    _show_verdict(out, trial)


def _show_name(out: Console, trial: Trial) -> None:
    name, named = escape(trial.file_name), trial.named
    if named:
        out.print(f"[green]✓[/] {name}: signal month {named.month}, delivery {named.sequence} of it")
    else:
        wanted = escape(trial.contract.file_name_template)
        out.print(
            f"[yellow]![/] {name}: as a delivery it would be refused for its name (file_name); it must be {wanted}"
        )


def _columns(trial: Trial, masked: bool) -> Table:
    table = _table("column", "in the file", "reader", "fills", "", right=("in the file",), title="Columns")
    for column in trial.columns:
        colour = COLOURS.get(column.state, "green")
        place = str(column.place or "—")
        # a file without a header begins with somebody's data, not with labels
        label = (
            form_of(column.label)
            if masked and column.state == UNKNOWN and _DIGIT.search(column.label)
            else column.label
        )
        state = f"[{colour}]{column.state}[/]"
        table.add_row(escape(label), place, escape(column.reader), ", ".join(column.fields) or "—", state)
    return table


def _reasons(found: Sequence[tuple[str, Sequence[Reason]]]) -> Table:
    table = _table("what became of it", "reason", "rows", "lines in the file", right=("rows",), title="Reasons")
    for fate, reasons in found:
        for reason in reasons:
            lines = ", ".join(map(str, reason.lines[:LINES_SHOWN]))
            more = ", …" if len(reason.lines) > LINES_SHOWN else ""
            told = "loaded without" if fate == "without it" else fate
            table.add_row(told, reason.code, str(len(reason.lines)), f"{lines}{more}")
    return table


def _rows(trial: Trial, rows: Sequence[dict[str, str]], masked: bool) -> Table:
    title = "The first good rows as they would be loaded"
    lines = [int(line) for line in trial.judged.rows["line_number"].head(len(rows))]
    table = _table("field", *(f"line {line}" for line in lines), title=f"{title} (masked)" if masked else title)
    for name in dict.fromkeys(name for row in rows for name in row):
        table.add_row(name, *(escape(row.get(name, "")) for row in rows))
    return table


def _show_verdict(out: Console, trial: Trial) -> None:
    judged, allowed = trial.judged, f"{trial.contract.quarantine_threshold:.0%}"
    if judged.rejection:
        out.print(f"[red]✗ Refused as a whole[/] ({judged.rejection.code}): {escape(judged.rejection.detail)}")
    elif not len(judged.rows):
        out.print("[red]✗ There is no good row in it[/]: nothing would be loaded")
    else:
        held = len(judged.quarantined)
        out.print(
            f"[green]✓ Would be loaded[/]: {_counted(len(judged.rows), 'row')} under {trial.contract.reference}; "
            f"{held} of {judged.rows_in_file} quarantined ({allowed} allowed). Nothing was written."
        )


def show_changes(out: Console, old: Mapping[str, Any], new: Mapping[str, Any], changes: Sequence[Change]) -> bool:
    """Every change with its class, and which version it asks for; False when that is a new major and it is not one."""
    before, after = (f"{document.get('id')} {document.get('version')}" for document in (old, new))
    if not changes:
        out.print(f"[green]✓[/] {escape(before)} and {escape(after)} say the same")
        return True
    table = _table("class", "for", "place", "change", "old", "new", title=f"{escape(before)} → {escape(after)}")
    for change in changes:
        words = (change.whom, change.place, change.says, change.old, change.new)
        table.add_row(f"[{LEVEL_COLOURS[change.level]}]{change.level.word}[/]", *map(escape, words))
    out.print(table)
    is_new_major = str(old.get("version")).split(".")[0] != str(new.get("version")).split(".")[0]
    level = heaviest(changes)
    if is_new_major:
        out.print(f"[green]✓[/] {level.word}, and it is another major")
        return True
    if level is Level.BREAKING:
        out.print("[red]✗ Breaking[/]: this needs a new major, in a file of its own beside the old one")
        return False
    asks = "minor" if level is Level.COMPATIBLE else "patch"
    out.print(f"[green]✓[/] {level.word}: a new {asks} version (vs contract release sets it)")
    return True


def _table(*headings: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
