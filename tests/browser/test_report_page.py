"""The monthly report in a real browser, and as that browser prints it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from include.reporting.monthly_report import write_report
from include.reporting.paper import chromium, flags, print_report
from tests.fixtures.reported_june import MONTH, fill_june

DESK, TELEPHONE, PAPER = 1280, 390, 680


@pytest.fixture(scope="module")
def report(warehouse: Path) -> Path:
    fill_june()
    return write_report(MONTH)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=flags())
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def test_the_report_opens_without_a_request_and_without_a_complaint(page: Page, report: Path) -> None:
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri(), wait_until="networkidle")

    assert asked == [report.as_uri()], "only the page itself"
    assert said == []


def test_the_pilot_is_read_on_screen_with_its_denominators(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    lines = [line.inner_text().replace("\u00a0", " ").split("\t") for line in page.locator("table.kpis tr").all()]
    read = {line[0].strip(): [cell.strip() for cell in line[1:3]] for line in lines}

    assert read["Gesproken"] == ["68,8 %", "1.849 van 2.689"]
    assert read["Niet bereikt"] == ["31,2 %", "840 van 2.689"]
    assert read["Hulp geaccepteerd van wie gesproken is"] == ["12,2 %", "225 van 1.849"]
    assert read["Hulp geaccepteerd van alle records met een resultaat"] == ["8,4 %", "225 van 2.689"]
    assert "1.624" in page.locator("table tr", has_text="Gesproken, geen hulp").inner_text()


@pytest.mark.parametrize(("width", "medium"), [(DESK, "screen"), (TELEPHONE, "screen"), (PAPER, "print")])
def test_nothing_sticks_out_at_any_width(page: Page, report: Path, width: int, medium: str) -> None:
    """On paper nothing can be scrolled: what sticks out there is lost."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media=medium)  # type: ignore[arg-type]
    page.goto(report.as_uri())
    places = page.locator("table, section, .tiles, figure").all()
    assert len(places) > 20
    assert [box for place in places if (box := place.bounding_box()) and box["x"] + box["width"] > width + 0.5] == []
    scrolled = [place for place in places if place.evaluate("place => place.scrollWidth > place.clientWidth + 1")]
    assert scrolled == [] or width == TELEPHONE


def test_no_text_of_a_chart_leaves_its_figure(page: Page, report: Path) -> None:
    page.set_viewport_size({"width": DESK, "height": 900})
    page.goto(report.as_uri())
    figures = page.locator("figure").all()
    assert len(figures) == 8
    outside = []
    for figure in figures:
        whole = figure.bounding_box()
        texts = [(text.text_content(), text.bounding_box()) for text in figure.locator("svg text").all()]
        assert whole
        assert len(texts) > 3
        left, right = whole["x"] - 1, whole["x"] + whole["width"] + 1
        outside += [said for said, box in texts if box and not left <= box["x"] <= right - box["width"]]
    assert outside == []


def test_the_same_page_is_printed_to_the_same_bytes(report: Path) -> None:
    first = print_report(report).path
    assert first
    printed = first.read_bytes()
    first.unlink()
    again = print_report(report).path

    assert again == report.with_suffix(".pdf")
    assert again.read_bytes() == printed
    assert printed.startswith(b"%PDF-")
    assert b"CreationDate" not in printed
    assert 4 <= printed.count(b"/Type /Page\n") <= 12
