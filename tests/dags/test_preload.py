"""What the scheduler loads beforehand is what tasks would load: nothing of ours is left to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.orchestration.dbt_stage import PARSE_RESULT
from include.settings import PROJECT_ROOT

LOAD = """
import json, logging, sys
logging.disable(logging.INFO)
import airflow_local_settings
print("loaded " + json.dumps(sorted(sys.modules)))
"""


def loaded_by(component: str, environment: dict[str, str]) -> set[str]:
    """The modules that an Airflow component has loaded when it has read its local settings."""
    settings = PROJECT_ROOT / "include" / "local" / "scheduler_settings"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, component], cwd=PROJECT_ROOT, capture_output=True, text=True,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), str(settings)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("loaded ")]
    return set(json.loads(line.removeprefix("loaded ")))


@pytest.fixture(scope="module")
def by_the_scheduler(warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return loaded_by("scheduler", dict(os.environ, AIRFLOW_HOME=str(tmp_path_factory.mktemp("airflow"))))


def test_every_step_and_its_libraries_are_there(by_the_scheduler: set[str]) -> None:
    steps = {
        ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
        for package in ("contracts", "exchange", "ingest", "outbound", "quality", "reporting", "warehouse")
        for path in (PROJECT_ROOT / "include" / package).glob("*.py")
        if path.stem != "__init__"
    }
    assert len(steps) > 50
    assert not steps - by_the_scheduler
    assert {"great_expectations", "dbt.task.build", "dbt.adapters.postgres", "cosmos.config"} <= by_the_scheduler
    assert "polars" not in by_the_scheduler, "its threads do not come along in a fork"


def test_the_project_was_read_in_a_folder_of_its_own(by_the_scheduler: set[str]) -> None:
    read = Path(os.environ["DBT_TARGET_PATH"]) / "preload"
    assert (read / PARSE_RESULT).is_file()
    assert not list(read.rglob("manifest.json"))


def test_other_components_load_nothing(warehouse: Path, tmp_path: Path) -> None:
    loaded = loaded_by("triggerer", dict(os.environ, AIRFLOW_HOME=str(tmp_path)))
    assert not {"dbt", "great_expectations", "pandas", "include"} & loaded
