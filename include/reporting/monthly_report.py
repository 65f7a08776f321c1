"""The monthly report for the municipality: `reports/<month>/rapportage.html`, in Dutch, and on paper where possible.

One self-contained page without scripts or outside requests. It reads `marts` only, as `bi_reader`, so it cannot hold
personal data; it carries no time of making, so it is the same to the byte while nothing changed, and a PDF is printed
only when the page is another. Every share stands beside the counts it is made of: 12.2 % of those spoken and 8.4 % of
all are the same 225 people.
How to change: what is said stands in monthly_report.html.j2, which numbers a section lists in SECTIONS below, where a
number may not be compared in remarks.py.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from include.months import Month
from include.reporting import charts
from include.reporting.charts import Bar, Cell, Interval, Point
from include.reporting.dutch import (
    amount,
    counts,
    dutch,
    euros,
    month_name,
    percent,
    ratio_of,
    share_of,
    short_month,
)
from include.reporting.figures import Figures, Kpi, Reference, read_figures
from include.reporting.remarks import remarks_on
from include.settings import Settings

TEMPLATE_FOLDER = Path(__file__).parent
FILE_NAME = "rapportage.html"

#: section → its KPIs; their names are those of dim_kpi, the same as in the definitions at the end
SECTIONS: Mapping[str, Sequence[str]] = {
    "received": (
        "signals_received", "signals_loaded", "signals_quarantined", "signals_picked_up", "cases_opened",
        "cases_multiple", "cases_consecutive",
    ),
    "reached": (
        "persons_callable_without_enrichment", "enrichment_hits", "call_records_delivered", "records_without_outcome",
        "records_spoken", "records_not_reached",
    ),
    "called": (
        "attempts_per_record", "records_under_seven_attempts", "attempts_outside_hours", "inbound_callbacks",
    ),
    "closed": ("cases_direct_over_threshold", "cases_recurring_after_refusal", "cases_closed"),
    # what is used of the budget stands under these, with its bar
    "paid": ("cost_eur", "cost_per_callable_record_eur", "cost_per_spoken_eur", "cost_per_accepted_eur"),
}  # fmt: skip

#: the large numbers at the top
HEADLINES = ("signals_picked_up", "records_spoken", "help_accepted_of_spoken", "cases_closed")

#: (part of which KPI, what it counts, its unit, the step it is a share of)
FUNNEL = (
    ("signals_picked_up", "denominator", "Geladen", "signalen", None),
    ("signals_picked_up", "numerator", "Opgepakt", "signalen", "geladen"),
    ("cases_opened", "numerator", "Meldingen (één per adres)", "meldingen", None),
    ("persons_callable_without_enrichment", "denominator", "Personen in die meldingen", "personen", None),
    ("call_records_delivered", "numerator", "Aangeleverd aan Certin", "belrecords", None),
    ("records_spoken", "denominator", "Met een resultaat", "belrecords", "aangeleverd"),
    ("records_spoken", "numerator", "Gesproken", "belrecords", "met resultaat"),
    ("help_accepted_of_spoken", "numerator", "Hulp geaccepteerd", "belrecords", "gesproken"),
)
UNIT_COLOURS = {
    "signalen": charts.BLUE, "meldingen": charts.PURPLE, "personen": charts.GREY, "belrecords": charts.ORANGE,
}  # fmt: skip

GROUPS = {"positive": "Hulp geaccepteerd", "negative": "Gesproken, geen hulp", "not_reached": "Niet bereikt"}
GROUP_COLOURS = dict(zip(GROUPS.values(), (charts.GREEN, charts.BLUE, charts.GREY), strict=True))
TREND_COLOURS = {"Gesproken": charts.BLUE, "Hulp geaccepteerd": charts.GREEN, "Afgesloten": charts.ORANGE}
TREND = {"records_spoken": "Gesproken", "help_accepted_of_spoken": "Hulp geaccepteerd", "cases_closed": "Afgesloten"}
OUTCOMES = {
    "help_accepted": "Na hulp",
    "refused_help": "Na weigering",
    "not_reached": "Niet bereikt",
    "other": "Andere uitkomst",
}
OUTCOME_COLOURS = dict(
    zip(OUTCOMES.values(), (charts.GREEN, charts.BLUE, charts.DARK_GREY, charts.PURPLE), strict=True)
)
MOST_ATTEMPTS_SHOWN = 8
PARTS = ("sector", "arrears_band")
#: under this many attempts a share of a cell is chance
FEWEST_IN_A_CELL = 1
BANDS = {
    "0-100": "tot en met € 100", "100-250": "€ 100 – 250", "250-500": "€ 250 – 500", "500-1000": "€ 500 – 1.000",
    "1000-2000": "€ 1.000 – 2.000", "2000+": "boven € 2.000",
}  # fmt: skip
LEVELS = {"person": "op persoon", "address": "op adres"}
SOURCES = {"own": "van de partner, deze maand", "earlier": "van de partner, eerder"}

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
    "followup_ended": "Hulp geaccepteerd en opvolging beëindigd",
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
    #: how sure a share is, and what it was the month before
    beside: str = ""


@dataclass(frozen=True)
class Part:
    """One sector or band of arrears, with what happened in it."""

    label: str
    cases: str
    spoken: str
    accepted: str
    closed: str


def write_report(month: Month) -> Path:
    """Write the report of `month` and return its path; ReportImpossible when marts holds nothing of the month."""
    html = render_report(month).encode()
    path = Settings.from_environment().reports_folder / str(month) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(path.parent):
        # a page that did not change keeps its time, and with it the PDF that was printed from it
        if not path.exists() or path.read_bytes() != html:
            draft = path.with_suffix(".tmp")
            draft.write_bytes(html)
            os.replace(draft, path)
    return path


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two runs at once would write the same draft; the lock ends with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
    environment.filters |= {"nl": dutch, "eur": euros, "share": share_of, "ratio": ratio_of, "score": _score}
    return environment.get_template("monthly_report.html.j2").render(
        month_name=month_name(month),
        before_name=month_name(month.previous) if figures.before else None,
        municipality=Settings.from_environment().municipality_name,
        month=str(month),
        in_short=_in_short(figures, month),
        headlines=_lines(figures, HEADLINES),
        sections={name: _lines(figures, wanted) for name, wanted in SECTIONS.items()},
        figures=figures,
        acceptance=_acceptance(figures),
        groups=_groups(figures),
        parts=_parts(figures),
        sources=_sources(figures),
        resignals=_resignal_lines(figures),
        references=_references(figures),
        states=STATES,
        reasons=REASONS,
        charts=_charts(figures),
        colours={
            "unit": UNIT_COLOURS, "group": GROUP_COLOURS, "trend": TREND_COLOURS, "outcome": OUTCOME_COLOURS,
        },
        budget=_budget(figures),
        remarks=remarks_on(figures, month),
    )  # fmt: skip


# -- words -------------------------------------------------------------------------------------------------------------


def _in_short(figures: Figures, month: Month) -> list[str]:
    """The month in a few sentences; a sentence without its numbers is left out."""
    kpis, said = figures.kpis, []
    partners = [partner for partner in figures.partners if partner.rows_delivered]
    if "signals_received" in kpis and "cases_opened" in kpis:
        said.append(
            f"In {month_name(month)} {'meldde' if len(partners) == 1 else 'meldden'} "
            f"{_number(len(partners), 'partner', 'partners')} {'' if len(partners) == 1 else 'samen '}"
            f"{amount(kpis['signals_received'].numerator or Decimal(0))} signalen. Daaruit kwamen "
            f"{amount(kpis['cases_opened'].numerator or Decimal(0))} meldingen voort, één per adres."
        )
    spoken, accepted = kpis.get("records_spoken"), kpis.get("help_accepted_of_spoken")
    if spoken and spoken.denominator:
        said.append(
            f"Van de {dutch(spoken.denominator)} belrecords met een resultaat is met {dutch(spoken.numerator or 0)} "
            f"inwoners gesproken ({percent(spoken.value or 0)})."
        )
    of_all = kpis.get("help_accepted_of_all")
    if accepted and accepted.denominator and of_all and of_all.denominator:
        said.append(
            f"Van hen {'accepteerde' if accepted.numerator == 1 else 'accepteerden'} er "
            f"{dutch(accepted.numerator or 0)} hulp: {percent(accepted.value or 0)} van wie gesproken is, "
            f"{percent(of_all.value or 0)} van alle records met een resultaat."
        )
    if figures.accounting:
        books = figures.accounting
        said.append(
            f"Aan het eind van de maand {_is(books['cases_closed'])} {dutch(books['cases_closed'])} van de "
            f"{dutch(books['cases_opened'])} meldingen afgesloten; {dutch(books['cases_open'])} "
            f"{'staat' if books['cases_open'] == 1 else 'staan'} open en {dutch(books['cases_excluded'])} "
            f"{_is(books['cases_excluded'])} met reden uitgezonderd."
        )
    return said


def _is(count: int) -> str:
    return "is" if count == 1 else "zijn"


def _score(score: Decimal | None) -> str:
    return dutch(score, 0) if score is not None else "–"


def _number(count: int, one: str, more: str) -> str:
    words = ("geen", "één", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen", "tien")
    return f"{words[count] if count < len(words) else dutch(count)} {one if count == 1 else more}"


def _lines(figures: Figures, wanted: Sequence[str]) -> list[Line]:
    labels = {defined.kpi: defined.label_nl for defined in figures.definitions}
    return [
        Line(labels[kpi], *_said(figures.kpis[kpi]), _beside(figures.kpis[kpi], figures.before.get(kpi)))
        for kpi in wanted
        if kpi in figures.kpis
    ]


def _said(kpi: Kpi) -> tuple[str, str]:
    if kpi.value is None:
        return "–", "de noemer is 0" if kpi.denominator is not None else ""
    numerator = kpi.numerator or Decimal(0)
    if kpi.unit == "share":
        return percent(kpi.value), counts(numerator, kpi.denominator or 0)
    if kpi.unit == "eur":
        return euros(kpi.value), f"{euros(numerator)} ÷ {dutch(kpi.denominator)}" if kpi.denominator else ""
    if kpi.denominator is not None:
        return dutch(kpi.value, 1), f"{dutch(numerator)} ÷ {dutch(kpi.denominator)}"
    return dutch(kpi.value), ""


def _beside(kpi: Kpi, before: Kpi | None) -> str:
    """The interval of a share of few, and the month before when it was counted in the same way."""
    said = []
    if kpi.is_small and kpi.lower_bound is not None and kpi.upper_bound is not None:
        said.append(f"tussen {percent(kpi.lower_bound, 0)} en {percent(kpi.upper_bound, 0)}")
    if before and before.value is not None and before.definition_version == kpi.definition_version:
        said.append(f"vorige maand {_said(before)[0]}")
    return " · ".join(said)


def _groups(figures: Figures) -> list[tuple[str, str, str]]:
    total = sum(result.records for result in figures.results)
    return [
        (
            label,
            dutch(count := sum(result.records for result in figures.results if result.result_group == group)),
            percent(Decimal(count) / total) if total else "–",
        )
        for group, label in GROUPS.items()
    ]


def _acceptance(figures: Figures) -> list[Line]:
    return [
        Line(
            f"Hulp geaccepteerd {row.label_nl}",
            percent(row.value) if row.value is not None else "–",
            counts(row.numerator, row.denominator),
            f"tussen {percent(row.lower_bound)} en {percent(row.upper_bound)}"
            if row.lower_bound is not None and row.upper_bound is not None
            else "",
        )
        for row in figures.acceptance
    ]


def _parts(figures: Figures) -> Mapping[str, list[Part]]:
    """The same few numbers per sector and per band of arrears."""
    by_segment: dict[str, dict[str, Kpi]] = {}
    for kpi in figures.segments:
        by_segment.setdefault(kpi.segment, {})[kpi.kpi] = kpi
    order = [f"arrears_band:{band}" for band in BANDS]
    names = sorted(by_segment, key=lambda name: (name in order, order.index(name) if name in order else name))
    return {
        kind: [
            Part(
                BANDS.get(name.partition(":")[2], name.partition(":")[2]),
                *(_part(by_segment[name].get(kpi)) for kpi in
                  ("cases_opened", "records_spoken", "help_accepted_of_spoken", "cases_closed")),
            )
            for name in names
            if name.startswith(f"{kind}:")
        ]
        for kind in PARTS
    }  # fmt: skip


def _part(kpi: Kpi | None) -> str:
    if kpi is None or kpi.value is None:
        return "–"
    value, of = _said(kpi)
    return f"{value} ({of})" if of else value


def _sources(figures: Figures) -> list[tuple[str, str, str, str]]:
    return [
        (
            f"{SOURCES.get(row.source, row.source)}"
            + (f", {LEVELS.get(row.match_level, row.match_level)}" if row.origin == "enrichment" else ""),
            share_of(row.persons_found or 0, row.persons_requested) if row.persons_requested else "–",
            share_of(row.numbers_reached, row.numbers_called),
            share_of(row.numbers_wrong_person, row.numbers_called),
        )
        for row in figures.sources
    ]


def _resignal_lines(figures: Figures) -> list[tuple[str, list[str]]]:
    days = sorted({row.horizon_days for row in figures.resignals})
    return [
        (
            label,
            [
                next(
                    (share_of(row.numerator, row.denominator) for row in figures.resignals
                     if (row.outcome_kind, row.horizon_days) == (kind, horizon)), "–",
                )
                for horizon in days
            ],
        )
        for kind, label in OUTCOMES.items()
        if any(row.outcome_kind == kind for row in figures.resignals)
    ]  # fmt: skip


def _references(figures: Figures) -> list[tuple[str, str, str, str, str]]:
    """National figures, the newest year of each, beside ours."""
    found: dict[tuple[str, str], Reference] = {}
    for line in figures.references:
        if line.kind == "national":
            found.setdefault((line.kpi, line.label_nl), line)
    return [
        (
            line.label_nl,
            f"{percent(line.low_value, 0)}",
            str(line.valid_from.year),
            _part(figures.kpis.get(line.kpi)),
            "vergelijkbaar" if line.is_comparable else (line.remark_nl or "niet vergelijkbaar"),
        )
        for line in found.values()
    ]


def _budget(figures: Figures) -> Mapping[str, Any] | None:
    costs = figures.costs
    if not costs or not costs["budget_eur"] or costs["cost_to_date_eur"] is None:
        return None
    used = costs["cost_to_date_eur"] / costs["budget_eur"]
    return {
        "spent": euros(costs["cost_to_date_eur"]),
        "budget": euros(costs["budget_eur"]),
        "share": percent(used),
        "width": f"{min(used, Decimal(1)) * 100:.1f}",
        "is_over": used > 1,
    }


# -- charts ------------------------------------------------------------------------------------------------------------


def _charts(figures: Figures) -> dict[str, str]:
    """Each chart by name; a chart without anything to show is empty."""
    results = [
        Bar(result.label, result.records, dutch(result.records), GROUPS[result.result_group])
        for result in figures.results
        if result.records
    ]
    acceptance = [row for row in figures.acceptance if row.value is not None]
    # months that were counted otherwise are no part of a line
    counted_alike = [
        point
        for point in figures.trend
        if point.kpi in figures.kpis and point.definition_version == figures.kpis[point.kpi].definition_version
    ]
    trend = [
        Point(short_month(point.signal_month), TREND[point.kpi], float(point.value))
        for point in counted_alike
        if point.kpi in TREND and point.value is not None
    ]
    accepted = [
        (short_month(point.signal_month), int(point.numerator))
        for point in counted_alike
        if point.kpi == "help_accepted_of_all"
    ]
    return {
        "funnel": charts.bars(_funnel(figures), UNIT_COLOURS, "Van signaal tot hulp, in aantallen"),
        "results": charts.bars(results, GROUP_COLOURS, "Belrecords per resultaat") if results else "",
        "acceptance": charts.intervals(
            [
                Interval(row.label_nl, float(row.value or 0), float(row.lower_bound or 0), float(row.upper_bound or 0),
                         f"{percent(row.value or 0)}  ({counts(row.numerator, row.denominator)})")
                for row in acceptance
            ],
            charts.GREEN, "Hulp geaccepteerd over elke noemer, met het interval van 95 procent",
        ) if acceptance else "",
        "accepted": charts.columns_against(
            accepted, _baseline(figures), charts.GREEN, "Inwoners die hulp accepteerden, per maand"
        ) if accepted else "",
        "attempts": charts.stacked_columns(
            _attempts(figures), GROUP_COLOURS, ("uitgaande pogingen", "belrecords"), "Belrecords naar aantal pogingen"
        ) if figures.attempts_per_record else "",
        "reach": charts.heat(
            _reach(figures), charts.BLUE, "Bereik per dagdeel en poging", "zoveelste poging"
        ) if figures.reach else "",
        "trend": charts.lines(trend, TREND_COLOURS, "Aandelen over de maanden")
        if len({point.at for point in trend}) > 1 else "",
        "resignals": charts.lines(
            [
                Point(f"{row.horizon_days} dagen", OUTCOMES[row.outcome_kind], row.numerator / row.denominator)
                for row in figures.resignals if row.denominator
            ],
            OUTCOME_COLOURS, "Opnieuw gemeld na 30, 60 en 180 dagen",
        ) if len({row.horizon_days for row in figures.resignals}) > 1 else "",
    }  # fmt: skip


def _funnel(figures: Figures) -> list[Bar]:
    found: list[Bar] = []
    before: Decimal | None = None
    for name, part, label, unit, of in FUNNEL:
        kpi = figures.kpis.get(name)
        count = getattr(kpi, part) if kpi else None
        if count is None:
            continue
        said = dutch(count)
        if of and before:
            said += f"  ({percent(count / before)} van {dutch(before)} {of})"
        found.append(Bar(label, float(count), said, unit))
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


def _reach(figures: Figures) -> list[Cell]:
    """Part of the day by attempt; attempts beyond the shown ones share the last column."""
    cells: dict[tuple[str, str], list[int]] = {}
    for row in figures.reach:
        order = f"{MOST_ATTEMPTS_SHOWN}+" if row.attempt_order >= MOST_ATTEMPTS_SHOWN else f"{row.attempt_order}"
        cell = cells.setdefault((row.part_of_day, order), [0, 0])
        cell[0] += row.numerator
        cell[1] += row.denominator
    columns = sorted({order for _, order in cells})
    return [
        Cell(part, order, reached / made, percent(Decimal(reached) / made, 0), counts(reached, made))
        for part in dict.fromkeys(part for part, _ in cells)
        for order in columns
        if (part, order) in cells
        for reached, made in (cells[part, order],)
        if made >= FEWEST_IN_A_CELL
    ]


def _baseline(figures: Figures) -> tuple[float, float, str] | None:
    for line in figures.references:
        if line.kind == "baseline" and line.kpi == "help_accepted_of_all":
            low, high = line.low_value, line.high_value
            return float(low), float(high), f"vóór de pilot\n{dutch(low)} tot {dutch(high)}"
    return None
