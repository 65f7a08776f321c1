"""The month called directly, step by step, in this process: the same functions the DAGs call, without Airflow.

Used to compare with a month through Airflow, to feed months where Airflow is not what is tested, and by the benches.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg

from include.local.instance import Instance
from include.months import Month
from include.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from include.outbound.ris_closures import ClosureSummary

APPROVER = "coordinator"
PATIENCE_SECONDS = 60


def second_warehouse(
    instance: Instance, home: Path, database: str, ris_port: int, *, ris_by: str = "api"
) -> dict[str, str]:
    """An empty warehouse beside the platform's own, in the same server and with the same keys; its environment.

    Files and reports lie in `home`, and its RIS is expected on `ris_port`.
    """
    from include.local.postgres import create_database
    from include.warehouse.migrate import migrate

    environment = instance.platform_environment()
    environment |= {
        "VS_HOME": str(home),
        "VS_WAREHOUSE_DATABASE": database,
        "VS_EXCHANGE_ROOT": str(home / "exchange"),
        "VS_REPORTS": str(home / "reports"),
        "VS_RIS_BY": ris_by,
        "DBT_TARGET_PATH": str(home / "dbt" / "target"),
        "DBT_LOG_PATH": str(home / "dbt" / "logs"),
        "AIRFLOW_CONN_RIS": environment["AIRFLOW_CONN_RIS"].replace(f":{instance.port('ris')}/", f":{ris_port}/"),
    }
    create_database(instance.postgres, database)
    with psycopg.connect(f"{instance.postgres.superuser_dsn}/{database}") as connection:
        migrate(connection, Settings(environment))
    return environment


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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


#: the tasks of the DAGs, by step; what only waits or counts for a question is left out
STEPS: Mapping[str, tuple[str, ...]] = {
    "ingest": ("open_month", "ingest_delivery", "record_missing_partners", "gate_g1"),
    "build": (
        "build_matched", "gate_g2", "request_enrichment", "await_enrichment", "load_enrichment_results",
        "build_enriched", "gate_g3", "build_categorised", "gate_g4",
    ),
    "deliver": ("gate_g5", "approve_call_list", "deliver_call_list", "deliver_worklist", "deliver_feedback"),
    "collect": ("collect_outcomes", "gate_g6", "build_marts", "deliver_worklist"),
    "close": (
        "build_closure", "gate_g7", "approve_closure", "send_closures", "build_marts", "gate_g8", "freeze_month",
        "write_report", "deliver_ddas", "deliver_feedback",
    ),
}  # fmt: skip
PER_DELIVERY = "ingest_delivery"


def run_month(month: Month) -> None:
    """All five steps."""
    for step in STEPS:
        run_step(step, month)


def run_step(step: str, month: Month) -> None:
    """All tasks of one step."""
    for name in STEPS[step]:
        for task in with_deliveries(name, month):
            run_task(task, month)


def with_deliveries(name: str, month: Month) -> list[str]:
    """The task itself, or one for each file in the inbox, as Airflow maps it: `ingest_delivery:inbox/…`."""
    from include.ingest.deliveries import find_deliveries

    return [f"{name}:{path}" for path in find_deliveries(month)] if name == PER_DELIVERY else [name]


def run_task(task: str, month: Month) -> None:
    """One task of the month by its name; a gate or a stage is told by the end of its name."""
    name, _, argument = task.partition(":")
    kind, _, what = name.partition("_")
    if kind == "gate":
        from include.quality.gates import run_gate

        run_gate(what.upper(), month)
    elif kind == "build":
        from include.warehouse.dbt import build_stage

        build_stage(what, month)
    elif argument:
        _TASKS[name](month, argument)
    else:
        _TASKS[name](month)


def _open_month(month: Month) -> None:
    from include.ingest.deliveries import open_month

    open_month(month)


def _ingest_delivery(month: Month, path: str) -> None:
    from include.ingest.deliveries import ingest_delivery

    ingest_delivery(path, month)


def _record_missing_partners(month: Month) -> None:
    from include.ingest.deliveries import record_missing_partners

    record_missing_partners(month)


def _request_enrichment(month: Month) -> None:
    from include.outbound.enrichment_request import request_enrichment

    request_enrichment(month)


def _await_enrichment(month: Month) -> None:
    from include.ingest.enrichment import enrichment_answered

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not enrichment_answered(month):
        assert time.monotonic() < deadline, "the enrichment provider did not answer within a minute"
        time.sleep(0.2)


def _load_enrichment_results(month: Month) -> None:
    from include.ingest.enrichment import load_enrichment_results

    load_enrichment_results(month)


def _approve_call_list(month: Month) -> None:
    from include.outbound.approvals import record_approval

    record_approval(month, "call_list", f"direct-{month}", "approved", APPROVER, _approved_at(month), None)


def _deliver_call_list(month: Month) -> None:
    from include.outbound.certin_call_list import deliver_call_list

    deliver_call_list(month)


def _deliver_worklist(month: Month) -> None:
    from include.outbound.kwadraad_worklist import deliver_worklist

    deliver_worklist(month)


def _deliver_feedback(month: Month) -> None:
    from include.outbound.partner_feedback import deliver_feedback

    deliver_feedback(month)


def _collect_outcomes(month: Month) -> None:
    from include.ingest.ris import collect_outcomes

    deadline = time.monotonic() + PATIENCE_SECONDS
    while str(month) not in {str(touched) for touched in collect_outcomes().months} and not _has_outcomes(month):
        # by files, RIS exports when it has seen the list; by API it answers at once
        assert time.monotonic() < deadline, f"RIS had no outcomes of {month} within a minute"
        time.sleep(0.5)


def _has_outcomes(month: Month) -> bool:
    """Another run may have landed them, and built the marts since."""
    from include.settings import Role
    from include.warehouse.connection import connect

    with connect(Role.LOADER) as connection:
        return bool(
            connection.execute(
                "select 1 from landing.ris_outcomes inner join ops.call_records using (call_record_id)"
                " where signal_month = %s limit 1",
                (str(month),),
            ).rowcount
        )


def _approve_closure(month: Month) -> None:
    from include.outbound.approvals import closing_subject, record_approval

    subject = closing_subject(month)
    record_approval(month, subject, f"direct-{month}", "approved", APPROVER, _approved_at(month.next), None)


def _send_closures(month: Month) -> ClosureSummary:
    from include.outbound.ris_closures import send_closures

    return _acknowledged(lambda: send_closures(month, APPROVER))


def _freeze_month(month: Month) -> None:
    from include.warehouse.closure_ledger import close_month

    # closures that were sent are not sent again: this only asks which batch it was
    close_month(month, _send_closures(month).batch_id, APPROVER)


def _write_report(month: Month) -> None:
    from include.reporting.monthly_report import write_report

    write_report(month)


def _deliver_ddas(month: Month) -> None:
    from include.outbound.ddas import deliver_ddas

    deliver_ddas(month)


_TASKS: Mapping[str, Callable[..., object]] = {
    function.__name__.removeprefix("_"): function
    for function in (
        _open_month, _ingest_delivery, _record_missing_partners, _request_enrichment, _await_enrichment,
        _load_enrichment_results, _approve_call_list, _deliver_call_list, _deliver_worklist, _deliver_feedback,
        _collect_outcomes, _approve_closure, _send_closures, _freeze_month, _write_report, _deliver_ddas,
    )
}  # fmt: skip


def restate(month: Month) -> None:
    """A closed month's next version, with what RIS said since; as the DAG does when it is run for a closed month."""
    from include.outbound.closing import prepare_closing

    prepare_closing(month)
    run_step("close", month)


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
