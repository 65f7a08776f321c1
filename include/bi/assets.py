"""The dashboards of `bi/` as files: Superset's own YAML, one file a database, dataset, chart or dashboard.

They name each other by UUID. Nothing here knows Superset's code: this is read where Superset is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlglot
import yaml
from sqlglot import exp

from include.settings import PROJECT_ROOT

BI_FOLDER = PROJECT_ROOT / "bi"
ASSETS_FOLDER = BI_FOLDER / "assets"
ROLES_FILE = BI_FOLDER / "roles.yaml"
#: What Superset writes in an address where the password was (its PASSWORD_MASK). An address that comes in with exactly
#: this keeps the password that is handed over beside it, so that none ever stands in a file.
MASKED_PASSWORD = "X" * 10


class AssetUnreadable(RuntimeError):
    """A file of bi/ is no YAML mapping with a UUID; the message says which and why."""


@dataclass(frozen=True)
class Asset:
    """One file: its place below `bi/assets` and what it says."""

    place: str
    content: Mapping[str, Any]

    @property
    def uuid(self) -> str:
        return str(self.content["uuid"])


@dataclass(frozen=True)
class Dataset(Asset):
    """What charts count: a table of the marts, or a query on them."""

    @property
    def name(self) -> str:
        return self.content["table_name"]

    @property
    def columns(self) -> list[str]:
        return [column["column_name"] for column in self.content["columns"]]

    @property
    def stored_columns(self) -> list[str]:
        """Those the database gives; the others Superset computes."""
        return [column["column_name"] for column in self.content["columns"] if not column.get("expression")]

    @property
    def metrics(self) -> list[str]:
        return [metric["metric_name"] for metric in self.content["metrics"]]

    @cached_property
    def query(self) -> exp.Expr:
        text = self.content.get("sql") or f"select * from {self.content['schema']}.{self.name}"
        return sqlglot.parse_one(text, read="postgres")

    @property
    def tables(self) -> set[str]:
        """The tables it reads, with their schema."""
        named = {step.alias for step in self.query.find_all(exp.CTE)}
        return {
            f"{table.db}.{table.name}"
            for table in self.query.find_all(exp.Table)
            if table.db or table.name not in named
        }


@dataclass(frozen=True)
class Chart(Asset):
    """One picture or table on one dataset."""

    @property
    def dataset_uuid(self) -> str:
        return str(self.content["dataset_uuid"])

    @property
    def params(self) -> Mapping[str, Any]:
        return self.content["params"]

    @property
    def metrics(self) -> list[str]:
        """The saved metrics it shows."""
        named = [*_listed(self.params.get("metric")), *_listed(self.params.get("metrics"))]
        return [metric for metric in named if isinstance(metric, str)]

    @property
    def columns(self) -> list[str]:
        """The columns it shows, groups by, sorts by or filters on."""
        found = [
            self.params.get("x_axis"),
            *_listed(self.params.get("groupby")),
            *_listed(self.params.get("all_columns")),
        ]
        for rows_or_columns in ("groupbyRows", "groupbyColumns"):
            found += _listed(self.params.get(rows_or_columns))
        found += [yaml.safe_load(order)[0] for order in _listed(self.params.get("order_by_cols"))]
        found += list(self.params.get("column_config") or {}) if self.params.get("query_mode") == "raw" else []
        found += [one["subject"] for one in _listed(self.params.get("adhoc_filters"))]
        return [column["sqlExpression"] if isinstance(column, Mapping) else column for column in found if column]


@dataclass(frozen=True)
class Dashboard(Asset):
    """One page with its filters."""

    @property
    def title(self) -> str:
        return self.content["dashboard_title"]

    @property
    def slug(self) -> str:
        return self.content["slug"]

    @property
    def chart_uuids(self) -> list[str]:
        boxes = self.content["position"].values()
        return [str(box["meta"]["uuid"]) for box in boxes if isinstance(box, Mapping) and box["type"] == "CHART"]

    @property
    def filters(self) -> list[Mapping[str, Any]]:
        return self.content["metadata"]["native_filter_configuration"]


@dataclass(frozen=True)
class Assets:
    """Everything in one folder."""

    databases: tuple[Asset, ...]
    datasets: tuple[Dataset, ...]
    charts: tuple[Chart, ...]
    dashboards: tuple[Dashboard, ...]

    @classmethod
    def read(cls, folder: Path = ASSETS_FOLDER) -> Assets:
        return cls(
            tuple(Asset(*one) for one in _files(folder, "databases")),
            tuple(Dataset(*one) for one in _files(folder, "datasets")),
            tuple(Chart(*one) for one in _files(folder, "charts")),
            tuple(Dashboard(*one) for one in _files(folder, "dashboards")),
        )

    @property
    def all(self) -> tuple[Asset, ...]:
        return (*self.databases, *self.datasets, *self.charts, *self.dashboards)

    def dataset_of(self, chart: Chart) -> Dataset | None:
        return next((dataset for dataset in self.datasets if dataset.uuid == chart.dataset_uuid), None)

    def charts_of(self, dashboard: Dashboard) -> list[Chart]:
        return [chart for chart in self.charts if chart.uuid in dashboard.chart_uuids]

    def tables_of(self, dashboard: Dashboard) -> set[str]:
        """The tables a dashboard's charts and filters read."""
        filtered = {str(target["datasetUuid"]) for one in dashboard.filters for target in one["targets"]}
        used = {chart.dataset_uuid for chart in self.charts_of(dashboard)} | filtered
        return {table for dataset in self.datasets if dataset.uuid in used for table in dataset.tables}


def roles(path: Path = ROLES_FILE) -> Mapping[str, list[tuple[str, str]]]:
    """The permissions of every role of bi/roles.yaml: what, and of what."""
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: [(what, of) for what, of in rule["permissions"]] for name, rule in said["roles"].items()}


def _files(folder: Path, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted((folder / kind).rglob("*.yaml")):
        place = path.relative_to(folder).as_posix()
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as broken:
            raise AssetUnreadable(f"{place} is no YAML: {broken}. Nothing was imported; mend the file.") from broken
        if not isinstance(content, Mapping) or "uuid" not in content:
            raise AssetUnreadable(f"{place} is no mapping with a uuid. Nothing was imported; mend the file.")
        yield place, content


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
