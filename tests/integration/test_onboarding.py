"""docs/how-to/onboard-a-partner.md, command by command: a fifth partner goes through a real month with one file added.

The commands of the page run as they stand there, on a platform of their own. Only `vs demo` is taken over: the same
month, called directly instead of through Airflow.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from include.local.instance import Instance
from include.months import Month
from include.settings import PROJECT_ROOT, Role, Settings
from include.warehouse.dbt import build_stage
from tests import month_in_process

PAGE = PROJECT_ROOT / "docs" / "how-to" / "onboard-a-partner.md"
FILES = PAGE.parent / "onboard-a-partner"
JULY = Month.parse("2024-07")
MONTH_THROUGH_AIRFLOW = f"vs demo --months {JULY}"
SEED = 2024


def blocks(language: str) -> list[str]:
    """The code blocks of the page in that language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.strip()]


@dataclass
class Place:
    """A folder that looks like the project, with a platform beside it."""

    folder: Path
    instance: Instance
    environment: dict[str, str]

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", command], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def rows(self, statement: str) -> list[tuple]:
        with psycopg.connect(Settings(dict(os.environ)).dsn(Role.BI_READER)) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT_ROOT / "docs", folder / "docs")
    shutil.copytree(
        PROJECT_ROOT / "include" / "contracts", folder / "include" / "contracts",
        ignore=shutil.ignore_patterns("*.py", "__pycache__"),
    )  # fmt: skip
    # not in pytest's own folder: PostgreSQL drops root and could not enter it
    with tempfile.TemporaryDirectory(prefix="vs-onboarding-") as home:
        instance = Instance(Path(home) / "home")
        instance.create()
        instance.start_warehouse()
        mine = {
            "VS_HOME": str(instance.home),
            "VS_CONTRACTS": str(folder / "include" / "contracts"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (instance.platform_environment() | mine).items():
                patch.setenv(name, value)
            try:
                yield Place(folder, instance, dict(os.environ) | {"PYTHONPATH": str(PROJECT_ROOT)})
            finally:
                instance.postgres.stop()


@pytest.fixture(scope="module")
def answers(place: Place) -> dict[str, str]:
    """What every command of the page answered, run in its order."""
    exchange = Path(place.environment["VS_EXCHANGE_ROOT"])
    told = {}
    for command in commands():
        if command == MONTH_THROUGH_AIRFLOW:
            run_month_directly(place, exchange)
        else:
            told[command] = place.run(command)
    return told


def run_month_directly(place: Place, exchange: Path) -> None:
    build_stage("foundation")
    port, token = place.instance.port("ris"), place.instance.secret("ris_token")
    with month_in_process.sandbox(exchange, place.instance.home / "sandbox", port=port, token=token, seed=SEED):
        month_in_process.partners_deliver(JULY, exchange, seed=SEED)
        month_in_process.run_month(JULY)


def test_the_page_says_what_to_type() -> None:
    said = commands()
    assert len(said) >= 8
    assert MONTH_THROUGH_AIRFLOW in said
    assert sum(command.startswith("vs contract check") for command in said) == 2
    linked = re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(linked) >= 4
    assert all((PAGE.parent / link).exists() for link in linked)


def test_the_contract_is_valid_odcs() -> None:
    from datacontract.data_contract import DataContract

    assert DataContract(data_contract_file=str(FILES / "thuishuur-v1.odcs.yaml")).lint().result.value == "passed"


def test_the_check_shows_what_the_page_says(answers: dict[str, str]) -> None:
    checked, live = (answers[command] for command in commands() if command.startswith("vs contract check"))
    assert "Rows: 21 in the file, 19 good, 1 quarantined, 1 duplicate" in checked
    assert re.search(r"quarantined +│ house_number_invalid +│ +1 │ 17 ", checked)
    assert re.search(r"duplicate +│ reference_duplicate +│ +1 │ 23 ", checked)
    assert re.search(r"loaded without +│ phone_invalid +│ +1 │ 7 ", checked)
    assert "Bakker" not in checked
    assert "nothing wrong" in live


def test_only_the_contract_and_what_was_promised_were_added(place: Place, answers: dict[str, str]) -> None:
    def files(folder: Path) -> set[str]:
        return {
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".yaml", ".json")
        }  # fmt: skip

    added = files(place.folder / "include" / "contracts") - files(PROJECT_ROOT / "include" / "contracts")
    assert added == {"inbound/thuishuur-v1.odcs.yaml", "released/thuishuur-v1.json"}


def test_the_month_has_five_partners(place: Place, answers: dict[str, str]) -> None:
    partner, quality, signals, kpis = (place.rows(sql) for sql in blocks("sql")[0].split(";\n") if sql.strip())
    assert partner == [("thuishuur", "Thuishuur", "Huur", 5)]
    assert len(quality) == 1
    assert sum(count for _, count in signals) == 19
    assert {kpi: value for kpi, _, value in kpis}["signals_received"] > 21
    assert place.rows("select count(*) from marts.dim_partner") == [(5,)]
    (counts,) = place.rows(
        "select count(*), count(*) filter (where is_picked_up), count(distinct case_id) "
        "from marts.fct_signals where partner = 'thuishuur' and signal_month = '2024-07'"
    )
    assert counts[0] == 19
    assert counts[1] >= 15
    assert counts[2] >= 15
    assert place.rows(
        "select count(*) from marts.fct_month_end_closures as closures "
        "join marts.fct_signals as signals using (case_id) where signals.partner = 'thuishuur'"
    )[0][0] >= 15  # fmt: skip


def test_the_partner_got_its_receipt_and_its_feedback(place: Place, answers: dict[str, str]) -> None:
    (said,) = (answer for command, answer in answers.items() if command.startswith("cat "))
    receipt = json.loads(said)
    assert (receipt["status"], receipt["contract"], receipt["rows_loaded"]) == ("loaded", "thuishuur-v1", 19)
    assert [line["line"] for line in receipt["quarantined"]] == [17]
    folder = Path(place.environment["VS_EXCHANGE_ROOT"]) / "outbox" / "partners" / "thuishuur"
    assert (folder / f"feedback_thuishuur_{JULY.compact}.csv").is_file()


def test_every_gate_let_the_month_pass(place: Place, answers: dict[str, str]) -> None:
    from include.warehouse.connection import connect

    with connect(Role.LOADER) as connection:
        verdicts = connection.execute(
            "select gate, bool_and(success or severity <> 'critical') from ops.gate_results group by gate order by gate"
        ).fetchall()
        closed = connection.execute("select count(*) from ops.closure_ledger where signal_month = '2024-07'").fetchone()
    assert verdicts == [(f"G{number}", True) for number in range(1, 9)]
    assert closed == (1,)
    (funnel,) = (answer for command, answer in answers.items() if command.startswith("vs kpi"))
    assert "cases opened" in funnel
