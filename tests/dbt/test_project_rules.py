"""The project keeps its own laws: it parses without a warning, layers read downwards only, no rule asks the clock."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from include.settings import DBT_PROJECT_FOLDER

READS = {
    "staging": {"source", "staging"},
    "intermediate": {"staging", "intermediate", "seed"},
    # what is delivered about a closed month is read from its facts
    "outbound": {"staging", "intermediate", "outbound", "marts", "seed"},
    "marts": {"staging", "intermediate", "marts", "seed"},
    # numbers that may be published are made from numbers, never from rows of persons
    "marts_public": {"intermediate", "seed"},
}
CLOCK = re.compile(r"\b(now\(\)|current_date|current_timestamp|localtimestamp|clock_timestamp|run_started_at)\b", re.I)


@cache
def _parsed() -> tuple[Any, list[str]]:
    from dbt.cli.main import dbtRunner
    from dbt_common.events.base_types import EventLevel

    warnings: list[str] = []

    def listen(event: Any) -> None:
        if event.info.level == EventLevel.WARN.value:
            warnings.append(event.info.msg)

    folder = str(DBT_PROJECT_FOLDER)
    answer = dbtRunner(callbacks=[listen]).invoke(
        ["parse", "--project-dir", folder, "--profiles-dir", folder, "--no-partial-parse", "--log-level-file", "none"]
    )
    assert answer.success, answer.exception
    return answer.result, warnings


@pytest.fixture
def manifest(warehouse: Path) -> Any:
    return _parsed()[0]


def _models(manifest: Any) -> list[Any]:
    found = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    assert len(found) >= 35
    return found


def _layer(node: Any) -> str:
    return node.path.split("/")[0]


def test_parses_without_a_warning(warehouse: Path) -> None:
    assert _parsed()[1] == []


def test_layers_read_downwards_only(manifest: Any) -> None:
    broken = []
    for node in _models(manifest):
        for parent_id in node.depends_on.nodes:
            kind = parent_id.split(".")[0]
            parent = kind if kind in {"source", "seed"} else _layer(manifest.nodes[parent_id])
            if parent not in READS[_layer(node)]:
                broken.append(f"{node.name} reads {parent_id}")
    assert broken == []


def test_schema_is_the_layer_and_every_model_has_a_stage(manifest: Any) -> None:
    from include.warehouse.dbt import STAGES

    for node in _models(manifest):
        assert node.schema == _layer(node), node.name
        assert set(node.tags) & set(STAGES), f"{node.name} is tagged {node.tags}"
        assert set(node.tags) <= set(STAGES), f"{node.name} is tagged {node.tags}"


def test_month_tables_are_replaced_by_month_and_refuse_a_full_refresh(manifest: Any) -> None:
    tables = [node for node in _models(manifest) if node.config.materialized == "incremental"]
    assert len(tables) >= 15
    for node in tables:
        assert node.config.incremental_strategy == "replace_month", node.name
        assert node.config.full_refresh is False, node.name


def test_lists_and_marts_are_promises(manifest: Any) -> None:
    public = [node for node in _models(manifest) if _layer(node) in {"outbound", "marts", "marts_public"}]
    assert len(public) >= 15
    for node in public:
        assert node.config.contract.enforced, f"{node.name} has no enforced contract"
        assert str(node.access) == "public", f"{node.name} is not public"


def test_lists_and_marts_are_stored_and_described_as_their_contracts_say(manifest: Any) -> None:
    from include.contracts.relations import relations

    models = {f"{node.schema}.{node.name}": node for node in _models(manifest)}
    promised = relations("marts", "outbound")
    assert len(promised) >= 25
    for relation in promised:
        node = models[relation.full_name]
        assert (node.config.materialized == "view") == (relation.kind == "view"), relation.full_name
        assert list(node.columns) == [column.name for column in relation.columns], relation.full_name
        assert node.config.meta["contract"] == relation.contract.reference


def test_every_model_says_what_it_is_and_what_a_row_is(manifest: Any) -> None:
    silent = [node.name for node in _models(manifest) if not node.description or "grain" not in node.config.meta]
    assert silent == []


def test_no_rule_asks_the_clock() -> None:
    folders = [DBT_PROJECT_FOLDER / part for part in ("models", "macros", "tests")]
    files = sorted(path for folder in folders for path in folder.rglob("*.sql"))
    assert len(files) >= 40
    asking = [str(path.relative_to(DBT_PROJECT_FOLDER)) for path in files if CLOCK.search(path.read_text("utf-8"))]
    assert asking == []


def test_rules_are_dated_and_cited() -> None:
    dated = [path for path in sorted((DBT_PROJECT_FOLDER / "seeds").glob("*_rules.csv"))]
    assert len(dated) >= 6
    for path in dated:
        header, *lines = path.read_text("utf-8").splitlines()
        assert {"valid_from", "valid_to", "citation"} <= set(header.split(",")), path.name
        assert lines, path.name
