"""The month called directly, step by step, in this process: the same functions the DAGs call, without Airflow.

Used to compare with a month through Airflow, to feed months where Airflow is not what is tested, and by the benches.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from include.months import Month
from include.settings import PROJECT_ROOT

APPROVER = "coordinator"
PATIENCE_SECONDS = 60


@contextmanager
def sandbox(
    exchange: Path, state: Path, *, port: int, token: str, seed: int = 2024, ris_by: str = "api", **told: float
) -> Iterator[None]:
    """The synthetic municipality as a process of its own: enrichment provider, dialler and RIS over HTTP.

    `told` are more of its settings, for example VS_SANDBOX_LATE=0.05.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT_ROOT),
        "VS_SANDBOX_STATE": str(state),
        "VS_EXCHANGE_ROOT": str(exchange),
        "VS_RIS_PORT": str(port),
        "VS_RIS_TOKEN": token,
        "VS_SANDBOX_SEED": str(seed),
        "VS_RIS_BY": ris_by,
    } | {name: str(value) for name, value in told.items()}
    process = subprocess.Popen([sys.executable, "-m", "include.sandbox", "serve"], env=environment, cwd=PROJECT_ROOT)
    try:
        _wait_until_it_answers(port)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def partners_deliver(month: Month, exchange: Path, *, seed: int = 2024) -> None:
    """The partners put their files of the month in the inbox."""
    subprocess.run(
        [sys.executable, "-m", "include.sandbox", "deliver", str(month)],
        env=dict(os.environ, VS_EXCHANGE_ROOT=str(exchange), VS_SANDBOX_SEED=str(seed), PYTHONPATH=str(PROJECT_ROOT)),
        cwd=PROJECT_ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip


def run_month(month: Month) -> None:
    """All five steps."""
    ingest(month)
    build(month)
    deliver(month)
    collect(month)
    close(month)


def ingest(month: Month) -> None:
    from include.ingest.deliveries import find_deliveries, ingest_delivery, open_month, record_missing_partners
    from include.quality.gates import run_gate

    open_month(month)
    for path in find_deliveries(month):
        ingest_delivery(path, month)
    record_missing_partners(month)
    run_gate("G1", month)


def build(month: Month) -> None:
    from include.ingest.enrichment import enrichment_answered, load_enrichment_results
    from include.outbound.enrichment_request import request_enrichment
    from include.quality.gates import run_gate
    from include.warehouse.dbt import build_stage

    build_stage("matched", month)
    run_gate("G2", month)
    request_enrichment(month)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not enrichment_answered(month):
        assert time.monotonic() < deadline, "the enrichment provider did not answer within a minute"
        time.sleep(0.2)
    load_enrichment_results(month)
    build_stage("enriched", month)
    run_gate("G3", month)
    build_stage("categorised", month)
    run_gate("G4", month)


def deliver(month: Month) -> None:
    from include.outbound.approvals import record_approval
    from include.outbound.certin_call_list import deliver_call_list
    from include.outbound.kwadraad_worklist import deliver_worklist
    from include.outbound.partner_feedback import deliver_feedback
    from include.quality.gates import run_gate

    run_gate("G5", month)
    record_approval(month, "call_list", f"direct-{month}", "approved", APPROVER, _approved_at(month), None)
    deliver_call_list(month)
    deliver_worklist(month)
    deliver_feedback(month)


def collect(month: Month) -> None:
    from include.ingest.ris import collect_outcomes
    from include.outbound.kwadraad_worklist import deliver_worklist
    from include.quality.gates import run_gate
    from include.warehouse.dbt import build_stage

    deadline = time.monotonic() + PATIENCE_SECONDS
    while str(month) not in {str(touched) for touched in collect_outcomes().months}:
        # by files, RIS exports when it has seen the list; by API it answers at once
        assert time.monotonic() < deadline, f"RIS had no outcomes of {month} within a minute"
        time.sleep(0.5)
    run_gate("G6", month)
    build_stage("marts", month)
    deliver_worklist(month)


def restate(month: Month) -> None:
    """A closed month's next version, with what RIS said since; as the DAG does when it is run for a closed month."""
    from include.outbound.closing import prepare_closing

    prepare_closing(month)
    close(month)


def close(month: Month) -> None:
    from include.outbound.approvals import closing_subject, record_approval
    from include.outbound.ddas import deliver_ddas
    from include.outbound.partner_feedback import deliver_feedback
    from include.outbound.ris_closures import send_closures
    from include.quality.gates import run_gate
    from include.reporting.monthly_report import write_report
    from include.warehouse.closure_ledger import close_month
    from include.warehouse.dbt import build_stage

    build_stage("closure", month)
    run_gate("G7", month)
    subject = closing_subject(month)
    record_approval(month, subject, f"direct-{month}", "approved", APPROVER, _approved_at(month.next), None)
    batch = _acknowledged(lambda: send_closures(month, APPROVER))
    build_stage("marts", month)
    run_gate("G8", month)
    close_month(month, batch.batch_id, APPROVER)
    write_report(month)
    deliver_ddas(month)
    deliver_feedback(month)


def _acknowledged(send):
    """What RIS answered to the batch; by files the answer comes when it comes, and the same batch is asked again."""
    from include.outbound.ris_closures import AcknowledgementPending

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return send()
        except AcknowledgementPending:
            assert time.monotonic() < deadline, "RIS did not acknowledge the closures within a minute"
            time.sleep(0.5)


def _approved_at(month: Month) -> datetime:
    return datetime(month.year, month.number, 9, 9, 0, tzinfo=UTC)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/ris/v1/outcomes", timeout=2)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
