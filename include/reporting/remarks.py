"""Where a number of the monthly report may not be compared, said to the reader.

Rule: whatever makes two numbers differ for another reason than what happened is said beside them: another definition,
another script, a partner that did not deliver, few residents, a tariff that is an example. To add one, write a function
that gives sentences and put it in `_REMARKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from include.months import Month
from include.reporting.dutch import dutch, month_name, percent
from include.reporting.figures import Figures


def remarks_on(figures: Figures, month: Month) -> list[str]:
    return [sentence for remark in _REMARKS for sentence in remark(figures, month)]


def _denominators(figures: Figures, month: Month) -> Iterator[str]:
    yield (
        "Percentages met een verschillende noemer zijn niet te vergelijken: hulp geaccepteerd van de gesprokenen is "
        "altijd hoger dan hulp geaccepteerd van alle records."
    )
    yield (
        "Signalen, meldingen, personen en belrecords zijn verschillende eenheden: één adres met drie signalen is één "
        "melding en kan twee belrecords hebben."
    )


def _definitions(figures: Figures, month: Month) -> Iterator[str]:
    changed = sorted(
        defined.label_nl
        for defined in figures.definitions
        if defined.kpi in figures.before
        and figures.before[defined.kpi].definition_version != defined.definition_version
    )
    if changed:
        yield (
            f"Sinds {month_name(month)} wordt anders geteld, dus vergelijk niet met eerdere maanden: "
            f"{', '.join(changed)}."
        )
    now = {defined.kpi: defined.definition_version for defined in figures.definitions}
    if any(point.definition_version != now.get(point.kpi, point.definition_version) for point in figures.trend):
        yield "In de grafieken over de maanden staan alleen maanden die op dezelfde manier zijn geteld."


def _scripts(figures: Figures, month: Month) -> Iterator[str]:
    scripts = {script.script_version for script in figures.calling}
    if scripts and figures.calling_before and scripts != set(figures.calling_before):
        yield (
            f"Certin belt in {month_name(month)} met een ander script dan in {month_name(month.previous)}: een "
            "verschil in bereik of hulpacceptatie kan daardoor komen."
        )


def _missing_partners(figures: Figures, month: Month) -> Iterator[str]:
    missing = [partner.partner_name for partner in figures.partners if partner.is_missing_on_deadline]
    if missing:
        yield (
            f"{' en '.join(missing)} {'leverde' if len(missing) == 1 else 'leverden'} niet op tijd: aantallen van deze "
            "maand zijn niet te vergelijken met maanden waarin iedereen leverde."
        )


def _waiting(figures: Figures, month: Month) -> Iterator[str]:
    waiting = figures.kpis.get("records_without_outcome")
    if waiting and waiting.numerator:
        yield f"{dutch(waiting.numerator)} belrecords hebben nog geen resultaat en tellen in de percentages niet mee."


def _few(figures: Figures, month: Month) -> Iterator[str]:
    accepted = figures.kpis.get("help_accepted_of_spoken")
    if accepted and accepted.is_small and accepted.lower_bound is not None and accepted.upper_bound is not None:
        yield (
            f"Minder dan honderd gesprekken: bij hetzelfde gedrag van inwoners had hulpacceptatie ook "
            f"{percent(accepted.lower_bound, 0)} of {percent(accepted.upper_bound, 0)} kunnen zijn (interval van "
            "95 procent). Een verschil met een andere maand binnen die grenzen zegt niets."
        )
    elif any(kpi.is_small for kpi in figures.kpis.values()):
        yield "Bij een noemer onder de honderd staat het interval van 95 procent; een verschil daarbinnen zegt niets."


def _costs(figures: Figures, month: Month) -> Iterator[str]:
    if figures.costs and figures.costs["is_example_rate"]:
        yield "Het tarief is een voorbeeld: het echte tarief van Certin is niet openbaar. Bedragen zijn zonder btw."


def _effects(figures: Figures, month: Month) -> Iterator[str]:
    if figures.resignals:
        yield (
            "Opnieuw gemeld is geen oorzaak en gevolg: wie hulp accepteert, verschilt in meer dan de hulp van wie "
            "weigert of niet te bereiken is. Alleen uitkomsten waarvan de dagen voorbij zijn tellen mee."
        )


_REMARKS: tuple[Callable[[Figures, Month], Iterator[str]], ...] = (
    _denominators, _definitions, _scripts, _missing_partners, _waiting, _few, _costs, _effects,
)  # fmt: skip
