"""Closing month after month while RIS is late, corrects itself and rejects: nothing is lost, nothing closed changes."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from tests.closing_over_months import Figures, run_months
from tests.month_in_process import sandbox

TOKEN = "a token for the sandbox"
SEED = 33


def run(exchange: Path, monkeypatch: pytest.MonkeyPatch, first: Month, number: int, **told: float) -> Figures:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connection = {"conn_type": "http", "host": f"http://127.0.0.1:{port}", "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_RIS", json.dumps(connection))
    # RIS rolls its dice by our ids: with a key of its own every run is another, and in some nothing is reopened at all
    with connect(Role.ADMIN) as admin:
        admin.execute("update ops.id_key set key = %s", (f"the key of seed {SEED}",))
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    months = [first.plus(offset) for offset in range(number)]
    began = time.monotonic()
    with sandbox(exchange, exchange.parent / "sandbox", port=port, token=TOKEN, seed=SEED, **told):
        figures = run_months(months, exchange, restated=months[number // 3], seed=SEED)
    print(f"{number} months in {time.monotonic() - began:.0f} s\n{figures}")
    return figures


def check(figures: Figures, months: int) -> None:
    """Everything that was to happen happened; that it happened rightly is asserted on the way."""
    assert len(figures.hashes) == months + 1, "every month once, and one restatement"
    assert len(figures.waiting) == months - 2, "every other month but the last waits for its restatement"
    assert sum(one.late_outcomes for one in figures.waiting.values()) > 0
    assert sum(one.corrected_outcomes for one in figures.waiting.values()) > 0
    assert figures.ddas_files == months
    assert figures.feedback_files == 4 * months
    assert figures.feedback_rows > 100
    assert figures.closures_rejected > 0
    assert figures.newly_closed > 0
    assert figures.reopened > 0
    assert figures.results_corrected > 0
    assert figures.found_again > 0
    assert figures.returned == figures.found_again + figures.moved_unreached, "the next signal finds who got no help"


def test_three_months_with_a_late_ris(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "VS_SANDBOX_HOUSEHOLDS": 3000, "VS_SANDBOX_LATE": 0.06, "VS_SANDBOX_CORRECTED": 0.35,
        "VS_SANDBOX_REJECTED": 0.05,
    }  # fmt: skip
    check(run(warehouse, monkeypatch, Month(2024, 1), 3, **told), 3)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_two_years_with_a_late_ris(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make bench-months`: the whole municipality, late answers doubled; so many corrections that a closure reopens."""
    told = {"VS_SANDBOX_LATE": 0.03, "VS_SANDBOX_CORRECTED": 0.25, "VS_SANDBOX_REJECTED": 0.02}
    check(run(warehouse, monkeypatch, Month(2023, 1), 24, **told), 24)
