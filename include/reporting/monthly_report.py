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
from include.reporting.charts import Bar, bars, lines, stacked_columns
from include.reporting.figures import Figures, Kpi, read_figures
from include.settings import Settings

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
    "Hoe de maand is afgesloten": (
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

#: the large numbers at the top
HEADLINES = (
    ("signals_picked_up", "signalen opgepakt"),
    ("records_spoken", "gesproken"),
    ("help_accepted_of_spoken", "hulp aanvaard, van de gesprokenen"),
    ("cases_closed", "meldingen afgesloten"),
)

#: (part of which KPI, what it counts, its unit, the step it is a share of)
FUNNEL = (
    ("signals_picked_up", "denominator", "Geladen", "signalen", None),
    ("signals_picked_up", "numerator", "Opgepakt", "signalen", "geladen"),
    ("cases_opened", "numerator", "Meldingen (één per adres)", "meldingen", None),
    ("persons_callable_without_enrichment", "denominator", "Personen in die meldingen", "personen", None),
    ("call_records_delivered", "numerator", "Aangeleverd aan Certin", "belrecords", None),
    ("records_spoken", "denominator", "Met een resultaat", "belrecords", "aangeleverd"),
    ("records_spoken", "numerator", "Gesproken", "belrecords", "met resultaat"),
    ("help_accepted_of_spoken", "numerator", "Hulp aanvaard", "belrecords", "gesproken"),
)
UNIT_COLOURS = {"signalen": "#154273", "meldingen": "#39870c", "personen": "#7a5ea8", "belrecords": "#d9822b"}

GROUPS = {"positive": "Hulp aanvaard", "negative": "Gesproken, geen hulp", "not_reached": "Niet bereikt"}
GROUP_COLOURS = {"Hulp aanvaard": "#39870c", "Gesproken, geen hulp": "#2f6ea5", "Niet bereikt": "#a5afb9"}
REACHED_COLOURS = {"Bereikt": "#39870c", "Niet bereikt": "#a5afb9"}
TREND_LABELS = {
    "records_spoken": "Gesproken", "help_accepted_of_spoken": "Hulp aanvaard (van gesproken)",
    "cases_closed": "Meldingen afgesloten",
}  # fmt: skip
TREND_COLOURS = dict(zip(TREND_LABELS.values(), ("#2f6ea5", "#39870c", "#d9822b"), strict=True))
MOST_ATTEMPTS_SHOWN = 8

STATES = {"closed": "Afgesloten", "open": "Open", "excluded": "Uitgezonderd"}
#: what a reason of fct_month_end_closures means; RIS's own codes are shown as they are
REASONS = {
    "over_threshold": "Achterstand boven de grens: niet collectief sluiten",
    "crisis": "Crisissignaal",
    "open_followup": "Hulpvraag of opvolging loopt nog",
    "open_callback": "Terugbelverzoek staat nog open",
    "inbound_after_last_attempt": "Inwoner belde terug na de laatste poging",
    "under_seven_attempts": "Niet bereikt na minder pogingen dan afgesproken",
    "direct_recurring": "Opnieuw na weigering: bij Kwadraad",
    "visit": "Huisbezoek: bij Kwadraad",
    "letter": "Brief: bij Kwadraad",
    "no_outcome": "Nog geen resultaat van de beller",
    "followup_ended": "Hulp aanvaard en opvolging beëindigd",
    "negative_outcome": "Gesproken, geen hulpvraag",
    "not_reached": "Niet bereikt",
    "no_rule_applies": "Geen regel van toepassing",
    "awaiting_ris": "Wacht op antwoord van RIS",
    "rejected_by_ris": "Geweigerd door RIS",
    "not_yet_closed": "Nog niet afgesloten",
    "not_yet_proposed": "Nog niet beoordeeld",
}


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

    figures = read_figures(month)
    if not figures.kpis:
        raise ReportImpossible(f"marts holds no KPIs of {month}; build its marts first: vs month {month}")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"nl": dutch, "eur": euros, "share": share_of, "ratio": ratio_of}
    return environment.get_template("monthly_report.html.j2").render(
        title=f"Vroegsignalering {_named(month)}",
        municipality=Settings.from_environment().municipality_name,
        month=str(month),
        headlines=_lines(figures, HEADLINES),
        sections={title: _lines(figures, wanted) for title, wanted in SECTIONS.items()},
        figures=figures,
        groups=_groups(figures),
        group_names=GROUPS,
        states=STATES,
        reasons=REASONS,
        charts=_charts(figures),
        colours={"unit": UNIT_COLOURS, "group": GROUP_COLOURS, "reached": REACHED_COLOURS, "trend": TREND_COLOURS},
        versions=sorted({kpi.definition_version for kpi in figures.kpis.values()}),
        remarks=_remarks(figures),
    )


def _named(month: Month) -> str:
    return f"{MONTH_NAMES[month.number - 1]} {month.year}"


def _lines(figures: Figures, wanted: Sequence[tuple[str, str]]) -> list[Line]:
    return [Line(label, *_said(figures.kpis[kpi])) for kpi, label in wanted if kpi in figures.kpis]


# -- charts -----------------------------------------------------------------------------------------------------------


def _charts(figures: Figures) -> dict[str, str]:
    """Each chart by name; a chart without anything to show is empty."""
    results = [
        Bar(result.label, result.records, dutch(result.records), GROUPS[result.result_group])
        for result in figures.results
        if result.records
    ]
    months = {month for month, _, _ in figures.trend}
    return {
        "funnel": bars(_funnel(figures), UNIT_COLOURS, "Van signaal tot hulp, in aantallen"),
        "results": bars(results, GROUP_COLOURS, "Belrecords per resultaat") if results else "",
        "attempts": stacked_columns(
            _attempts(figures), GROUP_COLOURS, ("uitgaande pogingen", "belrecords"), "Belrecords naar aantal pogingen"
        )
        if figures.attempts_per_record
        else "",
        "parts_of_day": bars(
            _parts_of_day(figures), REACHED_COLOURS, "Belpogingen per dagdeel, bereikt en niet bereikt"
        )
        if figures.parts_of_day
        else "",
        "trend": lines(
            [(_short(month), TREND_LABELS[kpi], float(value)) for month, kpi, value in figures.trend],
            TREND_COLOURS,
            "Aandelen over de maanden",
        )
        if len(months) > 1
        else "",
    }


def _funnel(figures: Figures) -> list[Bar]:
    found, before = [], None
    for name, part, label, unit, of in FUNNEL:
        kpi = figures.kpis.get(name)
        count = getattr(kpi, part) if kpi else None
        if count is None:
            continue
        said = dutch(count)
        if of and before:
            said += f"  ({dutch(100 * count / before, 1)} % van {dutch(before)} {of})"
        found.append(Bar(f"{label}", float(count), said, unit))
        before = count
    return found


def _attempts(figures: Figures) -> list[tuple[str, str, int]]:
    """Columns 0, 1, … and one for all above."""
    groups = sorted({group for _, group, _ in figures.attempts_per_record}, key=list(GROUPS).index)
    most = min(max(attempts for attempts, _, _ in figures.attempts_per_record), MOST_ATTEMPTS_SHOWN)
    rows = []
    for column in range(most + 1):
        is_last = column == MOST_ATTEMPTS_SHOWN
        for group in groups:
            records = sum(
                count
                for attempts, of, count in figures.attempts_per_record
                if of == group and (attempts == column or (is_last and attempts > column))
            )
            rows.append((f"{column}+" if is_last else str(column), GROUPS[group], records))
    return rows


def _parts_of_day(figures: Figures) -> list[Bar]:
    return [
        Bar(f"{part}: {'bereikt' if reached else 'niet bereikt'}", count, dutch(count),
            "Bereikt" if reached else "Niet bereikt")
        for part, reached, count in figures.parts_of_day
    ]  # fmt: skip


def _short(month: str) -> str:
    parsed = Month.parse(month)
    return f"{MONTH_NAMES[parsed.number - 1][:3]} {parsed.year % 100:02d}"


# -- numbers as text ---------------------------------------------------------------------------------------------------


def _said(kpi: Kpi) -> tuple[str, str]:
    if kpi.value is None:
        return "–", "niet te berekenen: de noemer is 0" if kpi.denominator is not None else ""
    if kpi.unit == "share":
        return f"{dutch(kpi.value * 100, 1)} %", f"{_amount(kpi.numerator)} van {_amount(kpi.denominator)}"
    if kpi.unit == "eur":
        over = f"{euros(kpi.numerator)} ÷ {dutch(kpi.denominator)}" if kpi.denominator is not None else ""
        return euros(kpi.value), over
    if kpi.denominator is not None:
        return dutch(kpi.value, 1), f"{dutch(kpi.numerator)} ÷ {dutch(kpi.denominator)}"
    return dutch(kpi.value), ""


def _amount(number: Decimal) -> str:
    return dutch(number) if number == number.to_integral_value() else dutch(number, 2)


def dutch(number: Decimal | int, decimals: int = 0) -> str:
    """`1.849` and `68,8`: the thousands with a point, the decimals behind a comma."""
    return f"{number:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def euros(number: Decimal) -> str:
    return f"€ {dutch(number, 2)}"


def share_of(count: int, whole: int) -> str:
    """`12,2 % (225 van 1.849)`; never a share without its counts."""
    return f"{dutch(Decimal(100 * count) / whole, 1)} % ({dutch(count)} van {dutch(whole)})" if whole else "–"


def ratio_of(count: int, whole: int) -> str:
    return f"{dutch(Decimal(count) / whole, 1)} ({dutch(count)} ÷ {dutch(whole)})" if whole else "–"


def _groups(figures: Figures) -> list[tuple[str, str, str]]:
    total = sum(result.records for result in figures.results)
    return [
        (
            label,
            dutch(count := sum(result.records for result in figures.results if result.result_group == group)),
            f"{dutch(Decimal(count * 100) / total, 1)} %" if total else "–",
        )
        for group, label in GROUPS.items()
    ]


def _remarks(figures: Figures) -> list[str]:
    """Where a number may not be compared."""
    remarks = [
        "Percentages met een verschillende noemer zijn niet te vergelijken: hulp aanvaard van de gesprokenen is altijd "
        "hoger dan hulp aanvaard van alle records.",
        "Signalen, meldingen, personen en belrecords zijn verschillende eenheden: één adres met drie signalen is één "
        "melding en kan twee belrecords hebben.",
    ]
    spoken, waiting = figures.kpis.get("records_spoken"), figures.kpis.get("records_without_outcome")
    if spoken and spoken.denominator is not None and spoken.denominator < 100:
        remarks.append("Minder dan honderd records met een resultaat: een enkel gesprek verschuift de percentages.")
    if waiting and waiting.numerator:
        remarks.append(
            f"{dutch(waiting.numerator)} belrecords hebben nog geen resultaat en tellen in de percentages niet mee."
        )
    if figures.is_example_rate:
        remarks.append("Het tarief is een voorbeeld: het echte tarief van Certin is niet openbaar.")
    return remarks
