"""How a month's progress looks: a live table on a terminal, plain lines everywhere else (CI, a pipe, a log file)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from include.local.airflow_api import Task
from include.local.month_driver import Display, Step
from include.months import Month

QUIET = frozenset({"waiting", "scheduled", "queued", "none", "removed"})
SIGNS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "upstream_failed": "[red]·[/]", "skipped": "[dim]–[/]"}


def console(*, errors: bool = False) -> Console:
    """Wide enough for a table where there is no terminal to ask."""
    made = Console(stderr=errors, highlight=False)
    return made if made.is_terminal else Console(stderr=errors, highlight=False, width=132, soft_wrap=True)


@contextmanager
def shown(month: Month, steps: Sequence[Step], on: Console) -> Iterator[Display]:
    """The display that suits `on`."""
    if not on.is_terminal:
        yield PlainLines(month, on)
        return
    table = LiveTable(month, steps)
    with Live(table, console=on, refresh_per_second=4):
        yield table


@dataclass
class PlainLines:
    """One line for every change."""

    month: Month
    on: Console
    seen: dict[tuple[str, str], str] = field(default_factory=dict)

    def step(self, step: Step, message: str) -> None:
        self.on.print(f"{self.month}  {step.name:<8} {message}", markup=False)

    def tasks(self, step: Step, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if task.state in QUIET or self.seen.get((step.name, task.name)) == task.state:
                continue
            self.seen[step.name, task.name] = task.state
            spent = f" ({task.seconds:.1f} s)" if task.seconds and task.state in SIGNS else ""
            self.on.print(f"{self.month}  {step.name:<8}   {task.name}: {task.state}{spent}", markup=False)


@dataclass
class LiveTable:
    """The steps of the month with what they do at this moment."""

    month: Month
    steps: Sequence[Step]
    rows: dict[str, Sequence[Task]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    def step(self, step: Step, message: str) -> None:
        self.started.setdefault(step.name, time.monotonic())
        if message.startswith("done"):
            self.ended[step.name] = time.monotonic()
        self.messages[step.name] = message

    def tasks(self, step: Step, tasks: Sequence[Task]) -> None:
        self.rows[step.name] = tasks

    def __rich__(self) -> Table:
        table = Table(title=f"Month {self.month}", title_justify="left", expand=False)
        for heading in ("step", "tasks", "time", "now"):
            table.add_column(heading, justify="right" if heading == "time" else "left", overflow="fold")
        for step in self.steps:
            table.add_row(step.name, self._signs(step), self._time(step), self._now(step))
        return table

    def _signs(self, step: Step) -> str:
        return "".join(
            SIGNS.get(task.state, "[yellow]○[/]" if task.state not in QUIET else "[dim]○[/]")
            for task in self.rows.get(step.name, ())
        )

    def _time(self, step: Step) -> str:
        if step.name not in self.started:
            return ""
        return f"{self.ended.get(step.name, time.monotonic()) - self.started[step.name]:.0f} s"

    def _now(self, step: Step) -> str:
        from rich.markup import escape

        busy = [
            f"{task.name} ({task.state})" for task in self.rows.get(step.name, ()) if task.state not in {*QUIET, *SIGNS}
        ]
        message = self.messages.get(step.name, "")
        words = [message] if not busy or "waits" in message or message.startswith("done") else busy
        return escape(", ".join(words))
