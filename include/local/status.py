"""What runs of this instance, where it listens and where its log is; and what a person must look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from rich.markup import escape
from rich.table import Table

from include.local.airflow import LocalAirflow
from include.local.instance import Instance
from include.local.lifecycle import load_environment
from include.local.sandbox import NAME as SANDBOX
from include.local.sandbox import LocalSandbox
from include.local.superset import NAME as SUPERSET
from include.local.superset import LocalSuperset
from include.settings import SettingMissing
from include.warehouse.alerts import Alert, open_alerts
from include.warehouse.waiting import Waiting, what_waits

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True)
class ServiceState:
    """One line of `vs status`."""

    service: str
    state: str
    where: str

    @property
    def is_up(self) -> bool:
        return self.state in ("up", "healthy")


def states_of(instance: Instance) -> list[ServiceState]:
    """Every service of the instance as it is now."""
    if not instance.exists:
        return []
    airflow = LocalAirflow(instance)
    unhealthy = airflow.unhealthy()
    states = [
        ServiceState(
            "postgres",
            "up" if instance.postgres.is_running() else "down",
            f"{instance.postgres.host}:{instance.postgres.port}",
        )
    ]
    for name in airflow.components:
        running = airflow.processes.is_running(name)
        state = "down" if not running else "unhealthy" if name in unhealthy else "healthy"
        states.append(
            ServiceState(name, state, airflow.url if name == "api-server" else str(airflow.processes.log(name)))
        )
    if instance.has_sandbox:
        serving = LocalSandbox(instance).is_serving() and airflow.processes.is_running(SANDBOX)
        states.append(ServiceState(SANDBOX, "up" if serving else "down", instance.ris_url))
    superset = LocalSuperset(instance)
    if superset.was_started:
        running = superset.processes.is_running(SUPERSET)
        state = "down" if not running else "healthy" if superset.is_healthy() else "unhealthy"
        states.append(ServiceState(SUPERSET, state, superset.url))
    return states


def alerts_of(instance: Instance) -> list[Alert]:
    """The open alerts, when there is a warehouse to ask."""
    if not instance.postgres.is_running():
        return []
    load_environment(instance)
    return open_alerts()


def status_table(states: list[ServiceState], instance: Instance) -> Table:
    table = Table(title=f"Platform in {instance.home}", title_justify="left")
    for heading in ("service", "state", "where"):
        table.add_column(heading, overflow="fold")
    for state in states:
        table.add_row(
            state.service, f"[green]{state.state}[/]" if state.is_up else f"[red]{state.state}[/]", state.where
        )
    return table


def what_waits_of(instance: Instance) -> list[Waiting]:
    """What waits for whom, when there is a warehouse to ask."""
    if not instance.postgres.is_running():
        return []
    load_environment(instance)
    return what_waits()


def waiting_table(lines: Sequence[Waiting]) -> Table:
    """Who must act on what, how many, since when and what to run: one line a kind."""
    from include.alerts.kinds import KINDS

    table = Table(title="What waits for whom", title_justify="left")
    for heading in ("for", "what", "months", "how many", "since", "do"):
        table.add_column(heading, justify="right" if heading == "how many" else "left", overflow="fold")
    for line in lines:
        kind, months = KINDS[line.kind], line.months
        table.add_row(
            line.waits_for,
            kind.title,
            months[0] if len(months) == 1 else f"{months[0]} … {months[-1]}",
            f"{line.items:,}",
            f"{line.since.astimezone(AMSTERDAM):%Y-%m-%d %H:%M}" if line.since else "",
            escape(kind.what_to_do(months[0], line.subject)),
        )
    return table


def alert_lines(instance: Instance) -> list[str]:
    """The first line of each open alert, and whether anybody can be told."""
    from include.alerts.channels import channels

    alerts = alerts_of(instance)
    if not alerts:
        return []
    try:
        names = " and ".join(channel.name for channel in channels()) or "nobody: no channel is set"
    except SettingMissing as unusable:
        names = f"nobody: {unusable}"
    shown = [f"! {alert.message.splitlines()[0]}" for alert in alerts]
    return [*shown, f"In full: vs alerts list. Told by {names} (docs/runbooks/tell-somebody.md)."]


def broken_contract_lines() -> list[str]:
    """The contract files the months go on without: nothing that is down, but somebody must look."""
    from include.contracts.checking import broken_contracts

    return [
        f"contract {escape(broken.path.name)} is not used: {len(broken.problems)} problem(s); "
        f"vs contract check {escape(str(broken.path))}"
        for broken in broken_contracts()
    ]


def waiting_lines(instance: Instance) -> list[str]:
    """Closed months RIS said something about since: a person proposes their next version."""
    from include.warehouse.restatements import waiting_restatements

    load_environment(instance)
    return [f"{waiting}. Propose it: vs month {waiting.signal_month} --restate" for waiting in waiting_restatements()]
