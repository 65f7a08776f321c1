"""A new key for BSNs takes over what is stored, without the BSNs, and the same persons are still recognised."""

from __future__ import annotations

import os

import psycopg
import pytest

from include.ingest.readers import bsn_key
from include.ingest.suppressions import subject_of_bsn
from include.local.instance import Instance
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.bsn_keys import BsnKeyUnknown
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from include.warehouse.migrate import migrate
from tests.dbt.landed import Signal, land

BSN, MAY, JUNE = "123456782", Month(2024, 5), Month(2024, 6)


def start(server: Instance, keys: str) -> None:
    """What `vs up` does with the warehouse, under these keys."""
    environment = dict(os.environ, VS_BSN_KEY=keys)
    with psycopg.connect(f"{server.postgres.superuser_dsn}/{environment['VS_WAREHOUSE_DATABASE']}") as connection:
        migrate(connection, Settings(environment))


def hashes() -> set[str]:
    with connect(Role.ADMIN) as connection:
        return {
            key
            for table in ("landing.signals", "intermediate.int_signals__keyed", "intermediate.int_signals__matched")
            for (key,) in connection.execute(f"select bsn_key from {table} where bsn_key is not null")
        }


def test_a_new_key_takes_over_and_recognises_who_it_knew(
    warehouse: object, server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = os.environ["VS_BSN_KEY"]
    land(MAY, [Signal("s1", "Jansen", bsn_key=bsn_key(BSN)), Signal("s2", "Erased", bsn_key="erased_0123456789abcdef")])
    build_stage("matched", MAY)
    before = hashes()
    (person,) = subject_of_bsn(BSN).person_ids

    start(server, f"{old}:the-second-key-of-this-test")
    monkeypatch.setenv("VS_BSN_KEY", f"{old}:the-second-key-of-this-test")
    after = hashes()
    assert after - {"erased_0123456789abcdef"} == {bsn_key(BSN)}
    assert bsn_key(BSN) not in before
    assert subject_of_bsn(BSN).person_ids == [person]
    # the next month, elsewhere and under another name: only the bsn says who it is
    land(JUNE, [Signal("s9", "Pietersen", house_number=9, bsn_key=bsn_key(BSN))])
    build_stage("matched", JUNE)
    with connect(Role.TRANSFORMER) as connection:
        moved = connection.execute("select earlier_person_id, tier from intermediate.int_person_moves").fetchall()
    assert [who for who, _ in moved] == [person]

    start(server, f"{old}:the-second-key-of-this-test")
    assert hashes() == after, "starting again changes nothing"
    with connect(Role.LOADER) as connection:
        assert connection.execute("select count(*) from ops.bsn_keys").fetchone() == (2,)
        assert old not in repr(connection.execute("select * from ops.bsn_keys").fetchall())


def test_other_keys_are_refused_and_change_nothing(warehouse: object, server: Instance) -> None:
    before = hashes()
    for keys in ("another key", f"another key:{os.environ['VS_BSN_KEY']}"):
        with pytest.raises(BsnKeyUnknown, match="does not begin with them"):
            start(server, keys)
    assert hashes() == before


def test_rotating_writes_new_secrets_behind_the_old(tmp_path) -> None:
    instance = Instance(tmp_path / "home")
    instance.create()
    before = {name: instance.secret(name) for name in ("bsn_key", "vs_loader", "airflow_jwt", "id_key")}
    assert instance.rotate("bsn") == ["bsn_key"]
    assert instance.secret("bsn_key").startswith(before["bsn_key"] + ":")
    instance.rotate("passwords")
    assert instance.secret("vs_loader") != before["vs_loader"]
    assert instance.secret("airflow_jwt") != before["airflow_jwt"]
    assert instance.secret("id_key") == before["id_key"], "ids never change"
    assert instance.state_file.stat().st_mode & 0o077 == 0
