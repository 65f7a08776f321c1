"""Every service of docker-compose.yml as a plain process: it starts, its own health check passes, and it does its work.

There is no Docker engine here. What an engine does is done by hand (tests/composed.py): secrets as files, the order of
depends_on, the health checks; the commands and the environment are those of the file.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import psycopg
import pytest

from include.exchange.places import place_of
from include.local.airflow import CELERY
from include.local.superset import ENVIRONMENT_FOLDER
from include.months import Month
from include.settings import PROJECT_ROOT
from tests.composed import Composed, composed, wait_for

pytestmark = [pytest.mark.scale_out, pytest.mark.airflow, pytest.mark.timeout(3000)]

MONTH = Month(2024, 4)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Both profiles, with tasks through Celery: every service of the file."""
    home = tmp_path_factory.mktemp("compose") / "state"
    with composed(home, VS_EXECUTOR=CELERY, VS_SCHEDULES="off", VS_POLL_SECONDS="1") as services:
        yield services


@pytest.fixture(scope="module")
def door(services: Composed) -> Iterator[httpx.Client]:
    """Airflow's API, with nobody logged in."""
    url = f"http://127.0.0.1:{services.ports['api-server']}"
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def api(services: Composed, door: httpx.Client) -> Iterator[httpx.Client]:
    """Airflow's API as the first administrator, with the password of the secret file."""
    password = json.loads(services.secrets["airflow_users.json"])["admin"]
    answer = door.post("/auth/token", json={"username": "admin", "password": password})
    token = answer.json()["access_token"]
    with httpx.Client(
        base_url=door.base_url, trust_env=False, timeout=60, headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield client


def is_here(service: str) -> bool:
    """Superset is installed only by `make bi`, and this target makes it; without it the rest is still worth a look."""
    return ENVIRONMENT_FOLDER.exists() or not service.startswith("superset")


def test_every_service_starts_and_its_health_check_passes(services: Composed):
    for name, service in services.services.items():
        if service.get("profiles") == ["backup"]:
            continue  # a command, not a service: the last test runs it
        if not is_here(name):
            print(f"{name}: LEFT OUT, Superset is not installed (make bi)")
            continue
        services.start(name)
        if "healthcheck" in service:
            print(f"{name}: healthy after {services.wait_until_healthy(name):.0f} s")
        else:
            assert services.running[name].wait(600) == 0, services.last_words(name)
            print(f"{name}: did its work and ended")


def test_a_health_check_can_fail(services: Composed):
    """One that always passed would prove nothing: where nothing runs, nothing is healthy."""
    elsewhere = Composed(services.home.parent / "elsewhere", services.variables)
    for name, service in services.services.items():
        if "healthcheck" in service and is_here(name):
            assert not elsewhere.is_healthy(name), f"the health check of {name} passes where nothing runs"


def test_nobody_comes_in_without_his_password(door: httpx.Client):
    assert door.get("/api/v2/dags").status_code == 401
    assert door.post("/auth/token", json={"username": "admin", "password": "admin"}).status_code == 401


def test_no_secret_stands_in_an_argument(services: Composed):
    words = {
        line.partition("=")[2]
        for name, text in services.secrets.items()
        if name.endswith(".env")
        for line in text.splitlines()
    }
    arguments = [Path(f"/proc/{one.pid}/cmdline") for one in services.running.values()]
    shown = "".join(path.read_text(encoding="utf-8", errors="replace") for path in arguments if path.exists())
    assert len(words) > 10
    assert "include.exchange.sftp_server" in shown
    assert not [word for word in words if word in shown]


def test_a_partner_delivers_by_sftp_and_a_worker_takes_it_in(services: Composed, api: httpx.Client):
    wait_for("the DAGs", lambda: api.get("/api/v2/dags/ingest_partner_files").status_code == 200)
    assert api.get("/api/v2/importErrors").json()["import_errors"] == []
    subprocess.run(
        services.command("sandbox", "python", "-m", "include.sandbox", "deliver", str(MONTH)),
        env=services.environment("sandbox"), cwd=PROJECT_ROOT, check=True, capture_output=True,
    )  # fmt: skip
    delivered = [path for path in (services.home / "exchange" / "inbox").rglob("*") if path.is_file()]
    (theirs,) = [path for path in delivered if path.parent.name == "zorgplus"]
    content = theirs.read_bytes()
    theirs.unlink()
    as_partner(services, "zorgplus").pipe_file(f"/{theirs.name}", content)

    runs = "/api/v2/dags/ingest_partner_files/dagRuns"
    run = api.post(runs, json={"logical_date": None, "partition_key": str(MONTH)}).json()["dag_run_id"]
    wait_for("the deliveries taken in", lambda: api.get(f"{runs}/{run}").json()["state"] in ("success", "failed"))
    assert api.get(f"{runs}/{run}").json()["state"] == "success", services.last_words("worker")
    assert "succeeded" in services.log("worker").read_text(encoding="utf-8", errors="replace")
    password = services.secret("VS_PASSWORD_LOADER")
    with psycopg.connect(
        f"postgresql://vs_loader:{password}@127.0.0.1:{services.ports['postgres']}/vroegsignalering"
    ) as connection:
        loaded = connection.execute("select count(*) from ops.deliveries where status = 'loaded'").fetchone()
    assert loaded == (len(delivered),)
    assert len(as_partner(services, "zorgplus").ls("/receipts", detail=False)) == 1, "it sees its receipt"


def test_a_backup_restored_into_an_empty_server_gives_the_same_hashes(services: Composed, tmp_path: Path):
    """After all of the above: the databases of the warehouse, Airflow and Superset, and every file in and out.

    The services that write are stopped before, so that what is counted is what was backed up.
    """
    services.stop(but="postgres")
    kept = tmp_path / "backups" / "before-the-upgrade"
    said = services.run("backup", "make", str(kept))
    assert "closed months: none" in said
    before, files = contents(services), services.files("exchange")
    assert len(before) > 100
    assert files
    with composed(tmp_path / "another" / "state") as another:
        another.secrets = services.secrets
        another.start("postgres")
        another.wait_until_healthy("postgres")
        another.run("backup", "restore", str(kept))
        assert contents(another) == before
        assert another.files("exchange") == files
        again = another.run("backup", "restore", str(kept), exit_code=1)
        assert "a restore never writes over one" in again
        another.start("prepare")
        assert another.running["prepare"].wait(600) == 0, another.last_words("prepare")
        assert "(0 migrations applied now)" in another.log("prepare").read_text(encoding="utf-8")


def contents(services: Composed) -> dict[str, str]:
    """Every table of the three databases, and a hash over its rows."""
    owner = f"postgresql://postgres:{services.secrets['postgres_password']}@127.0.0.1:{services.ports['postgres']}"
    found = {}
    for database in ("vroegsignalering", "airflow", *(["superset"] if ENVIRONMENT_FOLDER.exists() else [])):
        with psycopg.connect(f"{owner}/{database}") as connection:
            tables = connection.execute(
                "select format('%I.%I', schemaname, tablename) from pg_tables"
                " where schemaname not in ('pg_catalog', 'information_schema')"
            ).fetchall()
            for (table,) in tables:
                query = f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} as t"
                found[f"{database}:{table}"] = connection.execute(query).fetchone()[0]
    return found


def as_partner(services: Composed, name: str) -> Any:
    """The exchange as a partner's program sees it, over SFTP with the password of the secret file."""
    password = json.loads(services.secrets["sftp_users.json"])[name]["password"]
    key = asyncssh.read_private_key(str(services.home / "sftp" / "host_key"))
    extra = {"host_key": key.export_public_key().decode().strip()}
    connection = json.dumps({"login": name, "password": password, "extra": extra})
    return place_of(f"sftp://127.0.0.1:{services.ports['sftp']}/", connection).filesystem
