"""An instance of the platform: free ports, own secrets, remembered choices."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from include.local.instance import PORTS, SECRETS, Instance
from include.settings import Role, Settings


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(tmp_path / "home")
    made.create()
    return made


def test_ports_are_free_and_differ(instance: Instance):
    ports = [instance.port(name) for name in PORTS]
    assert len(set(ports)) == len(PORTS)
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_two_instances_share_nothing(instance: Instance, tmp_path: Path):
    other = Instance(tmp_path / "other")
    other.create()
    assert not {instance.secret(name) for name in SECRETS} & {other.secret(name) for name in SECRETS}
    assert not {instance.secret(role.value) for role in Role} & {other.secret(role.value) for role in Role}
    assert not {instance.home, *instance.home.iterdir()} & {other.home, *other.home.iterdir()}


def test_creating_again_keeps_ports_and_secrets(instance: Instance):
    before = instance.state_file.read_text(encoding="utf-8")
    Instance(instance.home).create()
    assert instance.state_file.read_text(encoding="utf-8") == before


def test_an_instance_of_an_older_version_gets_what_it_lacks_and_keeps_the_rest(instance: Instance):
    now = json.loads(instance.state_file.read_text(encoding="utf-8"))
    older = {
        part: {name: value for name, value in values.items() if not name.startswith("superset")}
        for part, values in now.items()
    }
    instance.state_file.write_text(json.dumps(older), encoding="utf-8")
    again = Instance(instance.home)
    assert again.secret("bsn_key") == older["secrets"]["bsn_key"]
    again.create()
    assert again.port("superset") not in older["ports"].values()
    assert len(again.secret("superset_key")) > 40
    kept = json.loads(instance.state_file.read_text(encoding="utf-8"))
    assert {part: {name: kept[part][name] for name in older[part]} for part in older} == older


def test_secrets_are_for_the_owner_only(instance: Instance):
    instance.choose({"AIRFLOW_CONN_RIS": "secret"}, sandbox=True)
    for name in ("instance.json", "choices.json"):
        assert stat.S_IMODE(os.stat(instance.home / name).st_mode) == 0o600
    assert not list(instance.home.glob("*.tmp"))


def test_choices_are_remembered_until_chosen_otherwise(instance: Instance):
    instance.choose({"VS_RIS_BY": "files", "VS_HOME": "/elsewhere", "HOME": "/root"}, sandbox=True)
    again = Instance(instance.home)
    again.choose({}, sandbox=None)
    assert again.has_sandbox
    assert again.platform_environment()["VS_RIS_BY"] == "files"
    assert again.platform_environment()["VS_HOME"] == str(instance.home)
    again.choose({"VS_RIS_BY": ""}, sandbox=False)
    assert not again.has_sandbox
    assert again.platform_environment()["VS_RIS_BY"] == "api"


def test_schedules_are_on_without_the_sandbox_and_off_with_it(instance: Instance):
    assert Settings(instance.platform_environment()).schedules_on
    instance.choose({}, sandbox=True)
    assert not Settings(instance.platform_environment()).schedules_on


def test_a_ris_of_ones_own_replaces_the_sandboxs(instance: Instance):
    assert json.loads(instance.platform_environment()["AIRFLOW_CONN_RIS"])["host"] == instance.ris_url
    own = json.dumps({"conn_type": "http", "host": "https://ris.example/ris/v1", "password": "token"})
    instance.choose({"AIRFLOW_CONN_RIS": own}, sandbox=None)
    assert instance.platform_environment()["AIRFLOW_CONN_RIS"] == own


def test_the_sandbox_knows_no_way_into_the_warehouse(instance: Instance):
    instance.choose({"VS_SANDBOX_SEED": "7"}, sandbox=True)
    environment = instance.sandbox_environment()
    assert environment["VS_SANDBOX_SEED"] == "7"
    known = {instance.secret(name) for name in SECRETS if name != "ris_token"} | {
        instance.secret(r.value) for r in Role
    }
    assert not known & set(environment.values())
    assert not [name for name in environment if "PASSWORD" in name or "WAREHOUSE" in name]
