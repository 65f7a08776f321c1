"""The month's funnel as a table: signals → picked up → cases → callable → delivered → spoken → accepted → closed.

Every number is read from `marts.kpi_monthly` as `bi_reader`, exactly as a BI tool would; nothing is computed here. To
show another KPI, add a row to FUNNEL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.table import Table

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

FUNNEL = (
    ("signals delivered by partners", "signals_received"),
    ("signals loaded", "signals_loaded"),
    ("picked up, of loaded", "signals_picked_up"),
    ("cases opened", "cases_opened"),
    ("callable without enrichment, of persons", "persons_callable_without_enrichment"),
    ("numbers found, of requested", "enrichment_hits"),
    ("call records delivered", "call_records_delivered"),
    ("spoken, of records with outcome", "records_spoken"),
    ("not reached, of records with outcome", "records_not_reached"),
    ("help accepted, of spoken", "help_accepted_of_spoken"),
    ("help accepted, of records with outcome", "help_accepted_of_all"),
    ("cases closed, of opened", "cases_closed"),
)


@dataclass(frozen=True)
class Kpi:
    """One row of marts.kpi_monthly."""

    numerator: Decimal | None
    denominator: Decimal | None
    value: Decimal | None
    unit: str

    def __str__(self) -> str:
        if self.unit != "share" and not (self.denominator and self.unit != "share"):
            return _number(self.value, self.unit)
        if self.value is None:
            return f"— ({_number(self.numerator, '')} / {_number(self.denominator, '')})"
        shown = f"{self.value * 100:.1f} %" if self.unit == "share" else _number(self.value, self.unit)
        return f"{shown} ({_number(self.numerator, '')} / {_number(self.denominator, '')})"


def kpis_of(month: Month) -> dict[str, Kpi]:
    """All KPIs of the month over everybody (segment `all`), by name."""
    with connect(Role.BI_READER) as connection:
        rows = connection.execute(
            "select kpi, numerator, denominator, value, unit from marts.kpi_monthly"
            " where signal_month = %s and segment = 'all' order by kpi",
            (str(month),),
        ).fetchall()
    return {kpi: Kpi(*numbers) for kpi, *numbers in rows}


def funnel_table(months: Sequence[Month], fingerprints: Mapping[Month, str] | None = None) -> Table:
    """One column a month, one row a step of the funnel."""
    kpis = {month: kpis_of(month) for month in months}
    table = Table(title="From signal to closure, by signal month", title_justify="left")
    table.add_column("")
    for month in months:
        table.add_column(str(month), justify="right", no_wrap=True)
    for label, kpi in FUNNEL:
        table.add_row(label, *(str(kpis[month].get(kpi, "—")) for month in months))
    if fingerprints:
        table.add_section()
        table.add_row("fingerprint of the marts", *(fingerprints[month][:16] for month in months))
    return table


def kpi_table(month: Month) -> Table:
    """Every KPI of the month."""
    table = Table(title=f"KPIs of {month}", title_justify="left")
    for heading in ("kpi", "value", "numerator", "denominator", "unit"):
        table.add_column(heading, justify="right" if heading in ("value", "numerator", "denominator") else "left")
    for name, kpi in kpis_of(month).items():
        value = (
            f"{kpi.value * 100:.1f} %"
            if kpi.unit == "share" and kpi.value is not None
            else _number(kpi.value, kpi.unit)
        )
        table.add_row(
            name,
            value,
            _number(kpi.numerator, ""),
            _number(kpi.denominator, "") if kpi.denominator is not None else "",
            kpi.unit,
        )
    return table


def _number(value: Decimal | None, unit: str) -> str:
    if value is None:
        return "—"
    if unit == "eur":
        return f"€ {value:,.2f}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
