"""A backup restored into an empty server gives the same platform: rows, fingerprints, roles, ids and files."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from include.local.backup import BackupFailed, BackupSummary, back_up, restore
from include.local.instance import Instance
from include.local.lifecycle import load_environment
from include.local.postgres import EmbeddedPostgres, ExternalPostgres, new_password
from include.local.prepare import SUPERSET_DATABASE, SUPERSET_OWNER, prepare_superset
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.dbt import build_stage
from include.warehouse.fingerprints import month_fingerprint
from tests.dbt.landed import Signal, land

MAY = Month(2024, 5)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A platform with one closed month."""
    instance = Instance(tmp_path_factory.mktemp("platform") / "home")
    with pytest.MonkeyPatch.context() as patch:
        instance.create()
        instance.start_warehouse()
        for name, value in instance.platform_environment().items():
            patch.setenv(name, value)
        land(MAY, [Signal("s1", "Jansen"), Signal("s2", "Bakker", house_number=2, phone="+31612345678")])
        for stage in ("foundation", "matched", "enriched", "categorised", "closure", "marts"):
            build_stage(stage, None if stage == "foundation" else MAY)
        with psycopg.connect(Settings(instance.platform_environment()).dsn(Role.EXPORTER)) as connection:
            connection.execute(
                "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened,"
                " cases_closed, cases_open, cases_excluded, arrears_closed_eur, content_hash)"
                " values ('2024-05', 1, 'b', 'x', 2, 0, 2, 0, 0, %s)",
                (month_fingerprint(MAY),),
            )
        prepare_superset(instance.postgres.superuser_dsn, instance.secret("superset_database"))
        with psycopg.connect(superset_dsn(instance)) as connection:
            connection.execute("create table dashboards as select 1 as id, 'Maandoverzicht' as dashboard_title")
        inbox = instance.home / "exchange" / "inbox" / "woonbedrijf"
        inbox.mkdir(parents=True)
        (inbox / "woonbedrijf_202406.csv").write_bytes(b"not yet taken in")
        yield instance
        instance.postgres.stop()


@pytest.fixture(scope="module")
def backup(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> BackupSummary:
    return back_up(instance, tmp_path_factory.mktemp("kept") / "backup", lambda line: None)


def superset_dsn(instance: Instance) -> str:
    server = instance.postgres
    secret = instance.secret("superset_database")
    return f"postgresql://{SUPERSET_OWNER}:{secret}@{server.host}:{server.port}/{SUPERSET_DATABASE}"


def contents(instance: Instance) -> dict[str, str]:
    """Every table of ours and a hash over its rows."""
    with psycopg.connect(f"{instance.postgres.superuser_dsn}/vroegsignalering") as connection:
        tables = connection.execute(
            "select schemaname || '.' || tablename from pg_tables"
            " where schemaname in ('landing', 'ops', 'staging', 'intermediate', 'outbound', 'marts')"
        ).fetchall()
        return {
            table: connection.execute(
                f"select count(*) || md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} as t"
            ).fetchone()[0]
            for (table,) in tables
        }


def test_a_backup_is_readable_by_its_owner_only(backup: BackupSummary):
    assert backup.folder.stat().st_mode & 0o077 == 0
    names = {path.name for path in backup.folder.iterdir()}
    dumps = {"warehouse.dump", "airflow.dump", "superset.dump", "roles.sql"}
    assert names >= dumps | {"exchange.tar.gz", "instance.json", "manifest.json"}
    assert "PASSWORD" not in (backup.folder / "roles.sql").read_text()
    assert list(backup.months) == ["2024-05"]


@pytest.fixture(params=["its own server", "a server somebody else runs"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """Where a restore goes to: nothing said, or the DSN of an empty server whose owner has a name of its own."""
    if request.param == "its own server":
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path / "managed"
    server = EmbeddedPostgres(home / "data", home / "logs" / "postgres.log", port, new_password())
    server.start()
    try:
        password = new_password() + "/@:%"
        with psycopg.connect(f"{server.superuser_dsn}/postgres", autocommit=True) as connection:
            connection.execute(f"create role beheerder superuser login password '{password}'")
        yield f"postgresql://beheerder:{quote(password, safe='')}@127.0.0.1:{port}"
    finally:
        server.stop()


def test_a_restore_gives_the_same_platform(
    instance: Instance, backup: BackupSummary, elsewhere: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if elsewhere:
        monkeypatch.setenv("VS_POSTGRES_DSN", elsewhere)
    before = contents(instance)
    assert before["landing.signals"].startswith("2")
    copy = Instance(tmp_path / "home")
    try:
        restored = restore(copy, backup.folder, lambda line: None)
        assert restored.months == backup.months
        assert contents(copy) == before
        copy = Instance(tmp_path / "home")
        assert copy.postgres.port != instance.postgres.port, "two platforms side by side"
        assert isinstance(copy.postgres, ExternalPostgres) == bool(elsewhere)
        assert not [name for name in copy.platform_environment() if "DSN" in name], "services know the server's owner"
        with psycopg.connect(superset_dsn(copy)) as connection:
            assert connection.execute("select * from dashboards").fetchall() == [(1, "Maandoverzicht")]
        assert copy.secret("id_key") == instance.secret("id_key")
        waiting = copy.home / "exchange" / "inbox" / "woonbedrijf" / "woonbedrijf_202406.csv"
        assert waiting.read_bytes() == b"not yet taken in"
        # every role works, and may what it might: dbt builds, and BI still sees marts only
        load_environment(copy)
        build_stage("foundation")
        assert month_fingerprint(MAY) == backup.months["2024-05"]
        with psycopg.connect(Settings(copy.platform_environment()).dsn(Role.BI_READER)) as connection:
            assert connection.execute("select count(*) from marts.fct_signals").fetchone() == (2,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select * from landing.signals")
        if elsewhere:
            with pytest.raises(BackupFailed, match="already has vroegsignalering, airflow, superset"):
                restore(Instance(tmp_path / "another"), backup.folder, lambda line: None)
    finally:
        copy.postgres.stop()
        load_environment(instance)


def test_nothing_is_written_over(instance: Instance, backup: BackupSummary):
    with pytest.raises(BackupFailed, match="is not empty"):
        back_up(instance, backup.folder, lambda line: None)
    with pytest.raises(BackupFailed, match="There is a platform in"):
        restore(instance, backup.folder, lambda line: None)


def test_a_damaged_backup_is_refused(backup: BackupSummary, tmp_path: Path):
    damaged = tmp_path / "backup"
    damaged.mkdir()
    for path in backup.folder.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    with open(damaged / "warehouse.dump", "ab") as file:
        file.write(b"x")
    with pytest.raises(BackupFailed, match=r"warehouse\.dump .* Nothing was restored"):
        restore(Instance(tmp_path / "home"), damaged, lambda line: None)
    assert not (tmp_path / "home").exists()
    with pytest.raises(BackupFailed, match="holds no backup"):
        restore(Instance(tmp_path / "home"), tmp_path / "nowhere", lambda line: None)
    manifest = json.loads((backup.folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in backup.folder.iterdir()} - {"manifest.json"}


def test_a_restored_backup_does_not_bring_back_what_was_forgotten_since(
    instance: Instance, backup: BackupSummary, tmp_path: Path
):
    """Somebody is erased and a month purged after the backup was made: the register makes its restore forget both."""
    from include.warehouse.erasure import erase_person
    from include.warehouse.forgetting import purge
    from include.warehouse.retention import MonthIsPurged

    load_environment(instance)
    with psycopg.connect(Settings(instance.platform_environment()).dsn(Role.ADMIN)) as connection:
        [(jansen,)] = connection.execute(
            "select person_id from intermediate.int_signals__matched where surname = 'Jansen'"
        ).fetchall()
    kpis = kpis_of(instance)
    erase_person([jansen], decided_by="privacy officer", reason="verzoek")
    land(MAY.plus(-2), [Signal("s0", "Visser", house_number=3)])
    purge(Month(2024, 9))
    register = instance.home / "rights" / "forgotten.json"
    assert surnames(instance) == {"Bakker"}
    copy = Instance(tmp_path / "home")
    said: list[str] = []
    try:
        restore(copy, backup.folder, said.append, forgotten=register)
        copy = Instance(tmp_path / "home")
        assert surnames(copy) == {"Bakker"}, "the backup held Jansen"
        assert any("expired by 2024-09" in line for line in said)
        load_environment(copy)
        assert month_fingerprint(MAY) == backup.months["2024-05"]
        assert kpis_of(copy) == kpis
        assert (copy.home / "rights" / "forgotten.json").read_text() == register.read_text()
        with pytest.raises(MonthIsPurged):
            build_stage("matched", Month(2024, 3))
    finally:
        copy.postgres.stop()
        load_environment(instance)


def surnames(instance: Instance) -> set[str]:
    with psycopg.connect(Settings(instance.platform_environment()).dsn(Role.ADMIN)) as connection:
        found = connection.execute(
            "select surname from landing.signals union select surname from intermediate.int_signals__matched"
            " union select surname from intermediate.int_signals__keyed"
            " union select surname from outbound.out_certin_call_list"
        ).fetchall()
    return {surname for (surname,) in found if not surname.startswith("erased_")}


def kpis_of(instance: Instance) -> list[tuple]:
    with psycopg.connect(Settings(instance.platform_environment()).dsn(Role.BI_READER)) as connection:
        return connection.execute("select * from marts.kpi_monthly order by 1, 2, 3").fetchall()
