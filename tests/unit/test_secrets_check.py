"""A platform with a secret that is absent, a default, short or double does not start; the refusal shows no value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docker.new_secrets import new_files
from include.local.airflow import LocalAirflow
from include.local.instance import Instance
from include.local.lifecycle import refuse_unready
from include.local.secrets_check import NEEDED, SecretRefused, refuse_weak_secrets


def good() -> dict[str, str]:
    """What `docker/new_secrets.py` makes for the services and for `prepare`."""
    files = new_files(["zorgplus"])
    lines = files["platform.env"].splitlines() + files["prepare.env"].splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_what_the_platform_makes_itself_is_good(tmp_path: Path) -> None:
    refuse_weak_secrets(good())
    instance = Instance(tmp_path / "home")
    instance.create()
    refuse_weak_secrets(LocalAirflow(instance).environment() | {"VS_RIS_BY": "files"})


@pytest.mark.parametrize("name", NEEDED)
def test_an_absent_secret_is_named(name: str) -> None:
    for absent in ({}, {name: ""}):
        environment = {key: value for key, value in good().items() if key != name} | absent
        with pytest.raises(SecretRefused, match=f"{name} is not set"):
            refuse_weak_secrets(environment)


@pytest.mark.parametrize("name", ["VS_PASSWORD_BI_READER", "VS_BSN_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"])
@pytest.mark.parametrize("value", ["postgres", "change-me-change-me-change", "aaaa", "vul-hier-een-geheim-in"])
def test_a_default_is_refused_without_being_shown(name: str, value: str) -> None:
    with pytest.raises(SecretRefused, match=name) as refused:
        refuse_weak_secrets(good() | {name: value})
    assert value not in str(refused.value)


def test_a_secret_used_twice_is_refused() -> None:
    environment = good()
    environment["VS_ID_KEY"] = environment["VS_BSN_KEY"]
    with pytest.raises(SecretRefused, match="VS_ID_KEY is the same as VS_BSN_KEY") as refused:
        refuse_weak_secrets(environment)
    assert environment["VS_ID_KEY"] not in str(refused.value)


@pytest.mark.parametrize("connection", ["", "{}", json.dumps({"host": "https://ris.example"}), "https://ris.example"])
def test_a_ris_without_a_token_is_refused_unless_it_is_reached_by_files(connection: str) -> None:
    environment = good() | {"AIRFLOW_CONN_RIS": connection}
    with pytest.raises(SecretRefused, match="AIRFLOW_CONN_RIS holds no token"):
        refuse_weak_secrets(environment)
    refuse_weak_secrets(environment | {"VS_RIS_BY": "files"})


def test_a_real_platform_of_vs_up_wants_a_ris_and_the_sandbox_nothing(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "home")
    instance.create()
    instance.choose({}, sandbox=False)
    with pytest.raises(SecretRefused, match="AIRFLOW_CONN_RIS holds no token"):
        refuse_unready(instance)
    instance.choose({"VS_RIS_BY": "files"}, sandbox=False)
    refuse_unready(instance)
    instance.choose({"VS_RIS_BY": ""}, sandbox=True)
    refuse_unready(instance)
