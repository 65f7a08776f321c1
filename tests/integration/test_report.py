"""The monthly report says what the marts say, each share with its counts, the same to the byte until they change."""

from __future__ import annotations

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
from include.settings import Role
from include.warehouse.connection import connect
from tests.fixtures.reported_june import MONTH, PILOT, fill_june, kpi


@pytest.fixture(scope="module", autouse=True)
def marts(warehouse: Path) -> Path:
    fill_june()
    return warehouse


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
        "Hulp geaccepteerd van wie gesproken is 12,2 % 225 van 1.849 tussen 10,8 % en 13,7 %",
        "Hulp geaccepteerd van alle records met een resultaat 8,4 % 225 van 2.689 tussen 7,4 % en 9,5 %",
        "Hulp geaccepteerd 225 8,4 %",
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
    assert "de noemer is 0" in page
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
    assert "2 van de 4 meldingen afgesloten; 1 staat open" in text


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
            "update marts.kpi_monthly set definition_version = '0' "
            "where signal_month = '2024-05' and kpi = 'records_spoken'"
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
    assert any("vóór de pilot" in svg and "30 tot 40" in svg for svg in svgs)


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
    page.with_suffix(".pdf").write_bytes(b"%PDF of other numbers")
    os.utime(page.with_suffix(".pdf"), (0, 0))
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
