"""The monthly report on paper: `rapportage.pdf` beside the page, printed by the machine's own Chromium.

Rule: the page is the report, the PDF is a print of it and never a condition: without a Chromium, or when printing
fails, the month goes on and the reader is told. The same page is the same PDF to the byte, from the same Chromium: the
time of printing is taken out. Another Chromium prints other bytes, so a page that did not change is not printed again.
How to change: how it looks on paper stands in the page (`@page`, `@media print`); which browser, in VS_CHROMIUM.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from include.settings import Settings

log = logging.getLogger(__name__)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: of every headless run: nothing of a desktop, and no request of the browser's own
FLAGS = (
    "--headless", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--no-first-run", "--no-default-browser-check", "--disable-dev-shm-usage",
)  # fmt: skip
SECONDS = 90
TIME_OF_PRINTING = re.compile(rb"/(?:CreationDate|ModDate) \(D:[0-9+\-Z']+\)")


@dataclass(frozen=True)
class Printed:
    """A page and its PDF, or why there is none."""

    page: Path
    path: Path | None
    remark: str


def chromium() -> str | None:
    """The browser to print with: VS_CHROMIUM, or the first one on PATH."""
    named = Settings.from_environment().chromium
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


def flags() -> list[str]:
    """Chromium refuses its sandbox to root; the page it opens is ours and runs nothing."""
    return [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)


def print_report(page: Path) -> Printed:
    """Print `page` beside itself, unless the PDF is of this page already; the log says what came of it."""
    path, remark = _printed(page)
    log.log(logging.INFO if path else logging.WARNING, "%s: %s", page, remark)
    return Printed(page, path, remark)


def _printed(page: Path) -> tuple[Path | None, str]:
    paper = page.with_suffix(".pdf")
    if paper.exists() and paper.stat().st_mtime_ns >= page.stat().st_mtime_ns:
        return paper, "the page did not change since it was printed"
    # the print of an earlier page would say other numbers than the page beside it
    paper.unlink(missing_ok=True)
    browser = chromium()
    if browser is None:
        return None, (
            "no PDF: there is no Chromium on this machine (install one, or name it in VS_CHROMIUM); "
            "the page prints from any browser"
        )
    failure = _print(browser, page, paper)
    return (None, f"no PDF: {failure}") if failure else (paper, f"printed by {Path(browser).name}")


def _print(browser: str, page: Path, paper: Path) -> str | None:
    """None when the PDF is there, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="vs-print-", ignore_cleanup_errors=True) as profile:
        draft = Path(profile) / paper.name
        process = subprocess.Popen(
            [browser, *flags(), f"--user-data-dir={profile}/profile", "--no-pdf-header-footer",
             f"--print-to-pdf={draft}", page.resolve().as_uri()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return f"Chromium did not answer within {SECONDS} seconds"
        finally:
            # its helpers share its session
            _stop_session(process.pid)
            process.wait()
        if code or not draft.exists():
            return f"Chromium ended with code {code} and made no PDF"
        # beside the page and then in place: nobody opens half a PDF
        beside = paper.with_suffix(".pdf.tmp")
        beside.write_bytes(_without_time(draft.read_bytes()))
        os.replace(beside, paper)
    return None


def _without_time(pdf: bytes) -> bytes:
    """Blanks where it says when it was made; not a byte shorter, as a PDF finds its parts by counting bytes."""
    return TIME_OF_PRINTING.sub(lambda found: b" " * len(found[0]), pdf)


def _stop_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
