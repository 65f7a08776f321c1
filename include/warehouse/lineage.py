"""What was made of what: one OpenLineage event a model, as a line of a file, after each dbt stage.

Rule: names of tables and of the month, counts; no query and no value. The file is `VS_LINEAGE_FILE` (locally
`logs/lineage.jsonl` of the instance; `VS_LINEAGE=off` writes none) and nothing is sent anywhere; a catalogue that
speaks OpenLineage (Marquez, DataHub) reads its lines. Reason for writing the events here: the listener of Airflow's
OpenLineage provider makes every task pay (`make bench-lineage`) and knows none of our tables: what dbt read and wrote
it takes from files dbt does not write here. Events follow https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect

PRODUCER = "https://github.com/vroegsignalering/platform"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
ROWS_SCHEMA = (
    "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet"
)
PARENT_SCHEMA = "https://openlineage.io/spec/facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet"


@dataclass(frozen=True)
class Made:
    """One table that was made: by which job, of which tables (`schema.table`), with how many rows, and whether well."""

    job: str
    output: str
    inputs: tuple[str, ...]
    rows: int | None
    is_good: bool


def made_by_dbt(results: Iterable[Any]) -> list[Made]:
    """From dbt's own answer: each model and seed it ran, with the tables it read."""
    from include.warehouse.dbt import is_good, rows_affected

    ran = [result for result in results if result.node.resource_type in ("model", "seed")]
    schemas = _schemas()
    made = []
    for result in ran:
        node = result.node
        read = node.depends_on_nodes if node.resource_type == "model" else ()
        tables = (_table(one, schemas) for one in read)
        made.append(
            Made(
                job=node.unique_id.replace("vroegsignalering.", "", 1),
                output=f"{node.schema}.{node.name}",
                inputs=tuple(sorted({table for table in tables if table})),
                rows=rows_affected({"adapter_response": result.adapter_response}),
                is_good=is_good(result.status),
            )
        )
    return made


def write_lineage(made: Iterable[Made], stage: str, month: Month | None, run_id: str | None, at: datetime) -> int:
    """Append one event for each; returns how many. Nothing is written when no file is set."""
    file = Settings.from_environment().lineage_file
    if file is None:
        return 0
    lines = [json.dumps(_event(one, stage, month, run_id, at), separators=(",", ":")) for one in made]
    if lines:
        _append(file, "\n".join(lines) + "\n")
    return len(lines)


def _event(one: Made, stage: str, month: Month | None, run_id: str | None, at: datetime) -> Mapping[str, Any]:
    named = f"{stage}|{month}|{run_id}|{at.isoformat()}"
    run: dict[str, Any] = {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{one.job}|{named}"))}
    run["facets"] = {
        "parent": {
            "_producer": PRODUCER,
            "_schemaURL": PARENT_SCHEMA,
            "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, named))},
            "job": {"namespace": "vroegsignalering", "name": f"{stage}.{month or 'all'}"},
        }
    }
    database, server = _warehouse()
    output: dict[str, Any] = {"namespace": server, "name": f"{database}.{one.output}"}
    if one.rows is not None:
        statistics = {"_producer": PRODUCER, "_schemaURL": ROWS_SCHEMA, "rowCount": one.rows}
        output["outputFacets"] = {"outputStatistics": statistics}
    return {
        "eventType": "COMPLETE" if one.is_good else "FAIL",
        "eventTime": at.astimezone(UTC).isoformat(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": run,
        "job": {"namespace": "vroegsignalering", "name": one.job},
        "inputs": [{"namespace": server, "name": f"{database}.{name}"} for name in one.inputs],
        "outputs": [output],
    }


def _warehouse() -> tuple[str, str]:
    """The database and its server, as OpenLineage names a PostgreSQL."""
    environment = Settings.from_environment().environment
    server = f"postgres://{environment['VS_WAREHOUSE_HOST']}:{environment['VS_WAREHOUSE_PORT']}"
    return environment["VS_WAREHOUSE_DATABASE"], server


def _schemas() -> Mapping[str, str]:
    """In which schema each of dbt's tables and views lies: their names are unique."""
    with connect(Role.TRANSFORMER) as connection:
        return dict(
            connection.execute(
                "select relname, relnamespace::regnamespace::text from pg_class where relkind in ('r', 'v', 'm', 'p')"
                " and relnamespace::regnamespace::text = any (%s)",
                (["staging", "intermediate", "outbound", "marts", "marts_public"],),
            ).fetchall()
        )


def _table(unique_id: str, schemas: Mapping[str, str]) -> str | None:
    """`schema.table` of what dbt calls source.<project>.<schema>.<table> or model.<project>.<table>."""
    kind, *_, last_but_one, name = unique_id.split(".")
    if kind == "source":
        return f"{last_but_one}.{name}"
    return f"{schemas[name]}.{name}" if name in schemas else None


def _append(file: Path, text: str) -> None:
    """In one write at the file's end: stages of several months may be under way at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
