"""docker-compose.yml is the same platform as `vs up`: same services and settings, no secret, nothing exposed."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest
import yaml

from docker.new_secrets import _partners, new_files
from include.local.airflow import COMPONENTS, SCHEDULER_SETTINGS, SETTINGS, LocalAirflow
from include.local.instance import Instance
from include.local.postgres import SERVER_SETTINGS
from include.local.processes import INHERITED, inherited_environment
from include.settings import PROJECT_ROOT

COMPOSE = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]

# What only a local platform sets, and why.
LOCAL_ONLY = {
    "PYTHONPATH": "the image sets it (docker/Dockerfile); the scheduler's own is checked below",
    "PYTHONUNBUFFERED": "the image sets it (docker/Dockerfile)",
    "NO_PROXY": "keeps a proxy of the machine away from 127.0.0.1; containers reach each other by name",
    "no_proxy": "as NO_PROXY",
}
LOCAL_SERVER_ONLY = {"listen_addresses": "the container listens on its own network; published on 127.0.0.1"}


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(tmp_path / "home")
    made.create()
    return made


def secret_file(name: str) -> dict[str, str]:
    text = new_files(["zorgplus"])[Path(name).name]
    return dict(line.split("=", 1) for line in text.splitlines())


def environment_of(service: str) -> dict[str, str]:
    """Everything a service finds in its environment, secrets included."""
    found: dict[str, str] = {}
    for name in SERVICES[service].get("env_file", []):
        found |= secret_file(name)
    return found | SERVICES[service]["environment"]


def test_every_service_of_the_local_platform_is_there():
    assert set(SERVICES) == {"postgres", "prepare", *COMPONENTS, "sftp", "sandbox"}
    assert SERVICES["sandbox"]["profiles"] == ["sandbox"]
    for name, arguments in COMPONENTS.items():
        assert SERVICES[name]["command"] == ["python", "-m", "airflow", *arguments]


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_the_local_platform_sets_is_set_here(component: str, instance: Instance):
    local = set(LocalAirflow(instance).environment()) - set(INHERITED)
    assert len(local) > 60
    missing = local - set(environment_of(component)) - set(LOCAL_ONLY)
    assert not missing, f"{component} in docker-compose.yml lacks {sorted(missing)}"


@pytest.mark.parametrize("component", [*COMPONENTS, "prepare"])
def test_settings_have_the_same_values(component: str):
    here = SERVICES[component]["environment"]
    assert {name: here.get(name) for name in SETTINGS} == SETTINGS


def test_what_is_local_only_is_still_set_locally(instance: Instance):
    local = LocalAirflow(instance).environment()
    assert set(LOCAL_ONLY) <= set(local)
    assert set(LOCAL_ONLY) - {"PYTHONPATH"} <= set(inherited_environment())


def test_the_sandbox_gets_what_it_gets_locally_and_no_password(instance: Instance):
    here = environment_of("sandbox")
    assert set(instance.sandbox_environment()) <= set(here)
    secret = {*secret_file("platform.env").values(), *secret_file("prepare.env").values()}
    assert not [name for name in here if "PASSWORD" in name or "WAREHOUSE" in name]
    assert SERVICES["sandbox"]["env_file"] == ["docker/secrets/sandbox.env"]
    assert secret


def test_only_the_preparing_service_knows_the_owner_of_the_server():
    knowing = {name for name in SERVICES if "VS_POSTGRES_PASSWORD" in environment_of(name)}
    assert knowing == {"prepare"}


def test_the_scheduler_preloads_as_locally():
    paths = SERVICES["scheduler"]["environment"]["PYTHONPATH"].split(":")
    assert paths[1].endswith(str(SCHEDULER_SETTINGS.relative_to(PROJECT_ROOT)))


def test_the_server_has_the_same_settings():
    given = dict(argument.removeprefix("-c").split("=", 1) for argument in SERVICES["postgres"]["command"][1:])
    assert given == {name: value for name, value in SERVER_SETTINGS.items() if name not in LOCAL_SERVER_ONLY}


def test_no_secret_and_no_default_secret_stands_in_it():
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD(?!S_FILE)|SECRET|TOKEN|FERNET|_KEY$|AIRFLOW_CONN|SQL_ALCHEMY", variable):
                pytest.fail(f"{name} sets {variable}={value!r}: secrets come from docker/secrets")
    assert "secrets/" in (PROJECT_ROOT / "docker" / ".gitignore").read_text(encoding="utf-8").split()


def test_only_sftp_is_reachable_from_outside():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            host = port.rpartition(":")[0].rpartition(":")[0]
            outside = not host or not ipaddress.ip_address(host).is_loopback
            assert not outside or name == "sftp", f"{name} publishes {port} on every interface"
    assert SERVICES["api-server"]["ports"] == ["127.0.0.1:8080:8080"]


def test_everything_is_pinned_checked_and_without_root():
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), f"{name}: pin a version"
        assert int(service["user"].split(":")[0]) > 0, f"{name} runs as root"
        assert name == "prepare" or service["healthcheck"]["test"], f"{name} has no health check"
    dockerfile = (PROJECT_ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:3\.\d+\.\d+-", dockerfile, re.MULTILINE)


def test_new_secrets_differ_and_name_every_partner():
    first, second = new_files(_partners()), new_files(_partners())
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)
    assert {"woonbedrijf", "zorgplus", "stadsenergie", "drinkwater_zh"} <= set(_partners())
    assert all(f'"username": "{partner}"' in first["sftp_users.json"] for partner in _partners())
