"""The monthly report says what the marts say, each share with its counts, the same to the byte until they change."""

from __future__ import annotations

import csv
import os
import re
import stat
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from include.months import Month
from include.reporting.dutch import dutch, percent, short_month
from include.reporting.monthly_report import ReportImpossible, render_report, write_report
from include.reporting.paper import print_report
from include.settings import PROJECT_ROOT, Role
from include.warehouse.connection import connect
from tests.fixtures.marts import create_marts, fill

MONTH = Month(2024, 6)
#: the seventeen lines of the pilot's dashboard, as the result codes of interfaces §6 stand there
PILOT = [
    (row["group"], f"{row['group']}_{row['leaf']}", int(row["count"]))
    for row in csv.DictReader((PROJECT_ROOT / "tests" / "fixtures" / "pilot-dashboard.csv").open(encoding="utf-8"))
]
COUNTS = {group: sum(count for of, _, count in PILOT if of == group) for group, _, _ in PILOT}
TOTAL, SPOKEN = sum(COUNTS.values()), COUNTS["negative"] + COUNTS["positive"]


@pytest.fixture(scope="module", autouse=True)
def marts(warehouse: Path) -> Path:
    """June with the counts of the pilot's dashboard, and May before it."""
    create_marts()
    for month in ("2024-05", "2024-06"):
        kpi(month, "signals_received", 3000, None, "signals")
        kpi(month, "cases_opened", 2700, None, "cases")
        kpi(month, "signals_picked_up", 2900, 3000, "share")
        kpi(month, "call_records_delivered", TOTAL + 11, None, "records")
        kpi(month, "records_without_outcome", 11, None, "records")
        kpi(month, "records_spoken", SPOKEN, TOTAL, "share")
        kpi(month, "records_not_reached", COUNTS["not_reached"], TOTAL, "share")
        kpi(month, "help_accepted_of_spoken", COUNTS["positive"], SPOKEN, "share")
        kpi(month, "help_accepted_of_all", COUNTS["positive"], TOTAL, "share")
        kpi(month, "cases_closed", 6, 10, "share", bounds=("0.313", "0.832"))
        kpi(month, "attempts_per_record", 10000, TOTAL, "attempts")
        kpi(month, "cost_per_accepted_eur", Decimal("18500.00"), COUNTS["positive"], "eur")
        kpi(month, "budget_used", 0, 0, "share")
    kpi("2024-06", "records_spoken", 5, 10, "share", segment="sector:Huur")
    kpi("2024-06", "cases_opened", 12, None, "cases", segment="arrears_band:250-500")
    fill("kpi_acceptance_monthly", [
        {"signal_month": "2024-06", "segment": "all", "basis": basis, "basis_order": order, "label_nl": label,
         "numerator": 225, "denominator": of, "value": Decimal(225) / of, "lower_bound": low, "upper_bound": high}
        for order, basis, label, of, low, high in (
            (1, "with_outcome", "van alle records met een resultaat", TOTAL, "0.0738", "0.0947"),
            (2, "spoken", "van wie gesproken is", SPOKEN, "0.1076", "0.1374"),
        )
    ])  # fmt: skip
    fill("kpi_pilot_dashboard", [
        {"period": "2024-06", "result_group": group, "result_code": code, "records": count}
        for group, code, count in PILOT
    ])  # fmt: skip
    fill("dim_result", [{"result_code": "positive_1", "label_nl": "Accepteert <b>hulp</b> & meer"}])
    fill("dim_partner", [{"partner": "zorgplus", "partner_name": "ZorgPlus"}])
    fill("dim_kpi", [{"kpi": "records_spoken", "definition_version": "1", "label_nl": "Gesproken", "kpi_order": 1,
                      "formula": "spoken ÷ with an outcome"}])  # fmt: skip
    fill("dim_reference_line", [
        {"kind": "baseline", "kpi": "help_accepted_of_all", "label_nl": "vóór de pilot", "low_value": 30, "high_value": 40,
         "is_comparable": True, "valid_from": "2021-01-01", "citation": "pilot"},
        {"kind": "national", "kpi": "help_accepted_of_spoken", "label_nl": "Hulp van bereikt", "low_value": "0.35",
         "high_value": "0.35", "is_comparable": False, "remark_nl": "Landelijk over alle kanalen",
         "valid_from": "2023-01-01", "citation": "Divosa"},
        {"kind": "national", "kpi": "help_accepted_of_spoken", "label_nl": "Hulp van bereikt", "low_value": "0.99",
         "high_value": "0.99", "is_comparable": True, "valid_from": "2025-01-01", "citation": "not yet"},
    ])  # fmt: skip
    fill("fct_month_end_closures", [
        {"signal_month": "2024-06", "state": state, "reason": reason, "arrears_eur": eur}
        for state, reason, eur in (
            ("closed", "not_reached", "1000.50"), ("closed", "not_reached", "234.00"),
            ("open", "ris_has_its_reasons", "10"), ("excluded", "crisis", "2000"),
        )
    ])  # fmt: skip
    fill("rpt_closure_accounting", [
        {"signal_month": "2024-06", "cases_opened": 4, "cases_closed": 2, "cases_open": 1, "cases_excluded": 1,
         "cases_unaccounted": 0, "cases_reopened": 0, "cases_closed_refused": 0, "cases_closed_not_reached": 2}
    ])  # fmt: skip
    fill("kpi_partner_quality_monthly", [
        {"signal_month": "2024-06", "partner": "zorgplus", "sector": "Zorg", "rows_delivered": 1234, "rows_loaded": 1200,
         "rows_quarantined": 30, "rows_duplicate": 4, "signals": 1200, "signals_usable": 1150, "signals_picked_up": 1100,
         "signals_without_phone": 77, "deliveries_late": 0, "is_missing_on_deadline": True, "quality_score": "93.4"}
    ])  # fmt: skip
    for month, script in (("2024-05", "script-1"), ("2024-06", "script-2")):
        fill("kpi_calling_quality_monthly", [
            {"signal_month": month, "script_version": script, "records_delivered": 2700, "records_with_outcome": 2689,
             "records_spoken": 1849, "records_help_accepted": 225, "outbound_attempts": 10000,
             "attempts_outside_hours": 3, "attempts_on_free_days": 0, "numbers_over_maximum_attempts": 0,
             "not_reached_valid_number": 797, "not_reached_under_maximum_attempts": 12, "not_reached_one_part_of_day": 5}
        ])  # fmt: skip
    fill("fct_outcomes", [
        {"signal_month": "2024-06", "outbound_attempts": attempts, "result_group": group, "is_withdrawn": False}
        for attempts, group in ((0, "not_reached"), (7, "not_reached"), (9, "not_reached"), (12, "not_reached"),
                                (3, "positive"))
    ])  # fmt: skip
    fill("kpi_reach_by_attempt_monthly", [
        {"signal_month": "2024-06", "part_of_day": part, "attempt_order": order, "numerator": reached, "denominator": made}
        for part, order, reached, made in (("Avond", 1, 1, 3), ("Avond", 8, 0, 1), ("Avond", 11, 1, 1))
    ])  # fmt: skip
    fill("kpi_enrichment_monthly", [
        {"signal_month": "2024-06", "origin": "enrichment", "source": "directory", "match_level": "address",
         "persons_requested": 40, "persons_found": 22, "numbers_called": 20, "numbers_reached": 9,
         "numbers_wrong_person": 3}
    ])  # fmt: skip
    fill("kpi_resignal_monthly", [
        {"signal_month": month, "outcome_month": "2024-03", "outcome_kind": kind, "horizon_days": days, "same": same,
         "numerator": again, "denominator": of}
        for month, kind, days, same, again, of in (
            ("2024-05", "help_accepted", 30, "person", 1, 20), ("2024-06", "help_accepted", 30, "person", 2, 30),
            ("2024-06", "help_accepted", 60, "person", 4, 20), ("2024-07", "help_accepted", 30, "person", 9, 9),
            ("2024-06", "help_accepted", 30, "address", 7, 30), ("2024-06", "refused_help", 30, "person", 9, 30),
        )
    ])  # fmt: skip
    fill("kpi_cost_monthly", [{"signal_month": "2024-06", "is_example_rate": True, "cost_to_date_eur": "4625.00",
                               "budget_eur": "18500.00"}])  # fmt: skip
    return warehouse


def kpi(
    month: str, name: str, numerator: Any, denominator: Any, unit: str, *, segment: str = "all", version: str = "1",
    bounds: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    value = (Decimal(numerator) / denominator if denominator else None) if denominator is not None else numerator
    row = {"signal_month": month, "kpi": name, "segment": segment, "numerator": numerator, "denominator": denominator,
           "value": value}  # fmt: skip
    fill("kpi_monthly", [row | {"unit": unit, "definition_version": version}])
    if bounds:
        fill("kpi_intervals_monthly", [row | {"lower_bound": bounds[0], "upper_bound": bounds[1], "is_small": True}])


class _Page(HTMLParser):
    """What is on the page: its elements, and its text without white space in a row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_pilot_comes_back_line_by_line_with_its_denominators() -> None:
    text = _Page(render_report(MONTH)).text
    assert sum(count for _, _, count in PILOT) == 2689
    for line in (
        "Gesproken 68,8 % 1.849 van 2.689",
        "Niet bereikt 31,2 % 840 van 2.689",
        "Hulp aanvaard van wie gesproken is 12,2 % 225 van 1.849 tussen 10,8 % en 13,7 %",
        "Hulp aanvaard van alle records met een resultaat 8,4 % 225 van 2.689 tussen 7,4 % en 9,5 %",
        "Hulp aanvaard 225 8,4 %",
        "Gesproken, geen hulp 1.624 60,4 %",
        "Niet bereikt 840 31,2 %",
    ):
        assert line in text, line


def test_every_share_stands_beside_its_counts() -> None:
    page = render_report(MONTH)
    lines = re.findall(
        r'<tr><th scope="row">([^<]+)</th><td class="n v">([^<]*)</td><td class="n of">([^<]*)</td>', page
    )
    shares = [(label, of) for label, value, of in lines if value.endswith("%")]
    assert len(shares) >= 6
    assert [label for label, of in shares if not re.fullmatch(r"[\d.,]+ van [\d.,]+", of)] == []
    assert "niet te berekenen: de noemer is 0" in page
    # in running text and in other tables: a percentage is followed by its counts or its denominator, or is an interval
    cells = re.findall(r'<td class="n">([^<]*%[^<]*)</td>', page)
    assert len(cells) >= 8
    bare = [cell for cell in cells if not re.search(r"% \([\d.]+ van [\d.]+\)", cell)]
    assert bare == [*("8,4\u00a0%", "60,4\u00a0%", "31,2\u00a0%"), "35\u00a0%"], "groups of a whole; a national figure"


def test_the_month_is_told_in_words() -> None:
    text = _Page(render_report(MONTH)).text
    assert "In juni 2024 meldde één partner 3.000 signalen. Daaruit kwamen 2.700 meldingen voort" in text
    assert "Van de 2.689 belrecords met een resultaat is met 1.849 inwoners gesproken (68,8 %)." in text
    assert "12,2 % van wie gesproken is, 8,4 % van alle records met een resultaat" in text
    assert "2 van de 4 meldingen afgesloten; 1 staan open" in text


def test_partners_sources_parts_and_national_figures_have_their_tables() -> None:
    text = _Page(render_report(MONTH)).text
    assert "ZorgPlus Zorg 1.234 1.200 30 4 1.150 1.100 77 nee 93" in text
    assert "directory, op adres 55,0 % (22 van 40) 45,0 % (9 van 20) 15,0 % (3 van 20)" in text
    assert "Huur – 50,0 % (5 van 10) – –" in text
    assert "€ 250 – 500 12 – – –" in text
    assert "Hulp van bereikt 35 % 2023 12,2 % (225 van 1.849) Landelijk over alle kanalen" in text
    assert "99 %" not in text, "a figure of a year that has not begun"


def test_reported_again_is_added_up_over_the_months_that_are_over() -> None:
    text = _Page(render_report(MONTH)).text
    assert "Na hulp 6,0 % (3 van 50) 20,0 % (4 van 20)" in text
    assert "Na weigering 30,0 % (9 van 30) –" in text


def test_what_may_not_be_compared_is_said() -> None:
    text = _Page(render_report(MONTH)).text
    for remark in (
        "Percentages met een verschillende noemer zijn niet te vergelijken",
        "Certin belt in juni 2024 met een ander script dan in mei 2024",
        "ZorgPlus leverde niet op tijd",
        "11 belrecords hebben nog geen resultaat",
        "staat het interval van 95 procent",
        "Het tarief is een voorbeeld",
        "Opnieuw gemeld is geen oorzaak en gevolg",
    ):
        assert remark in text, remark
    assert "wordt anders geteld" not in text
    assert "60,0 % 6 van 10 tussen 31 % en 83 % · vorige maand 60,0 %" in text


def test_a_changed_definition_breaks_the_line_and_is_said() -> None:
    with connect(Role.TRANSFORMER) as connection:
        connection.execute(
            "update marts.kpi_monthly set definition_version = '0' where signal_month = '2024-05' and kpi = 'records_spoken'"
        )
    try:
        page = render_report(MONTH)
    finally:
        with connect(Role.TRANSFORMER) as connection:
            connection.execute("update marts.kpi_monthly set definition_version = '1' where definition_version = '0'")
    text = _Page(page).text
    assert "Sinds juni 2024 wordt anders geteld, dus vergelijk niet met eerdere maanden: Gesproken." in text
    assert "68,8 % 1.849 van 2.689 vorige maand" not in text


def test_the_books_and_the_reasons_are_there() -> None:
    text = _Page(render_report(MONTH)).text
    assert "Geopend 4 = afgesloten 2 + open 1 + uitgezonderd 1" in text
    assert "Afgesloten Niet bereikt 2 € 1.234,50" in text
    assert "Uitgezonderd Crisissignaal 1 € 2.000,00" in text
    assert "ris_has_its_reasons" in text, "a reason we have no word for is shown as it is"
    assert "Samen 4 € 3.244,50" in text
    assert "eindigden er 0 met een weigering en 2 zonder dat iemand is bereikt" in text
    assert "€ 4.625,00 van € 18.500,00 besteed tot en met deze maand (25,0 %)" in text


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    page = render_report(MONTH)
    elements = _Page(page).elements
    assert {"html", "table", "svg"} <= {tag for tag, _ in elements}
    assert not {"script", "iframe", "img", "object", "form"} & {tag for tag, _ in elements}
    # an empty icon, so that the browser does not ask for one
    assert [attributes for tag, attributes in elements if tag == "link"] == [{"rel": "icon", "href": "data:,"}]
    assert not re.search(r"url\((?!#)|@import", page)
    assert not [attributes for _, attributes in elements if any(name.startswith("on") for name in attributes)]
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    (policy,) = [
        a["content"] for tag, a in elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_text_from_the_marts_cannot_become_markup() -> None:
    page = render_report(MONTH)
    assert "<b>hulp" not in page


def test_charts_have_names_of_their_own_and_speak_dutch() -> None:
    page = render_report(MONTH)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(svgs) == 8
    assert all('role="img"' in svg and "aria-label=" in svg for svg in svgs)
    assert "1.849" in svgs[0]
    assert sum("8+" in svg for svg in svgs) == 2
    assert any("vóór de pilot: 30 tot 40 per maand" in svg for svg in svgs)


def test_nothing_changed_is_the_same_to_the_byte(marts: Path) -> None:
    first = write_report(MONTH)
    before = first.read_bytes()
    render_report(MONTH.previous)  # another report in between must not change this one
    assert write_report(MONTH) == first
    assert first.read_bytes() == before
    assert first.parts[-2:] == ("2024-06", "rapportage.html")
    assert not list(first.parent.glob("*.tmp"))


def test_a_page_that_did_not_change_keeps_its_time_and_its_print(marts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(MONTH)
    written = page.stat().st_mtime_ns
    browser = _stand_in_browser(marts.parent / "browser")
    monkeypatch.setenv("VS_CHROMIUM", str(browser))
    paper = print_report(page).path
    assert paper == page.with_suffix(".pdf")
    assert paper.read_bytes() == b"%PDF of " + page.resolve().as_uri().encode() + b"\n"
    paper.write_bytes(b"%PDF as it was printed")
    assert write_report(MONTH).stat().st_mtime_ns == written
    assert print_report(page).path == paper
    assert paper.read_bytes() == b"%PDF as it was printed"
    os.utime(page)
    print_report(page)
    assert paper.read_bytes().startswith(b"%PDF of ")


def test_without_a_browser_there_is_a_page_and_a_remark(marts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(MONTH)
    page.with_suffix(".pdf").unlink(missing_ok=True)
    monkeypatch.setenv("VS_CHROMIUM", "no-such-browser")
    printed = print_report(page)
    assert (printed.path, page.with_suffix(".pdf").exists()) == (None, False)
    assert "VS_CHROMIUM" in printed.remark
    monkeypatch.setenv("VS_CHROMIUM", "false")
    assert print_report(page).remark == "no PDF: Chromium ended with code 1 and made no PDF"


def _stand_in_browser(path: Path) -> Path:
    """What print_report asks of a browser, without one: the option that names the PDF, and the page last."""
    path.write_text(
        '#!/bin/sh\nfor one; do case "$one" in --print-to-pdf=*) pdf="${one#*=}";; esac; done\n'
        'echo "%PDF of $one" > "$pdf"\n',
        encoding="utf-8",
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_later_months_do_not_change_a_report() -> None:
    before = render_report(MONTH)
    kpi("2024-07", "records_spoken", 1, 2, "share")
    assert render_report(MONTH) == before
    kpi("2024-04", "records_spoken", 1, 2, "share")
    assert render_report(MONTH) != before


def test_a_month_without_numbers_says_what_to_run() -> None:
    with pytest.raises(ReportImpossible, match="vs month 2019-01"):
        render_report(Month(2019, 1))


def test_the_report_can_only_read_marts() -> None:
    with connect(Role.BI_READER) as connection:
        (schemas,) = connection.execute(
            "select array_agg(nspname::text order by 1) from pg_namespace where has_schema_privilege(oid, 'usage') "
            "and nspname in ('landing', 'ops', 'staging', 'intermediate', 'outbound', 'marts')"
        ).fetchone()
    assert schemas == ["marts"]  # and marts_public, whose numbers anybody may read


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [(1849, 0, "1.849"), (Decimal("68.76"), 1, "68,8"), (Decimal("1234567.5"), 2, "1.234.567,50"), (0, 0, "0"),
     (Decimal("0.25"), 1, "0,3"), (Decimal("2.5"), 0, "3")],
)  # fmt: skip
def test_numbers_are_written_the_dutch_way(number: Any, decimals: int, text: str) -> None:
    assert dutch(number, decimals) == text


def test_shares_and_months_are_written_the_dutch_way() -> None:
    assert percent(Decimal(225) / 1849) == "12,2\u00a0%"
    assert percent(1, 0) == "100\u00a0%"
    assert short_month("2024-05") == "mei ’24"
