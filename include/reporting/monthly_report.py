"""The monthly report for the municipality: `reports/<month>/rapportage.html`, in Dutch.

One self-contained page without scripts or outside requests, readable on paper. It reads `marts` only, as `bi_reader`,
so it cannot hold personal data; it carries no time of making, so it is the same to the byte while nothing changed.
Every share stands beside the counts it is made of: 12.2 % of those spoken and 8.4 % of all are the same 225 people.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from include.months import Month
from include.reporting.charts import bar_chart
from include.settings import Role, Settings
from include.warehouse.connection import connect

TEMPLATE_FOLDER = Path(__file__).parent
FILE_NAME = "rapportage.html"

MONTH_NAMES = (
    "januari", "februari", "maart", "april", "mei", "juni",
    "juli", "augustus", "september", "oktober", "november", "december",
)  # fmt: skip

#: section → (KPI, what it says in Dutch)
SECTIONS: Mapping[str, Sequence[tuple[str, str]]] = {
    "Wat kwam er binnen": (
        ("signals_received", "Signalen ontvangen"),
        ("signals_loaded", "Signalen geladen"),
        ("signals_quarantined", "Signalen apart gezet (quarantaine)"),
        ("signals_picked_up", "Signalen opgepakt"),
        ("cases_opened", "Meldingen geopend"),
        ("cases_multiple", "Meldingen met meer signalen op het adres"),
        ("cases_consecutive", "Meldingen met een signaal in de zes maanden ervoor"),
    ),
    "Wie is bereikt": (
        ("persons_callable_without_enrichment", "Personen met een eigen bruikbaar nummer"),
        ("enrichment_hits", "Gevraagde nummers die zijn gevonden"),
        ("call_records_delivered", "Belrecords aangeleverd aan Certin"),
        ("records_without_outcome", "Belrecords nog zonder resultaat"),
        ("records_spoken", "Gesproken"),
        ("records_not_reached", "Niet bereikt"),
    ),
    "Wie aanvaardde hulp": (
        ("help_accepted_of_spoken", "Hulp aanvaard, van de gesprokenen"),
        ("help_accepted_of_all", "Hulp aanvaard, van alle records met een resultaat"),
    ),
    "Hoe er is gebeld": (
        ("attempts_per_record", "Belpogingen per record"),
        ("records_under_seven_attempts", "Niet bereikt na minder dan zeven pogingen"),
        ("attempts_outside_hours", "Pogingen buiten de beltijden"),
        ("inbound_callbacks", "Inwoners die terugbelden"),
    ),
    "Wat er openbleef": (
        ("cases_direct_over_threshold", "Direct naar Kwadraad: boven het drempelbedrag"),
        ("cases_recurring_after_refusal", "Direct naar Kwadraad: opnieuw na eerdere weigering"),
        ("cases_closed", "Meldingen afgesloten aan het eind van de maand"),
    ),
    "Wat het kostte": (
        ("cost_eur", "Kosten van de maand"),
        ("cost_per_callable_record_eur", "Kosten per aangeleverd record"),
        ("cost_per_spoken_eur", "Kosten per gesproken inwoner"),
        ("cost_per_accepted_eur", "Kosten per inwoner die hulp aanvaardde"),
        ("budget_used", "Deel van het budget dat is gebruikt"),
    ),
}

GROUPS = {"negative": "Gesproken, geen hulp", "not_reached": "Niet bereikt", "positive": "Hulp aanvaard"}


class ReportImpossible(RuntimeError):
    """There is nothing to report on; the message says what to run."""


@dataclass(frozen=True)
class Line:
    """One KPI as a reader sees it."""

    label: str
    value: str
    counts: str


def write_report(month: Month) -> Path:
    """Write the report of `month` and return its path; ReportImpossible when marts holds nothing of the month."""
    html = render_report(month)
    path = Settings.from_environment().reports_folder / str(month) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(html, encoding="utf-8")
    os.replace(draft, path)
    return path


def render_report(month: Month) -> str:
    """The page itself."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    kpis, results, accounting, is_example_rate, partners = _read(month)
    if not kpis:
        raise ReportImpossible(f"marts holds no KPIs of {month}; build its marts first: vs month {month}")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    outcomes = [(f"{label} ({GROUPS[group]})", count) for group, label, count in results if count]
    return environment.get_template("monthly_report.html.j2").render(
        title=f"Vroegsignalering {MONTH_NAMES[month.number - 1]} {month.year}",
        municipality=Settings.from_environment().municipality_name,
        month=str(month),
        sections={
            title: [Line(label, *_said(kpis[kpi])) for kpi, label in lines if kpi in kpis]
            for title, lines in SECTIONS.items()
        },
        groups=_groups(results),
        outcome_chart=bar_chart(outcomes, "Belrecords per resultaat") if outcomes else "",
        accounting=accounting,
        partners=partners,
        is_example_rate=is_example_rate,
        remarks=_remarks(kpis),
    )


Kpi = tuple[Decimal | None, Decimal | None, Decimal | None, str]


def _read(month: Month):
    key = (str(month),)
    with connect(Role.BI_READER) as connection:
        kpis = {
            row[0]: row[1:]
            for row in connection.execute(
                "select kpi, numerator, denominator, value, unit from marts.kpi_monthly"
                " where signal_month = %s and segment = 'all'",
                key,
            )
        }
        results = connection.execute(
            "select result_group, result_code, records from marts.kpi_pilot_dashboard where period = %s"
            " order by result_group, records desc, result_code",
            key,
        ).fetchall()
        accounting = connection.execute(
            "select cases_opened, cases_closed, cases_open, cases_excluded from marts.rpt_closure_accounting"
            " where signal_month = %s",
            key,
        ).fetchone()
        example = connection.execute(
            "select coalesce(bool_or(is_example_rate), false) from marts.kpi_cost_monthly where signal_month = %s", key
        ).fetchone()[0]
        partners = connection.execute(
            "select partner, sector, rows_delivered, rows_loaded, rows_quarantined, rows_duplicate, is_missing_on_deadline"
            " from marts.kpi_partner_quality_monthly where signal_month = %s order by partner",
            key,
        ).fetchall()
        labels = dict(connection.execute("select result_code, label_nl from marts.dim_result").fetchall())
    return (
        kpis,
        [(group, labels.get(code, code), count) for group, code, count in results],
        accounting,
        example,
        partners,
    )


def _said(kpi: Kpi) -> tuple[str, str]:
    numerator, denominator, value, unit = kpi
    if value is None:
        return "–", "niet te berekenen: de noemer is 0" if denominator is not None else ""
    if unit == "share":
        return f"{dutch(value * 100, 1)} %", f"{_amount(numerator)} van {_amount(denominator)}"
    if unit == "eur":
        over = f"€ {dutch(numerator, 2)} ÷ {dutch(denominator)}" if denominator is not None else ""
        return f"€ {dutch(value, 2)}", over
    if denominator is not None:
        return dutch(value, 1), f"{dutch(numerator)} ÷ {dutch(denominator)}"
    return dutch(value), ""


def _amount(number: Decimal) -> str:
    return dutch(number) if number == number.to_integral_value() else dutch(number, 2)


def dutch(number: Decimal, decimals: int = 0) -> str:
    """`1.849` and `68,8`: the thousands with a point, the decimals behind a comma."""
    return f"{number:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def _groups(results: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, str]]:
    total = sum(count for _, _, count in results)
    totals = {group: sum(count for of, _, count in results if of == group) for group in GROUPS}
    return [
        (label, dutch(Decimal(totals[group])), f"{dutch(Decimal(totals[group] * 100) / total, 1)} %" if total else "–")
        for group, label in GROUPS.items()
    ]


def _remarks(kpis: Mapping[str, Kpi]) -> list[str]:
    """Where a number may not be compared."""
    remarks = [
        "Percentages met een verschillende noemer zijn niet te vergelijken: hulp aanvaard van de gesprokenen is altijd "
        "hoger dan hulp aanvaard van alle records."
    ]
    spoken = kpis.get("records_spoken")
    if spoken and spoken[1] is not None and spoken[1] < 100:
        remarks.append("Minder dan honderd records met een resultaat: een enkel gesprek verschuift de percentages.")
    waiting = kpis.get("records_without_outcome")
    if waiting and waiting[0]:
        remarks.append(
            f"{dutch(waiting[0])} belrecords hebben nog geen resultaat en tellen in de percentages niet mee."
        )
    return remarks
