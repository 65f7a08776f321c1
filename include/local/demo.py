"""The demonstration: a synthetic municipality's months through the real platform, ending in what came of them.

Running it again is allowed: a month that is closed stays as it is, and nothing is delivered twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from include.local.airflow import USER, LocalAirflow
from include.local.airflow_api import AirflowApi
from include.local.closed_months import closed_month
from include.local.funnel import funnel_table
from include.local.instance import Instance
from include.local.lifecycle import up
from include.local.month_driver import STEPS, MonthDriver
from include.local.progress import shown
from include.local.sandbox import LocalSandbox
from include.months import Month


def run_demo(instance: Instance, months: Sequence[Month], on: Console) -> None:
    """Up with the sandbox, drive `months` in order, show the funnel and where to look further."""
    airflow = up(instance, lambda line: on.print(line, markup=False), sandbox=True)
    api = AirflowApi(airflow)
    for month in months:
        closed = closed_month(month)
        if closed:
            on.print(str(closed), markup=False)
            continue
        on.print(f"\n{month}: the partners deliver", markup=False)
        on.print(LocalSandbox(instance).deliver(month), markup=False)
        with shown(month, STEPS, on) as display:
            MonthDriver(api, month, display, approve=True).drive(STEPS, resume=True)
    api.close()
    show_results(instance, airflow, months, on)


def show_results(instance: Instance, airflow: LocalAirflow, months: Sequence[Month], on: Console) -> None:
    """The funnel of the months, and the doors to everything behind it."""
    from include.warehouse.fingerprints import month_fingerprint

    on.print()
    on.print(funnel_table(months, {month: month_fingerprint(month) for month in months}))
    environment = instance.platform_environment()
    gates = "select gate, rule, severity, success, unexpected_rows from ops.gate_results order by result_id"
    for label, place in (
        ("Airflow", f"{airflow.url}  user {USER}, password in {airflow.passwords_file}"),
        ("Monthly reports", environment["VS_REPORTS"]),
        ("Work lists for Kwadraad", f"{environment['VS_EXCHANGE_ROOT']}/outbox/kwadraad"),
        ("All files in and out", environment["VS_EXCHANGE_ROOT"]),
        ("KPIs of a month", f"vs kpi {months[-1]}"),
        ("Dashboards", "make bi   (Superset, in Dutch; docs/how-to/dashboards.md)"),
        ("Marts for BI", "vs dsn bi_reader   (a PostgreSQL URL, read-only)"),
        ("Gate results", f'psql "$(vs dsn vs_admin)" -c "{gates}"'),
    ):
        on.print(f"{label:<24} {place}", markup=False)
    on.print("\nThe platform keeps running. `vs status` shows it, `vs down` stops it.", markup=False)
