"""The monthly report says what the marts say, each share with its counts, the same to the byte until they change."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from include.months import Month
from include.reporting.monthly_report import ReportImpossible, dutch, render_report, write_report
from include.settings import PROJECT_ROOT, Role
from include.warehouse.connection import connect

MONTH = Month(2024, 6)
TABLES = {
    "kpi_monthly": "signal_month text, kpi text, segment text, numerator numeric, denominator numeric, value numeric, "
    "unit text, definition_version integer",
    "kpi_pilot_dashboard": "period text, result_group text, result_code text, records integer",
    "dim_result": "result_code text, label_nl text",
    "dim_partner": "partner text, partner_name text",
    "fct_month_end_closures": "signal_month text, state text, reason text, arrears_eur numeric",
    "rpt_closure_accounting": "signal_month text, cases_opened integer, cases_closed integer, cases_open integer, "
    "cases_excluded integer, cases_unaccounted integer",
    "kpi_partner_quality_monthly": "signal_month text, partner text, sector text, rows_delivered integer, "
    "rows_loaded integer, rows_quarantined integer, rows_duplicate integer, signals_picked_up integer, "
    "is_missing_on_deadline boolean",
    "kpi_calling_quality_monthly": "signal_month text, script_version text, records_delivered integer, "
    "records_with_outcome integer, records_spoken integer, records_help_accepted integer, outbound_attempts integer, "
    "attempts_outside_hours integer, attempts_on_free_days integer, numbers_over_maximum_attempts integer, "
    "not_reached_valid_number integer, not_reached_under_maximum_attempts integer, not_reached_one_part_of_day integer",
    "fct_outcomes": "signal_month text, outbound_attempts integer, result_group text, is_withdrawn boolean",
    "fct_contact_attempts": "signal_month text, part_of_day text, is_reached boolean, direction text, "
    "is_withdrawn boolean",
    "kpi_cost_monthly": "signal_month text, is_example_rate boolean",
}
#: the seventeen lines of the pilot's dashboard, as the result codes of interfaces §6 stand there
PILOT = [
    (row["group"], f"{row['group']}_{row['leaf']}", int(row["count"]))
    for row in csv.DictReader((PROJECT_ROOT / "tests" / "fixtures" / "pilot-dashboard.csv").open(encoding="utf-8"))
]


@pytest.fixture(scope="module", autouse=True)
def marts(warehouse: Path) -> Path:
    """June with the counts of the pilot's dashboard, and May before it."""
    with connect(Role.TRANSFORMER) as connection:
        for name, columns in TABLES.items():
            connection.execute(f"create table marts.{name} ({columns})")
    counts = {group: sum(count for of, _, count in PILOT if of == group) for group, _, _ in PILOT}
    total, spoken = sum(counts.values()), counts["negative"] + counts["positive"]
    for month in ("2024-05", "2024-06"):
        kpi(month, "signals_picked_up", 2900, 3000, "share")
        kpi(month, "call_records_delivered", total + 11, None, "records")
        kpi(month, "records_without_outcome", 11, None, "records")
        kpi(month, "records_spoken", spoken, total, "share")
        kpi(month, "records_not_reached", counts["not_reached"], total, "share")
        kpi(month, "help_accepted_of_spoken", counts["positive"], spoken, "share")
        kpi(month, "help_accepted_of_all", counts["positive"], total, "share")
        kpi(month, "cases_closed", 6, 10, "share")
        kpi(month, "attempts_per_record", 10000, total, "attempts")
        kpi(month, "cost_per_accepted_eur", Decimal("18500.00"), counts["positive"], "eur")
        kpi(month, "budget_used", 0, 0, "share")
    rows("kpi_pilot_dashboard", [("2024-06", *line) for line in PILOT])
    rows("dim_result", [("positive_1", "Accepteert <b>hulp</b> & meer")])
    rows("dim_partner", [("zorgplus", "ZorgPlus")])
    rows("fct_month_end_closures", [("2024-06", *line) for line in (
        ("closed", "not_reached", Decimal("1000.50")), ("closed", "not_reached", Decimal("234.00")),
        ("open", "ris_has_its_reasons", 10), ("excluded", "crisis", 2000))])  # fmt: skip
    rows("rpt_closure_accounting", [("2024-06", 4, 2, 1, 1, 0)])
    rows("kpi_partner_quality_monthly", [("2024-06", "zorgplus", "Zorg", 1234, 1200, 30, 4, 1100, True)])
    rows("kpi_calling_quality_monthly", [("2024-06", "2024-2", 2700, 2689, 1849, 225, 10000, 3, 0, 0, 797, 12, 5)])
    rows(
        "fct_outcomes",
        [("2024-06", n, "not_reached", False) for n in (0, 7, 7, 9, 12)] + [("2024-06", 3, "positive", True)],
    )
    rows("fct_contact_attempts", [("2024-06", "Avond", True, "outbound", False)])
    rows("kpi_cost_monthly", [("2024-06", True)])
    return warehouse


def kpi(month: str, name: str, numerator: Any, denominator: Any, unit: str) -> None:
    value = (Decimal(numerator) / denominator if denominator else None) if denominator is not None else numerator
    rows("kpi_monthly", [(month, name, "all", numerator, denominator, value, unit, 1)])


def rows(table: str, values: Iterable[tuple[Any, ...]]) -> None:
    with connect(Role.TRANSFORMER) as connection:
        for row in values:
            connection.execute(f"insert into marts.{table} values ({', '.join(['%s'] * len(row))})", row)


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
        "Hulp aanvaard, van de gesprokenen 12,2 % 225 van 1.849",
        "Hulp aanvaard, van alle records met een resultaat 8,4 % 225 van 2.689",
        "Hulp aanvaard 225 8,4 %",
        "Gesproken, geen hulp 1.624 60,4 %",
        "Niet bereikt 840 31,2 %",
    ):
        assert line in text, line


def test_every_share_stands_beside_its_counts() -> None:
    page = render_report(MONTH)
    lines = re.findall(r'<tr><td>([^<]+)</td><td class="n">([^<]*)</td><td class="n">([^<]*)</td></tr>', page)
    shares = [(label, counts) for label, value, counts in lines if value.endswith("%") and " van " in f" {counts} "]
    assert len(shares) >= 5
    assert [label for label, value, counts in lines if value.endswith("%") and not counts] == []
    assert "niet te berekenen: de noemer is 0" in page


def test_the_books_and_the_reasons_are_there() -> None:
    text = _Page(render_report(MONTH)).text
    assert "Geopend 4 = afgesloten 2 + open 1 + uitgezonderd 1" in text
    assert "Afgesloten Niet bereikt 2 € 1.234,50" in text
    assert "Uitgezonderd Crisissignaal 1 € 2.000,00" in text
    assert "ris_has_its_reasons" in text, "a reason we have no word for is shown as it is"
    assert "Samen 4 € 3.244,50" in text


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    page = render_report(MONTH)
    elements = _Page(page).elements
    assert {"html", "table", "svg"} <= {tag for tag, _ in elements}
    assert not {"script", "link", "iframe", "img", "object", "form"} & {tag for tag, _ in elements}
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
    assert len(svgs) == 5
    assert all('role="img"' in svg and "aria-label=" in svg for svg in svgs)
    assert "1.849" in svgs[0]
    assert any("8+" in svg for svg in svgs)


def test_nothing_changed_is_the_same_to_the_byte(marts: Path) -> None:
    first = write_report(MONTH)
    before = first.read_bytes()
    render_report(MONTH.previous)  # another report in between must not change this one
    assert write_report(MONTH) == first
    assert first.read_bytes() == before
    assert first.parts[-2:] == ("2024-06", "rapportage.html")
    assert not list(first.parent.glob("*.tmp"))


def test_later_months_do_not_change_a_report() -> None:
    before = render_report(MONTH.previous)
    kpi("2024-07", "records_spoken", 1, 2, "share")
    assert render_report(MONTH.previous) == before
    kpi("2024-04", "records_spoken", 1, 2, "share")
    assert render_report(MONTH.previous) != before


def test_a_month_without_numbers_says_what_to_run() -> None:
    with pytest.raises(ReportImpossible, match="vs month 2019-01"):
        render_report(Month(2019, 1))


def test_the_report_can_only_read_marts() -> None:
    with connect(Role.BI_READER) as connection:
        (schemas,) = connection.execute(
            "select array_agg(nspname::text order by 1) from pg_namespace where has_schema_privilege(oid, 'usage') "
            "and nspname in ('landing', 'ops', 'staging', 'intermediate', 'outbound', 'marts')"
        ).fetchone()
    assert schemas == ["marts"]


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [(1849, 0, "1.849"), (Decimal("68.76"), 1, "68,8"), (Decimal("1234567.5"), 2, "1.234.567,50"), (0, 0, "0")],
)
def test_numbers_are_written_the_dutch_way(number: Any, decimals: int, text: str) -> None:
    assert dutch(number, decimals) == text
