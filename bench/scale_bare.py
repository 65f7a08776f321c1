"""The same work without a platform: the files by a bare COPY, and the models' compiled SQL straight to PostgreSQL.

Rule: this is the least anybody could do for the same tables: no contracts, tests, gates or dbt. A workbook cannot be
copied, so its rows are written as CSV beforehand, for nothing. Each model is one transaction: its header, the insert
of its select, and fresh statistics of the table (without them the next model's plan could take for ever).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql

from include.months import Month
from include.settings import DBT_PROFILE, DBT_PROJECT_FOLDER, DBT_TARGET, Settings
from include.warehouse.dbt import MONTH_VARIABLE, QUIET

PIECE_BYTES = 256 * 1024
DELIMITERS = {"woonbedrijf": ";", "zorgplus": ",", "drinkwater_zh": ";", "stadsenergie": ","}
ENCODINGS = {"woonbedrijf": "WIN1252", "zorgplus": "UTF8", "drinkwater_zh": "UTF8", "stadsenergie": "UTF8"}


@dataclass(frozen=True)
class Model:
    """One table of the month: the SQL dbt would run for it."""

    name: str
    stage: str
    relation: str
    month_column: str
    header: str
    select: str


def compiled_models(month: Month, stages: Sequence[str]) -> list[Model]:
    """Every table of `stages` for `month`, in the order it must be built; the tables stand already, as in any month
    but the first."""
    from dbt.cli.main import dbtRunner

    folder = str(DBT_PROJECT_FOLDER)
    common = ["--project-dir", folder, "--profiles-dir", folder, "--profile", DBT_PROFILE, "--target", DBT_TARGET]
    models_of = [f"tag:{stage},resource_type:model" for stage in stages]
    before = os.environ.get(MONTH_VARIABLE)
    os.environ[MONTH_VARIABLE] = str(month)
    try:
        answer = dbtRunner().invoke(["compile", *common, *QUIET, "--select", *models_of])
    finally:
        if before is None:
            del os.environ[MONTH_VARIABLE]
        else:
            os.environ[MONTH_VARIABLE] = before
    if not answer.success:
        raise RuntimeError(f"dbt could not compile the month: {answer.exception}")
    # the same SQL runs in another database
    here = f'"{Settings.from_environment().environment["VS_WAREHOUSE_DATABASE"]}".'
    compiled = {result.node.unique_id: result.node for result in answer.result.results}
    # dbt compiles in any order; a table is made after those it reads, through views too
    reads = {name: [one for one in node.depends_on.nodes if one in compiled] for name, node in compiled.items()}
    nodes = [compiled[name] for name in TopologicalSorter(reads).static_order()]
    return [
        Model(
            name=node.name,
            stage=stage,
            relation=node.relation_name.replace(here, ""),
            month_column=node.config.get("month_column") or "signal_month",
            header=node.config.get("sql_header") or "",
            select=node.compiled_code.replace(here, ""),
        )
        # a table of several stages is made in each of them, as dbt does: closures are proposed again with the outcomes
        for stage in stages
        for node in nodes
        if stage in node.tags and node.config.materialized == "incremental"
    ]


def run_models(connection: psycopg.Connection, models: Iterable[Model], month: Month) -> None:
    """The month of every table, replaced."""
    for model in models:
        with connection.transaction():
            if model.header.strip():
                connection.execute(model.header)
            shape = connection.execute(f"select * from ({model.select}) as rows limit 0").description
            columns = ", ".join(f'"{column.name}"' for column in shape)
            connection.execute(f"delete from {model.relation} where {model.month_column} = '{month}'")
            connection.execute(f"insert into {model.relation} ({columns}) {model.select}")
            connection.execute(f"set local default_statistics_target = 20; analyze {model.relation}")


def as_csv(workbook: Path, to: Path, title_rows: int = 2) -> None:
    """The workbook's rows, its titles and its total left out."""
    from python_calamine import load_workbook

    rows = load_workbook(workbook).get_sheet_by_index(0).to_python(skip_empty_area=False)
    with to.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows[title_rows:-1])


def copy_files(connection: psycopg.Connection, files: dict[str, Path]) -> None:
    """Each partner's file into a table of text columns."""
    for partner, path in files.items():
        encoding = {"WIN1252": "cp1252"}.get(ENCODINGS[partner], "utf-8-sig")
        with path.open(encoding=encoding, newline="") as text:
            labels = next(csv.reader(text, delimiter=DELIMITERS[partner]))
        table = sql.Identifier("public", f"bare_{partner}")
        columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(label)) for label in labels)
        connection.execute(sql.SQL("create table {} ({})").format(table, columns))
        statement = sql.SQL("copy {} from stdin (format csv, header, delimiter {}, encoding {})").format(
            table, sql.Literal(DELIMITERS[partner]), sql.Literal(ENCODINGS[partner])
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy, path.open("rb") as content:
            while piece := content.read(PIECE_BYTES):
                copy.write(piece)
    connection.commit()
