"""Every rule's unit tests (models/**/_*__unit_tests.yml) hold on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.months import Month
from include.settings import DBT_PROJECT_FOLDER
from include.warehouse.dbt import STAGES, build_stage

TESTED = {
    "int_signals__keyed", "int_signal_pairs__at_address", "int_signal_pairs__elsewhere", "int_persons__resolved",
    "int_person_moves", "int_match_reviews",
    "int_signals__matched", "int_cases", "int_case_persons", "int_phones", "int_phones__unusable",
    "int_routes__direct", "int_call_numbers", "int_routes",
}  # fmt: skip


@pytest.fixture(scope="module")
def empty_month(warehouse: Path) -> Month:
    """Unit tests read the column types of their inputs, so every table exists first: an empty month has them all."""
    month = Month(2024, 6)
    for stage in STAGES:
        build_stage(stage, month if stage != "foundation" else None)
    return month


def test_all_unit_tests_pass(empty_month: Month) -> None:
    from dbt.cli.main import dbtRunner

    folder = str(DBT_PROJECT_FOLDER)
    answer = dbtRunner().invoke(
        ["test", "--project-dir", folder, "--profiles-dir", folder, "--select", "test_type:unit",
         "--log-level", "error", "--log-level-file", "none"]
    )  # fmt: skip
    assert answer.result is not None, answer.exception
    results = answer.result.results
    failed = [f"{result.node.name}: {result.message}" for result in results if result.status != "pass"]
    assert failed == []
    assert {result.node.unique_id.split(".")[2] for result in results} >= TESTED
    assert len(results) >= 25
