"""Do the dashboards of `bi/` fit each other and the contracts of the marts? Asked before every import and in the tests.

Superset's importer accepts a chart with an unknown metric, a dashboard with an unknown chart and a column that no table
has: the reader would see an error box. Here each of these is a problem with its file, before anything is imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

from sqlglot import MappingSchema, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from include.bi.assets import Assets, Chart, Dashboard, Dataset, roles
from include.contracts.relations import data_type, relations

#: what a role that only looks may not even name: SQL of one's own, and the keys to everything
FORBIDDEN_VIEWS = frozenset({"SQLLab", "SQL Lab", "SQL Editor", "SavedQuery", "Saved Queries", "Query", "Query Search"})
FORBIDDEN_PREFIXES = ("all_", "can_sqllab", "can_execute_sql", "database_access", "schema_access")


def problems_of(assets: Assets, granted: Mapping[str, list[tuple[str, str]]] | None = None) -> list[str]:
    """One line a problem, beginning with its file; `granted` are other roles than those of bi/roles.yaml."""
    return [
        *_same_twice(assets),
        *(problem for dataset in assets.datasets for problem in _of_dataset(dataset, assets)),
        *(problem for chart in assets.charts for problem in _of_chart(chart, assets)),
        *(problem for dashboard in assets.dashboards for problem in _of_dashboard(dashboard, assets)),
        *_of_roles(roles() if granted is None else granted),
    ]


def _same_twice(assets: Assets) -> Iterator[str]:
    counted = Counter(asset.uuid for asset in assets.all)
    for asset in assets.all:
        if counted[asset.uuid] > 1:
            yield f"{asset.place}: its uuid {asset.uuid} is also another file's; give a copy a new one"
    slugs = Counter(dashboard.slug for dashboard in assets.dashboards)
    for dashboard in assets.dashboards:
        if slugs[dashboard.slug] > 1:
            yield f"{dashboard.place}: its slug {dashboard.slug} is also another dashboard's"


def _of_dataset(dataset: Dataset, assets: Assets) -> Iterator[str]:
    if str(dataset.content["database_uuid"]) not in {database.uuid for database in assets.databases}:
        yield f"{dataset.place}: there is no database {dataset.content['database_uuid']}"
    try:
        unknown = dataset.tables - set(contracted_tables())
        if unknown:
            yield f"{dataset.place}: {', '.join(sorted(unknown))} has no mart contract; dashboards read marts only"
            return
        given = set(_columns_given(dataset))
    except SqlglotError as wrong:
        yield f"{dataset.place}: its query does not fit the contracts of the marts: {str(wrong).splitlines()[0]}"
        return
    for column in dataset.stored_columns:
        if column not in given:
            yield f"{dataset.place}: column {column} is not among what it reads: {', '.join(sorted(given))}"


def _columns_given(dataset: Dataset) -> list[str]:
    schema = MappingSchema(dialect="postgres")
    for table, columns in contracted_tables().items():
        schema.add_table(table, dict(columns))
    qualified = qualify(dataset.query.copy(), schema=schema, dialect="postgres")
    if not isinstance(qualified, exp.Query):
        raise SqlglotError("it is no query")
    return qualified.named_selects


def _of_chart(chart: Chart, assets: Assets) -> Iterator[str]:
    dataset = assets.dataset_of(chart)
    if dataset is None:
        yield f"{chart.place}: there is no dataset {chart.dataset_uuid}"
        return
    for metric in chart.metrics:
        if metric not in dataset.metrics:
            yield f"{chart.place}: {dataset.place} has no metric {metric}"
    for column in dict.fromkeys(chart.columns):
        if column not in dataset.columns:
            yield f"{chart.place}: {dataset.place} has no column {column}"
    if not any(chart.uuid in dashboard.chart_uuids for dashboard in assets.dashboards):
        yield f"{chart.place}: it is on no dashboard; put it on one or delete it"


def _of_dashboard(dashboard: Dashboard, assets: Assets) -> Iterator[str]:
    charts = {chart.uuid for chart in assets.charts}
    for uuid in dashboard.chart_uuids:
        if uuid not in charts:
            yield f"{dashboard.place}: there is no chart {uuid}"
    datasets = {dataset.uuid: dataset for dataset in assets.datasets}
    for one in dashboard.filters:
        for target in one["targets"]:
            dataset, column = datasets.get(str(target["datasetUuid"])), target["column"]["name"]
            if dataset is None:
                yield f"{dashboard.place}: filter {one['name']}: there is no dataset {target['datasetUuid']}"
            elif column not in dataset.columns:
                yield f"{dashboard.place}: filter {one['name']}: {dataset.place} has no column {column}"


def _of_roles(granted: Mapping[str, list[tuple[str, str]]]) -> Iterator[str]:
    for role, permissions in granted.items():
        for what, of in permissions:
            if of in FORBIDDEN_VIEWS or what.startswith(FORBIDDEN_PREFIXES):
                yield f"roles.yaml: {role} may not have [{what}, {of}]: it looks, it does not query"


@cache
def contracted_tables() -> Mapping[str, Mapping[str, str]]:
    """Every table bi_reader may read by contract, with its columns and their types."""
    return {
        relation.full_name: {column.name: data_type(column) for column in relation.columns}
        for relation in relations("marts")
    }
