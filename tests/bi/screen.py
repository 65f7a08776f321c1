"""Superset as a person sees it: log in, open a dashboard, choose in a filter, read what stands there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import APIResponse, Locator, Page, Request, Response

WIDTH, HEIGHT = 1400, 2700  # high enough for a whole dashboard: what is out of sight is not drawn
PATIENCE = 60_000


@dataclass
class Screen:
    """One browser window of one user."""

    page: Page
    url: str
    left: list[Request] = field(default_factory=list)
    failed: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("request", self._note_request)
        self.page.on("response", self._note_response)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.left.append(request)

    def _note_response(self, response: Response) -> None:
        if response.status >= 400 and "/api/v1/chart/data" in response.url:
            self.failed.append(response)

    def log_in(self, user: str, password: str) -> None:
        self.page.goto(f"{self.url}/login/")
        self.page.locator("[data-test=username-input]").fill(user)
        self.page.locator("[data-test=password-input]").fill(password)
        self.page.locator("[data-test=login-button]").click()
        self.page.wait_for_url("**/superset/welcome/**")

    def open(self, slug: str, charts: int) -> None:
        """The dashboard, when all its charts are drawn."""
        self.page.goto(f"{self.url}/superset/dashboard/{slug}/")
        self._wait_until_drawn(charts)

    def _wait_until_drawn(self, charts: int) -> None:
        self.page.wait_for_function(
            "charts => document.querySelectorAll('[data-test=chart-grid-component] [data-test=slice-container]').length"
            " === charts && !document.querySelector('[data-test=loading-indicator], .loading')",
            arg=charts,
        )
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function("!document.querySelector('[data-test=loading-indicator], .loading')")

    def choose(self, name: str, option: str, charts: int) -> None:
        """Choose in the filter `name`, apply, and wait for the numbers."""
        box = self.page.locator(f"[data-test=NATIVE_FILTER-{name}]")
        box.click()
        self.page.locator(f".ant-select-item-option[title='{option}']").click()
        self.page.keyboard.press("Escape")
        with self.page.expect_response(lambda response: "/api/v1/chart/data" in response.url):
            self.page.locator("[data-test='filter-bar__apply-button']").click()
        self._wait_until_drawn(charts)

    def chosen(self, name: str) -> str:
        return self.page.locator(f"[data-test=NATIVE_FILTER-{name}] .ant-select-selection-item").inner_text()

    def chart(self, title: str) -> Locator:
        return self.page.locator(f"[data-test-chart-name='{title}']")

    def number(self, title: str) -> Shown:
        return Shown.read(self.chart(title).locator(".header-line").inner_text())

    def rows(self, title: str) -> list[list[str]]:
        """The cells of a table."""
        rows = self.chart(title).locator("tbody tr").all()
        return [[cell.inner_text().strip() for cell in row.locator("td").all()] for row in rows]

    def photograph(self, path: Path) -> None:
        """The dashboard from the menu to its last box."""
        path.parent.mkdir(parents=True, exist_ok=True)
        bottom = self.page.evaluate("document.querySelector('.grid-content').getBoundingClientRect().bottom")
        self.page.screenshot(path=path, clip={"x": 0, "y": 0, "width": WIDTH, "height": min(HEIGHT, bottom + 10)})

    def post(self, address: str, content: Mapping[str, object]) -> APIResponse:
        """A request as this page would make it, with the token that proves it comes from here."""
        token = self.page.locator("#csrf_token").input_value()
        headers = {"X-CSRFToken": token, "Referer": self.url}
        return self.page.request.post(f"{self.url}{address}", data=dict(content), headers=headers)


@dataclass(frozen=True)
class Shown:
    """A number as it stands on the screen, and how exactly."""

    text: str
    value: Decimal
    half_a_unit: Decimal

    @classmethod
    def read(cls, text: str) -> Shown:
        digits = re.sub(r"[^0-9,-]", "", text).replace(",", ".")
        decimals = len(digits.partition(".")[2])
        scale = Decimal(100) if "%" in text else Decimal(1)
        return cls(text, Decimal(digits) / scale, Decimal(5) / 10 ** (decimals + 1) / scale)

    def says(self, number: Decimal | int | float | None) -> bool:
        return number is not None and abs(self.value - Decimal(str(number))) <= self.half_a_unit + Decimal("1e-9")
