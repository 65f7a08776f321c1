"""A platform up, through a month, killed, up again and down, with a real Airflow and the smallest DAGs of a month."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.local.airflow import LocalAirflow
from include.local.airflow_api import AirflowApi
from include.local.instance import SECRETS, Instance
from include.local.processes import Processes, wait_until
from include.settings import PROJECT_ROOT, Role
from tests.fixtures.receivers import Received, webhook_receiver

pytestmark = pytest.mark.airflow

DAGS = {
    "ingest_partner_files": """
@dag(schedule=PartitionedAtRuntime())
def ingest_partner_files():
    @task
    def files():
        return ["one", "two"]
    @task(map_index_template="{{ name }}")
    def load(name):
        return name
    @task(outlets=[Asset("test://signals")])
    def landed():
        pass
    load.expand(name=files()) >> landed()
ingest_partner_files()
""",
    "build_cases": """
@dag(schedule=PartitionedAssetTimetable(Asset("test://signals")), deadline=in_time("build_cases"))
def build_cases():
    @task(outlets=[Asset("test://cases")], retries=3, retry_delay=1)
    def build():
        import sys, time
        print("preloaded:", "great_expectations" in sys.modules)
        time.sleep(4)
    build()
build_cases()
""",
    "deliver_call_lists": """
@dag(schedule=PartitionedAssetTimetable(Asset("test://cases")))
def deliver_call_lists():
    @task
    def deliver():
        pass
    ApprovalOperator(task_id="approve_call_list", subject="Deliver 12 records?", defaults=["Reject"]) >> deliver()
deliver_call_lists()
""",
    "collect_ris_outcomes": """
@dag(schedule=None)
def collect_ris_outcomes():
    @task
    def collect():
        pass
    collect()
collect_ris_outcomes()
""",
    "close_month": """
@dag(schedule=PartitionedAtRuntime(), default_args={"on_failure_callback": tell_failure})
def close_month():
    @task
    def gate_g7_closure():
        raise AirflowFailException("Gate G7: 3 cases without a reason; see ops.gate_results")
    gate_g7_closure()
close_month()
""",
    "watch_months": (PROJECT_ROOT / "dags" / "watch_months.py").read_text(encoding="utf-8"),
}
IMPORTS = """
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, PartitionedAssetTimetable, PartitionedAtRuntime, dag, task
from airflow.sdk.exceptions import AirflowFailException
from include.orchestration.alerting import in_time, tell_failure
"""


class Shell:
    """`vs` as a person types it, without a terminal."""

    def __init__(self, folder: Path, told: Received) -> None:
        self.told = told
        self.instance = Instance(folder / "home")
        self.processes = Processes(self.instance.home)
        self.environment = dict(
            os.environ, VS_HOME=str(folder / "home"), VS_DAGS_FOLDER=str(folder / "dags"), VS_RIS_BY="files",
            AIRFLOW_CONN_ALERTS_WEBHOOK=json.dumps({"host": f"http://127.0.0.1:{told.port}"}),
            VS_DEADLINE_BUILD_DAYS=str(1 / 86_400),
        )  # fmt: skip

    def __call__(self, *arguments: str, exit_code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "include.local.command", *arguments], env=self.environment, cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == exit_code, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def vs() -> Iterator[Shell]:
    # not pytest's folder: each pytest that starts as the same user closes it to others, PostgreSQL's own user included
    with tempfile.TemporaryDirectory(prefix="vs-platform-") as folder, webhook_receiver() as told:
        yield from _platform(Path(folder), told)


def _platform(folder: Path, told: Received) -> Iterator[Shell]:
    (folder / "dags").mkdir()
    for name, text in DAGS.items():
        (folder / "dags" / f"{name}.py").write_text(IMPORTS + text, encoding="utf-8")
    shell = Shell(folder, told)
    try:
        shell("up")
        yield shell
    finally:
        shell("down")


def test_everything_is_healthy_private_and_local(vs: Shell):
    assert "unhealthy" not in vs("status")
    secrets = [vs.instance.secret(name) for name in (*SECRETS, *(role.value for role in Role))]
    addresses = set()
    ours = [*vs.processes.marked(), *_postgres(vs)]
    assert len(ours) > 8
    for process in ours:
        line = " ".join(process.cmdline())
        assert not [secret for secret in secrets if secret in line], "a secret on a command line"
        addresses |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}
    passwords = LocalAirflow(vs.instance).passwords_file
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600


def test_a_month_stops_at_its_failure_and_says_what_to_do(vs: Shell):
    output = vs("month", "2024-04", "--approve", exit_code=1)
    for said in (
        "load[one]: success",
        "Deliver 12 records? — approved",
        "2024-04 stopped in step close (close_month)",
        "gate_g7_closure: AirflowFailException: Gate G7: 3 cases without a reason",
        "vs month 2024-04 --from close",
    ):
        assert said in output, output
    logs = list((vs.instance.home / "airflow" / "logs").glob("dag_id=build_cases/*/task_id=build/*.log"))
    assert logs
    assert "preloaded: True" in logs[0].read_text(encoding="utf-8")


def test_what_failed_and_what_was_late_is_told_once_and_settled_by_the_daily_look(vs: Shell):
    api = AirflowApi(LocalAirflow(vs.instance))

    def told() -> list[tuple[str, str]]:
        return sorted((alert["kind"], alert["subject"]) for one in vs.told.messages for alert in one["alerts"])

    failed, late = ("task_failed", "close_month.gate_g7_closure"), ("deadline", "build_cases")
    assert wait_until(lambda: len(told()) == 2, 60, 0.5)
    assert told() == [late, failed]
    assert "gate_g7_closure failed (AirflowFailException)" in " ".join(vs("status").split())
    look = api.trigger("watch_months", None)
    assert wait_until(lambda: not api.run(look).is_unfinished, 60, 0.5)
    assert api.run(look).state == "success"
    assert len(told()) == 2
    listed = " ".join(vs("alerts", "list").split())
    assert "close_month.gate_g7_closure failed" in listed
    assert "docs/runbooks/tell-somebody.md#a-task-failed" in listed
    assert "was to have its cases" not in listed


def test_a_month_goes_on_after_its_scheduler_was_killed(vs: Shell):
    month = subprocess.Popen(
        [sys.executable, "-m", "include.local.command", "month", "2024-05", "--until", "deliver", "--approve"],
        env=vs.environment, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    for line in month.stdout:
        if "build: running" in line:
            break
    os.kill(vs.processes.record("scheduler").pid, signal.SIGKILL)
    said = month.stdout.read()
    assert month.wait(60) == 1
    assert "scheduler does not run" in said
    assert "vs up" in said
    assert "starting scheduler" in vs("up")
    output = vs("month", "2024-05", "--until", "deliver", "--approve")
    assert "still under way: going on with" in output
    assert "2024-05 is done up to and including deliver" in output


def test_down_leaves_nothing_behind(vs: Shell):
    family = [*vs.processes.marked(), *_postgres(vs)]
    assert len([process for process in family if "LocalExecutor" in " ".join(process.cmdline())]) >= 4
    vs("down")
    assert wait_until(lambda: not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], 5)
    assert vs.processes.marked() == _postgres(vs) == []
    inside = [process for process in psutil.process_iter() if _folder(process).startswith(str(vs.instance.home))]
    assert inside == []
    assert "down" in vs("status", exit_code=3)


def _postgres(vs: Shell) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _folder(process) == str(vs.instance.home / "postgres")]


def _folder(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""
