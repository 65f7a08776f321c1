"""The dashboards as files: they fit each other and the contracts of the marts, and nobody who only looks gets SQL.

What they show in a browser is tests/bi (make test-bi).
"""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.bi.assets import ASSETS_FOLDER, MASKED_PASSWORD, Assets, AssetUnreadable, roles
from include.bi.checks import contracted_tables, problems_of
from include.reporting.monthly_report import REASONS, STATES
from include.settings import DBT_PROJECT_FOLDER, PROJECT_ROOT

EXPOSURES = DBT_PROJECT_FOLDER / "models" / "marts" / "_dashboards__exposures.yml"
TITLES = {"Maandoverzicht", "Belkwaliteit", "Partners", "Kosten", "Afsluiting"}


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets.read()


def test_the_dashboards_fit_the_contracts_of_the_marts(assets: Assets):
    assert {dashboard.title for dashboard in assets.dashboards} == TITLES
    assert len(assets.charts) > 40
    assert problems_of(assets) == []


def test_every_number_can_be_filtered_by_month_and_where_it_has_one_by_sector(assets: Assets):
    for dashboard in assets.dashboards:
        filtered = {target["column"]["name"] for one in dashboard.filters for target in one["targets"]}
        assert "signal_month" in filtered, dashboard.place
        assert "sector" in filtered or dashboard.title == "Kosten", f"{dashboard.place}: costs have no sector, this has"
        for chart in assets.charts_of(dashboard):
            assert "signal_month" in assets.dataset_of(chart).columns, chart.place


def spoil(place: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def in_folder(folder: Path) -> None:
        path = folder / place
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    return in_folder


def first_filter(dashboard: dict[str, Any]) -> dict[str, Any]:
    return dashboard["metadata"]["native_filter_configuration"][0]


KPI = "datasets/marts/kpi_per_sector.yaml"
BIG = "charts/maand_signalen.yaml"
TABLE = "charts/maand_aandelen.yaml"
MONTH = "dashboards/maandoverzicht.yaml"
FAULTS = {
    "a column its query does not give": (
        spoil(KPI, lambda one: one["columns"].append({"column_name": "birth_on"})),
        f"{KPI}: column birth_on is not among what it reads",
    ),
    "a column no mart has": (
        spoil(KPI, lambda one: one.update(sql=one["sql"].replace("cut.unit", "cut.surname"))),
        f"{KPI}: its query does not fit the contracts of the marts",
    ),
    "a table that is no mart": (
        spoil(KPI, lambda one: one.update(sql=one["sql"].replace("marts.kpi_monthly", "landing.signals"))),
        f"{KPI}: landing.signals has no mart contract",
    ),
    "a change instead of a query": (
        spoil(KPI, lambda one: one.update(sql="delete from marts.kpi_monthly")),
        f"{KPI}: its query does not fit the contracts of the marts: it is no query",
    ),
    "another database": (
        spoil(KPI, lambda one: one.update(database_uuid="00000000-0000-0000-0000-000000000000")),
        f"{KPI}: there is no database 00000000",
    ),
    "a metric nobody defined": (
        spoil(BIG, lambda one: one["params"].update(metric="guessed")),
        f"{BIG}: {KPI} has no metric guessed",
    ),
    "a column shown that is not there": (
        spoil(TABLE, lambda one: one["params"]["all_columns"].append("iban")),
        f"{TABLE}: {KPI} has no column iban",
    ),
    "a filter on a column that is not there": (
        spoil(BIG, lambda one: one["params"]["adhoc_filters"][0].update(subject="kpi_code")),
        f"{BIG}: {KPI} has no column kpi_code",
    ),
    "a chart without a dataset": (
        spoil(BIG, lambda one: one.update(dataset_uuid="00000000-0000-0000-0000-000000000000")),
        f"{BIG}: there is no dataset 00000000",
    ),
    "a chart that went": (lambda folder: (folder / BIG).unlink(), f"{MONTH}: there is no chart"),
    "a chart on no dashboard": (lambda folder: (folder / MONTH).unlink(), f"{BIG}: it is on no dashboard"),
    "a copy with the same uuid": (
        lambda folder: shutil.copy(folder / BIG, folder / "charts" / "kopie.yaml"),
        "charts/kopie.yaml: its uuid",
    ),
    "a page filter on a column that is not there": (
        spoil(MONTH, lambda one: first_filter(one)["targets"][0].update(column={"name": "month"})),
        f"{MONTH}: filter Maand: {KPI} has no column month",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_file(fault: str, tmp_path: Path):
    spoilt, expected = FAULTS[fault]
    folder = shutil.copytree(ASSETS_FOLDER, tmp_path / "assets")
    spoilt(folder)
    problems = problems_of(Assets.read(folder))
    assert [problem for problem in problems if problem.startswith(expected)], problems


@pytest.mark.parametrize("text", ["slice_name: [", "just words", "slice_name: without uuid"])
def test_a_file_that_is_no_asset_stops_the_import(text: str, tmp_path: Path):
    folder = shutil.copytree(ASSETS_FOLDER, tmp_path / "assets")
    (folder / BIG).write_text(text, encoding="utf-8")
    with pytest.raises(AssetUnreadable, match="(?s)maand_signalen.yaml.*Nothing was imported"):
        Assets.read(folder)


def test_the_dashboards_read_no_table_with_personal_data(assets: Assets):
    read = {table for dataset in assets.datasets for table in dataset.tables}
    assert len(read) > 10
    assert read <= set(contracted_tables())
    assert {table.split(".")[0] for table in read} == {"marts"}


def test_a_viewer_has_no_sql_of_his_own_and_a_stranger_has_nothing():
    granted = roles()
    assert granted["Public"] == []
    assert ("can_read", "Dashboard") in granted["Kijker"]
    assert not [one for one in granted["Kijker"] if "sql" in " ".join(one).lower() or one[0].startswith("all_")]


@pytest.mark.parametrize(
    "permission",
    [
        ("menu_access", "SQL Lab"), ("can_execute_sql_query", "SQLLab"), ("can_sqllab", "Superset"),
        ("can_read", "SavedQuery"), ("all_datasource_access", "all_datasource_access"),
    ],
)  # fmt: skip
def test_sql_for_a_viewer_is_a_problem(permission: tuple[str, str], assets: Assets):
    problems = problems_of(assets, {"Kijker": [("can_read", "Dashboard"), permission]})
    assert problems == [f"roles.yaml: Kijker may not have [{', '.join(permission)}]: it looks, it does not query"]


def test_superset_reads_as_bi_reader_and_writes_nothing(assets: Assets):
    (database,) = assets.databases
    assert database.content["sqlalchemy_uri"].startswith(f"postgresql+psycopg2://bi_reader:{MASKED_PASSWORD}@")
    writing = ("allow_dml", "allow_ctas", "allow_cvas", "allow_csv_upload")
    assert not [name for name in writing if database.content[name]]


def test_the_page_may_ask_no_other_host(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VS_SUPERSET_KEY", "key of a test")
    monkeypatch.setenv("VS_SUPERSET_METADATA", "postgresql://")
    settings = runpy.run_path(str(PROJECT_ROOT / "bi" / "superset_config.py"))
    policy: Mapping[str, Any] = settings["TALISMAN_CONFIG"]["content_security_policy"]
    sources = {source for allowed in policy.values() for source in ([allowed] if isinstance(allowed, str) else allowed)}
    assert sources <= {"'self'", "'none'", "'unsafe-inline'", "'strict-dynamic'", "blob:", "data:"}
    assert {"default-src", "connect-src", "img-src", "font-src", "script-src"} <= set(policy)
    assert settings["BABEL_DEFAULT_LOCALE"] == "nl"


def test_reasons_are_called_on_the_dashboard_what_the_report_calls_them(assets: Assets):
    (closing,) = [dataset for dataset in assets.datasets if dataset.name == "afsluiting"]
    for code, words in {**REASONS, **STATES}.items():
        assert f"when '{code}' then '{words}'" in closing.content["sql"]


def test_every_dashboard_is_an_exposure_of_what_it_reads(assets: Assets):
    said = {
        exposure["label"]: exposure for exposure in yaml.safe_load(EXPOSURES.read_text(encoding="utf-8"))["exposures"]
    }
    assert set(said) == TITLES
    for dashboard in assets.dashboards:
        expected = sorted(f"ref('{table.split('.')[1]}')" for table in assets.tables_of(dashboard))
        assert sorted(said[dashboard.title]["depends_on"]) == expected, f"{EXPOSURES.name}: {dashboard.title}"


def test_superset_is_locked_with_hashes_and_without_addresses():
    lock = (PROJECT_ROOT / "bi" / "requirements.lock").read_text(encoding="utf-8")
    pins = [line for line in lock.splitlines() if line and not line[0].isspace() and not line.startswith("#")]
    assert len(pins) > 100
    assert all(line.endswith("\\") for line in pins)
    assert "apache-superset==6.1.0 \\" in pins
    assert "://" not in lock
