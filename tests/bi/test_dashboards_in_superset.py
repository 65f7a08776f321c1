"""The dashboards in a real Superset and a real browser: they show what SQL says, to whom they may.

Two months of a small synthetic municipality are run, `vs bi up` does what `make bi` does, and Chromium looks. Every
dashboard is photographed into build/dashboards; docs/how-to/dashboards holds such pictures. `make test-bi` runs this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import yaml
from playwright.sync_api import Browser, sync_playwright

from include.bi.assets import ASSETS_FOLDER, Assets
from include.local.instance import Instance
from include.local.processes import Processes
from include.local.superset import ADMIN, VIEWER, LocalSuperset, SupersetFailed
from include.months import Month
from include.reporting.paper import chromium, flags
from include.settings import PROJECT_ROOT, Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests import month_in_process
from tests.bi.screen import HEIGHT, WIDTH, Screen

pytestmark = [pytest.mark.bi, pytest.mark.timeout(1200)]

MONTHS = (Month(2024, 4), Month(2024, 5))
NEWEST, BEFORE = str(MONTHS[-1]), str(MONTHS[0])
HOUSEHOLDS = 6000
EVERYBODY, SECTOR = "Alle sectoren", "Huur"
PICTURES = PROJECT_ROOT / "build" / "dashboards"
ASSETS = Assets.read()
DASHBOARDS = {dashboard.slug: dashboard for dashboard in ASSETS.dashboards}

OF_CASE = f"(%(sector)s = '{EVERYBODY}' or %(sector)s = any(string_to_array(cases.sectors, '|')))"
CASES = f"from marts.fct_cases as cases where signal_month = %(month)s and {OF_CASE}"
OUTCOMES = (
    "from marts.fct_outcomes as outcomes inner join marts.fct_cases as cases using (signal_month, case_id)"
    f" where signal_month = %(month)s and not outcomes.is_withdrawn and {OF_CASE}"
)
ATTEMPTS = (
    "from marts.fct_contact_attempts as attempts inner join marts.fct_cases as cases using (signal_month, case_id)"
    f" where signal_month = %(month)s and attempts.direction = 'outbound' and not attempts.is_withdrawn and {OF_CASE}"
)
CLOSURES = (
    "from marts.fct_month_end_closures as closures inner join marts.fct_cases as cases using (signal_month, case_id)"
    f" where signal_month = %(month)s and {OF_CASE}"
)
DELIVERED = (
    "from marts.kpi_partner_quality_monthly where signal_month = %(month)s"
    f" and (%(sector)s = '{EVERYBODY}' or sector = %(sector)s)"
)
COST = "from marts.kpi_cost_monthly where signal_month = %(month)s"
#: what each number on a dashboard must be, counted in another way than the dashboard does
NUMBERS: Mapping[str, Mapping[str, str]] = {
    "maandoverzicht": {
        "Signalen": f"select sum(rows_delivered) {DELIVERED}",
        "Meldingen": f"select count(*) {CASES}",
        "Belrecords": f"select sum(call_records_delivered) {CASES}",
        "Gesproken": f"select count(*) {OUTCOMES} and outcomes.is_spoken",
        "Hulp geaccepteerd": f"select count(*) {OUTCOMES} and outcomes.is_help_accepted",
    },
    "belkwaliteit": {
        "Belpogingen": f"select count(*) {ATTEMPTS}",
        "Pogingen per record": f"select avg(outcomes.outbound_attempts) {OUTCOMES}",
        "Buiten de beltijden": f"select avg(attempts.is_outside_hours::integer) {ATTEMPTS}",
        "Niet bereikt, < 7 pogingen": (
            f"select avg((outcomes.outbound_attempts < 7)::integer) {OUTCOMES}"
            " and outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number"
        ),
    },
    "partners": {
        "Aangeleverd": f"select sum(rows_delivered) {DELIVERED}",
        "Geladen": f"select sum(rows_loaded) {DELIVERED}",
        "In quarantaine": f"select sum(rows_quarantined) {DELIVERED}",
        "Dubbel": f"select sum(rows_duplicate) {DELIVERED}",
    },
    "kosten": {
        "Kosten van de maand": f"select cost_eur {COST}",
        "Kosten tot nu toe": f"select cost_to_date_eur {COST}",
        "Budget gebruikt": f"select cost_to_date_eur / budget_eur {COST}",
        "Per geaccepteerde hulp": f"select cost_eur / nullif(records_help_accepted, 0) {COST}",
    },
    "afsluiting": {
        "Geopend": f"select count(*) {CASES}",
        "Afgesloten": f"select count(*) {CLOSURES} and closures.state = 'closed'",
        "Open": f"select count(*) {CLOSURES} and closures.state = 'open'",
        "Uitgezonderd": f"select count(*) {CLOSURES} and closures.state = 'excluded'",
        "Niet verantwoord": (
            "select cases_unaccounted from marts.rpt_closure_accounting where signal_month = %(month)s"
        ),
    },
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A platform with two closed months and Superset on it, as a person starts it; nothing of it is left behind."""
    instance = Instance(tmp_path_factory.mktemp("bi") / "home")
    instance.create()
    instance.start_warehouse()
    exchange = instance.home / "exchange"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in instance.platform_environment().items():
                patch.setenv(name, value)
            build_stage("foundation")
            patch.setenv("VS_SANDBOX_HOUSEHOLDS", str(HOUSEHOLDS))
            port, token = instance.port("ris"), instance.secret("ris_token")
            told = {"VS_SANDBOX_HOUSEHOLDS": HOUSEHOLDS}
            with month_in_process.sandbox(exchange, instance.home / "sandbox", port=port, token=token, **told):
                for month in MONTHS:
                    month_in_process.partners_deliver(month, exchange)
                    month_in_process.run_month(month)
            said = vs(instance, "bi", "up")
            assert f"Dashboards: {len(ASSETS.dashboards)} with {len(ASSETS.charts)} charts" in said
            assert LocalSuperset(instance).url in said
            yield instance
        assert "superset" in vs(instance, "down")
        assert Processes(instance.home).marked() == []
        assert not LocalSuperset(instance).is_healthy()
    finally:
        LocalSuperset(instance).stop()
        instance.postgres.stop()


@pytest.fixture(scope="module")
def superset(platform: Instance) -> LocalSuperset:
    return LocalSuperset(platform)


def vs(instance: Instance, *arguments: str, exit_code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "include.local.command", *arguments], env=os.environ | {"VS_HOME": str(instance.home)},
        cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = chromium()
    assert found, "These tests need Chromium (Debian: apt install chromium), or its place in VS_CHROMIUM."
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=flags())
        yield running
        running.close()


@pytest.fixture(scope="module")
def window(browser: Browser, superset: LocalSuperset) -> Iterator[Callable[[], Screen]]:
    """A new window of somebody nobody knows yet."""
    contexts = []

    def opened() -> Screen:
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, locale="nl-NL", device_scale_factor=0.75
        )
        contexts.append(context)
        return Screen(context.new_page(), superset.url)

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def viewer(window: Callable[[], Screen], superset: LocalSuperset) -> Screen:
    screen = window()
    screen.log_in(VIEWER, superset.password(VIEWER))
    return screen


@pytest.fixture(scope="module")
def admin(window: Callable[[], Screen], superset: LocalSuperset) -> Screen:
    screen = window()
    screen.log_in(ADMIN, superset.password(ADMIN))
    return screen


def counted(statement: str, month: str, sector: str) -> Decimal | int:
    with connect(Role.BI_READER) as connection:
        ((number,),) = connection.execute(statement, {"month": month, "sector": sector}).fetchall()
    return number


def in_metadata(superset: LocalSuperset, statement: str) -> list[str]:
    with psycopg.connect(f"{superset.instance.postgres.superuser_dsn}/superset") as connection:
        return [value for (value,) in connection.execute(statement).fetchall()]


def differences(screen: Screen, slug: str, month: str, sector: str) -> list[str]:
    """The numbers on the screen that are not what SQL says."""
    found = []
    for title, statement in NUMBERS[slug].items():
        shown, expected = screen.number(title), counted(statement, month, sector)
        if not shown.says(expected):
            found.append(f"{slug}, {month}, {sector}, {title}: the screen says {shown.text}, SQL says {expected}")
    return found


def test_every_big_number_is_compared():
    for slug, dashboard in DASHBOARDS.items():
        big = {
            chart.content["slice_name"]
            for chart in ASSETS.charts_of(dashboard)
            if chart.content["viz_type"] == "big_number_total"
        }
        assert big == set(NUMBERS[slug])


@pytest.mark.parametrize("slug", sorted(DASHBOARDS))
def test_a_dashboard_shows_what_sql_says_for_a_month_and_a_sector(viewer: Screen, slug: str):
    charts = ASSETS.charts_of(DASHBOARDS[slug])
    viewer.open(slug, len(charts))
    assert viewer.chosen("maand") == NEWEST, "it opens with the newest month"
    assert differences(viewer, slug, NEWEST, EVERYBODY) == []
    viewer.photograph(PICTURES / f"{slug}.png")

    sector = EVERYBODY
    if slug != "kosten":  # costs are made per record and cannot be split
        viewer.choose("sector", SECTOR, len(charts))
        sector = SECTOR
        assert differences(viewer, slug, NEWEST, SECTOR) == []
        whole, part = (counted(next(iter(NUMBERS[slug].values())), NEWEST, of) for of in (EVERYBODY, SECTOR))
        assert 0 < part < whole, "the sector is a part, so the filter did something"
    viewer.choose("maand", BEFORE, len(charts))
    assert differences(viewer, slug, BEFORE, sector) == []


@pytest.mark.parametrize("slug", sorted(DASHBOARDS))
def test_every_chart_is_drawn_and_none_is_empty(viewer: Screen, slug: str):
    charts = ASSETS.charts_of(DASHBOARDS[slug])
    viewer.open(slug, len(charts))
    for chart in charts:
        box = viewer.chart(chart.content["slice_name"])
        kind = {"table": "tbody tr", "pivot_table_v2": "tbody tr", "big_number_total": ".header-line"}
        assert box.locator(kind.get(chart.content["viz_type"], "canvas")).count() > 0, chart.place
        assert box.locator(".ant-alert, .ant-empty").count() == 0, f"{chart.place}: {box.inner_text()}"
    assert viewer.failed == []


def test_the_shares_stand_there_with_their_numerator_and_denominator(viewer: Screen):
    viewer.open("maandoverzicht", len(ASSETS.charts_of(DASHBOARDS["maandoverzicht"])))
    with connect(Role.BI_READER) as connection:
        expected = connection.execute(
            "select definitions.label_nl, shares.numerator, shares.denominator, shares.value"
            " from marts.kpi_intervals_monthly as shares inner join marts.dim_kpi as definitions using (kpi)"
            " where shares.signal_month = %s and shares.segment = 'all' order by definitions.kpi_order",
            (NEWEST,),
        ).fetchall()
    shown = {row[0]: row[1:4] for row in viewer.rows("Aandelen met teller en noemer")}
    assert len(expected) > 10
    for label, numerator, denominator, value in expected:
        assert shown[label][:2] == [dutch(numerator), dutch(denominator)]
        assert abs(Decimal(shown[label][2].rstrip("%").replace(",", ".")) - value * 100) <= Decimal("0.051")


def test_the_accounting_adds_up_on_the_screen(viewer: Screen):
    viewer.open("afsluiting", len(ASSETS.charts_of(DASHBOARDS["afsluiting"])))
    rows = viewer.rows("Verantwoording per maand (alle sectoren)")
    assert [row[0] for row in rows] == [NEWEST, BEFORE]
    for row in rows:
        opened, closed, still_open, excluded, unaccounted = (int(cell.replace(".", "")) for cell in row[1:6])
        assert opened == closed + still_open + excluded > 0
        assert unaccounted == 0


def test_it_speaks_dutch(viewer: Screen):
    viewer.open("kosten", len(ASSETS.charts_of(DASHBOARDS["kosten"])))
    assert viewer.page.locator("text=Instellingen").count() == 1
    assert re.fullmatch(r"€ \d\.\d{3}", viewer.number("Kosten tot nu toe").text)
    assert re.fullmatch(r"\d+,\d%", viewer.number("Budget gebruikt").text)
    assert viewer.page.locator("[data-test='filter-bar__apply-button']").inner_text() == "Toepassen"


def test_the_page_reaches_no_other_host(viewer: Screen):
    """Superset's telemetry pixel is in its code: the browser refuses it, by the policy of bi/superset_config.py."""
    assert viewer.left, "the pixel is asked for; when that ends, this test may be simpler"
    for request in viewer.left:
        assert request.failure == "csp", f"{request.url} was not refused: {request.failure}"


def test_a_viewer_is_refused_sql_lab_and_everything_that_changes(viewer: Screen):
    answer = viewer.page.goto(f"{viewer.url}/sqllab/")
    assert answer is not None
    assert answer.status == 403
    viewer.page.goto(f"{viewer.url}/superset/welcome/")
    viewer.page.wait_for_selector("text=Maandoverzicht")
    assert viewer.page.locator("text=SQL").count() == 0
    for address, content in {
        "/api/v1/sqllab/execute/": {"database_id": 1, "sql": "select 1"},
        "/api/v1/chart/": {"slice_name": "x", "viz_type": "table", "datasource_id": 1, "datasource_type": "table"},
        "/api/v1/dashboard/": {"dashboard_title": "x"},
        "/api/v1/dataset/": {"database": 1, "schema": "marts", "table_name": "fct_cases"},
    }.items():
        assert viewer.post(address, content).status == 403, address
    for address in ("/api/v1/database/", "/api/v1/security/users/", "/api/v1/query/", "/api/v1/saved_query/"):
        assert viewer.page.request.get(f"{viewer.url}{address}").status == 403, address


def test_somebody_without_an_account_sees_nothing(window: Callable[[], Screen]):
    stranger = window()
    stranger.page.goto(f"{stranger.url}/superset/dashboard/maandoverzicht/")
    stranger.page.wait_for_selector("[data-test=login-button]")
    assert "/login/" in stranger.page.url
    assert stranger.page.locator("[data-test=chart-grid-component]").count() == 0
    for address in ("/api/v1/dashboard/maandoverzicht", "/api/v1/chart/", "/api/v1/dataset/", "/api/v1/database/"):
        answer = stranger.page.request.get(f"{stranger.url}{address}")
        assert answer.status in (401, 403, 404) or answer.json()["count"] == 0, address


def test_whoever_may_use_sql_lab_still_reads_marts_only(admin: Screen):
    (database,) = admin.page.request.get(f"{admin.url}/api/v1/database/").json()["ids"]
    for statement, allowed in {
        "select count(*) from marts.fct_cases": True,
        "select * from landing.raw_blocks": False,
        "select * from ops.person_keys": False,
        "create table marts.mine (x integer)": False,
    }.items():
        answer = admin.post("/api/v1/sqllab/execute/", {"database_id": database, "sql": statement, "runAsync": False})
        assert answer.ok == allowed, f"{statement}: {answer.text()[:300]}"


def test_what_left_the_folder_leaves_superset_and_a_draft_stays(superset: LocalSuperset, admin: Screen, tmp_path: Path):
    assert admin.post("/api/v1/dashboard/", {"dashboard_title": "Eigen kladje"}).ok
    everything = "select dashboard_title from dashboards order by 1"
    titles = sorted(["Eigen kladje", *(dashboard.title for dashboard in ASSETS.dashboards)])
    assert in_metadata(superset, everything) == titles

    folder = shutil.copytree(ASSETS_FOLDER, tmp_path / "assets")
    fewer = LocalSuperset(superset.instance, assets=folder)
    (folder / "dashboards" / "kosten.yaml").unlink()
    for path in (folder / "charts").glob("kosten_*.yaml"):
        path.unlink()
    (folder / "datasets" / "marts" / "kosten.yaml").unlink()
    said = fewer.apply_assets()
    charts = len([chart for chart in ASSETS.charts if chart.place.startswith("charts/kosten_")])
    assert (said["dashboards_removed"], said["charts_removed"], said["datasets_removed"]) == (1, charts, 1)
    assert in_metadata(superset, everything) == [title for title in titles if title != "Kosten"]

    for _ in range(2):  # back again, and the same again changes nothing
        said = superset.apply_assets()
        assert not [name for name, count in said.items() if name.endswith("_removed") and count]
        assert in_metadata(superset, everything) == titles
        assert in_metadata(superset, "select count(*) from slices") == [len(ASSETS.charts)]


@pytest.mark.parametrize(
    ("place", "text", "told"),
    [
        ("charts/maand_signalen.yaml", "slice_name: [", "charts/maand_signalen.yaml is no YAML"),
        ("charts/maand_signalen.yaml", None, "viz_type"),
    ],
)
def test_a_broken_file_fails_the_import_and_changes_nothing(
    superset: LocalSuperset, tmp_path: Path, place: str, text: str | None, told: str
):
    before = in_metadata(superset, "select slice_name || coalesce(params, '') from slices order by 1")
    folder = shutil.copytree(ASSETS_FOLDER, tmp_path / "assets")
    if text is None:
        content = yaml.safe_load((folder / place).read_text(encoding="utf-8"))
        content.pop("viz_type")
        text = yaml.safe_dump(content)
    (folder / place).write_text(text, encoding="utf-8")
    with pytest.raises(SupersetFailed, match=told):
        LocalSuperset(superset.instance, assets=folder).apply_assets()
    assert in_metadata(superset, "select slice_name || coalesce(params, '') from slices order by 1") == before


def test_it_is_in_the_status_and_its_passwords_are_the_owners_only(platform: Instance, superset: LocalSuperset):
    said = vs(platform, "status", exit_code=3)  # Airflow is down here
    assert superset.url in said
    assert superset.passwords_file.stat().st_mode & 0o077 == 0
    passwords = json.loads(superset.passwords_file.read_text(encoding="utf-8"))
    assert set(passwords) == {ADMIN, VIEWER}
    for log in (platform.home / "logs").glob("superset*.log"):
        text = log.read_text(encoding="utf-8", errors="replace")
        secrets = [*passwords.values(), platform.secret("superset_key"), platform.secret("bi_reader")]
        assert not [secret for secret in secrets if secret in text], log.name


def dutch(number: Decimal) -> str:
    return f"{number:,.0f}".replace(",", ".")
