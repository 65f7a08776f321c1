"""docker-compose.yml is the same platform as `vs up`: same services and settings, no secret, nothing exposed.

That its commands start and their health checks pass is in tests/scale_out/test_compose_as_processes.py.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest
import yaml

from docker.new_secrets import _partners, new_files
from include.bi.assets import MASKED_PASSWORD
from include.exchange.sftp_server import Accounts
from include.local.airflow import CELERY, COMPONENTS, LOGIN, SCHEDULER_SETTINGS, SETTINGS, WORKER, LocalAirflow
from include.local.instance import Instance
from include.local.postgres import SERVER_SETTINGS
from include.local.processes import INHERITED, inherited_environment
from include.local.superset import ENVIRONMENT_FOLDER, LocalSuperset
from include.settings import PROJECT_ROOT
from tests.composed import interpolated

COMPOSE = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = interpolated(COMPOSE["services"], {})
ONLY_WHEN_ASKED = {"sandbox": "sandbox", "worker": "celery", "redis": "celery", "backup": "backup"}
OF_SUPERSET = ("superset-prepare", "superset")

# What only a local platform sets, and why.
LOCAL_ONLY = {
    "PYTHONPATH": "the image sets it (docker/Dockerfile); the scheduler's own is checked below",
    "PYTHONUNBUFFERED": "the image sets it (docker/Dockerfile)",
    "NO_PROXY": "keeps a proxy of the machine away from 127.0.0.1; containers reach each other by name",
    "no_proxy": "as NO_PROXY",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "here people log in with the FAB auth manager",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "as the users: `prepare` makes the first",
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
    for name in SERVICES[service].get("secrets", []):
        if name.endswith(".env"):
            found |= secret_file(COMPOSE["secrets"][name]["file"])
    return found | SERVICES[service].get("environment", {})


def test_every_service_of_the_local_platform_is_there():
    assert set(SERVICES) == {"postgres", "prepare", *COMPONENTS, "sftp", *ONLY_WHEN_ASKED, *OF_SUPERSET}
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {name: [profile] for name, profile in ONLY_WHEN_ASKED.items()}
    assert SERVICES["worker"]["command"] == ["python", "-m", "airflow", *WORKER]
    for name, arguments in COMPONENTS.items():
        assert SERVICES[name]["command"] == ["python", "-m", "airflow", *arguments]


@pytest.mark.parametrize("component", [*COMPONENTS, "worker"])
def test_what_the_local_platform_sets_is_set_here(component: str, instance: Instance):
    local = set(LocalAirflow(instance).environment()) - set(INHERITED)
    assert len(local) > 60
    missing = local - set(environment_of(component)) - set(LOCAL_ONLY)
    assert not missing, f"{component} in docker-compose.yml lacks {sorted(missing)}"


@pytest.mark.parametrize("component", [*COMPONENTS, "worker", "prepare"])
def test_settings_have_the_same_values(component: str):
    here = SERVICES[component]["environment"]
    assert {name: here.get(name) for name in SETTINGS} == SETTINGS


def test_what_is_local_only_is_still_set_locally(instance: Instance):
    local = LocalAirflow(instance).environment()
    assert set(LOCAL_ONLY) <= set(local)
    inherited = set(LOCAL_ONLY) - {name for name in LOCAL_ONLY if name.startswith("AIRFLOW")} - {"PYTHONPATH"}
    assert inherited <= set(inherited_environment())


def test_people_log_in_and_not_with_the_simple_manager():
    for component in (*COMPONENTS, "worker", "prepare"):
        here = SERVICES[component]["environment"]
        assert here["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager") != LOGIN["AIRFLOW__CORE__AUTH_MANAGER"]
        assert not [name for name in here if "SIMPLE_AUTH" in name]
    assert "airflow_users" in SERVICES["prepare"]["secrets"]


def test_celery_is_a_choice_and_its_workers_preload_as_locally(instance: Instance):
    assert SERVICES["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    chosen = interpolated(COMPOSE["services"], {"VS_EXECUTOR": CELERY, "VS_CELERY_WORKERS": "3"})
    assert {chosen[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] for name in (*COMPONENTS, "worker")} == {CELERY}
    assert chosen["worker"]["deploy"]["replicas"] == "3"
    assert SERVICES["worker"]["environment"]["PYTHONPATH"] == SERVICES["scheduler"]["environment"]["PYTHONPATH"]
    assert environment_of("worker")["AIRFLOW__CELERY__BROKER_URL"].startswith("redis://:")

    instance.choose({"AIRFLOW__CORE__EXECUTOR": CELERY, "VS_CELERY_WORKERS": "2"}, None)
    here = LocalAirflow(instance)
    assert [name for name in here.components if name not in COMPONENTS] == ["worker-1", "worker-2"]
    assert here.environment()["AIRFLOW__CORE__EXECUTOR"] == CELERY
    preloading = {service.name: service.environment["PYTHONPATH"] for service in here.services()}
    assert preloading["worker-1"] == preloading["worker-2"] == preloading["scheduler"] != preloading["triggerer"]


def test_superset_starts_as_locally_and_knows_no_way_to_the_numbers(instance: Instance):
    local = LocalSuperset(instance)
    running = local._service()
    assert SERVICES["superset"]["command"][0] == "gunicorn"
    here = [word.replace("0.0.0.0:8088", "here") for word in SERVICES["superset"]["command"][1:]]
    assert here == [word.replace(local.url.removeprefix("http://"), "here") for word in running.command[1:]]
    assert running.command[0].startswith(str(ENVIRONMENT_FOLDER))
    wanted = set(running.environment) - set(INHERITED) - set(LOCAL_ONLY)
    assert wanted <= set(environment_of("superset"))
    assert not [name for name in environment_of("superset") if "MARTS" in name or "WAREHOUSE" in name]
    assert set(local._secrets_of_assets()) <= set(environment_of("superset-prepare"))
    assert f":{MASKED_PASSWORD}@" in environment_of("superset-prepare")["VS_SUPERSET_MARTS"]


def test_the_sandbox_gets_what_it_gets_locally_and_no_password(instance: Instance):
    here = environment_of("sandbox")
    assert set(instance.sandbox_environment()) <= set(here)
    secret = {*secret_file("platform.env").values(), *secret_file("prepare.env").values()}
    assert not [name for name in here if "PASSWORD" in name or "WAREHOUSE" in name]
    assert SERVICES["sandbox"]["secrets"] == ["sandbox.env"]
    assert not secret & set(here.values()) - {secret_file("sandbox.env")["VS_RIS_TOKEN"]}


def test_only_who_prepares_and_backs_up_knows_the_owner_of_the_server():
    knowing = {name for name in SERVICES if "VS_POSTGRES_PASSWORD" in environment_of(name)}
    assert knowing == {"prepare", "backup"}
    assert {name for name in SERVICES if "postgres_password" in SERVICES[name].get("secrets", [])} == {"postgres"}


def test_the_scheduler_preloads_as_locally():
    paths = SERVICES["scheduler"]["environment"]["PYTHONPATH"].split(":")
    assert paths[1].endswith(str(SCHEDULER_SETTINGS.relative_to(PROJECT_ROOT)))


def test_the_server_has_the_same_settings():
    given = dict(argument.removeprefix("-c").split("=", 1) for argument in SERVICES["postgres"]["command"][1:])
    assert given == {name: value for name, value in SERVER_SETTINGS.items() if name not in LOCAL_SERVER_ONLY}


def test_no_secret_and_no_default_secret_stands_in_it():
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD(?!S?_FILE)|SECRET|TOKEN|FERNET|_KEY$|AIRFLOW_CONN|SQL_ALCHEMY", variable):
                pytest.fail(f"{name} sets {variable}={value!r}: secrets come from docker/secrets")
        assert "env_file" not in service, f"{name}: what env_file sets is shown by docker inspect; use secrets"
        unread = [secret for secret in service.get("secrets", []) if secret not in COMPOSE["secrets"]]
        assert not unread, f"{name} names secrets that are no file: {unread}"
    files = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert files == set(new_files(["zorgplus"])), "what docker/new_secrets.py writes and what is used differ"
    assert "secrets/" in (PROJECT_ROOT / "docker" / ".gitignore").read_text(encoding="utf-8").split()


def test_only_sftp_is_reachable_from_outside():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            host = port.rpartition(":")[0].rpartition(":")[0]
            outside = not host or not ipaddress.ip_address(host).is_loopback
            assert not outside or name == "sftp", f"{name} publishes {port} on every interface"
    assert SERVICES["api-server"]["ports"] == ["127.0.0.1:8080:8080"]
    assert SERVICES["superset"]["ports"] == ["127.0.0.1:8088:8088"]
    assert "ports" not in SERVICES["redis"]


def test_everything_is_pinned_checked_and_without_root():
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+\.\d+$|^postgres:\d+\.\d+-", service["image"]), f"{name}: pin a version"
        assert service["cap_drop"] == ["ALL"], f"{name} keeps capabilities"
        assert service["security_opt"] == ["no-new-privileges:true"], f"{name} may gain privileges"
        assert int(service["user"].split(":")[0]) > 0, f"{name} runs as root"
        assert service.get("restart") == "no" or service["healthcheck"]["test"], f"{name} has no health check"
    for name in ("Dockerfile", "Dockerfile.superset"):
        dockerfile = (PROJECT_ROOT / "docker" / name).read_text(encoding="utf-8")
        assert re.search(r"^FROM python:3\.\d+\.\d+-", dockerfile, re.MULTILINE)
        assert "--require-hashes" in dockerfile or "include/local/install.py" in dockerfile


def test_new_secrets_differ_and_name_every_partner():
    first, second = new_files(_partners()), new_files(_partners())
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)
    assert {"woonbedrijf", "zorgplus", "stadsenergie", "drinkwater_zh"} <= set(_partners())
    (password,) = _after("requirepass ", first["redis.conf"])
    assert f"redis://:{password}@redis:6379/0" in first["platform.env"]


def test_every_partner_has_an_account_that_the_sftp_service_takes(tmp_path: Path):
    (tmp_path / "users.json").write_text(new_files(_partners())["sftp_users.json"], encoding="utf-8")
    accounts = Accounts(tmp_path / "users.json", tmp_path / "exchange")
    assert accounts.checked() == _partners()
    for partner in _partners():
        account = accounts.account(partner)
        assert account.folder_of("/woonbedrijf_202406.csv").place == tmp_path / "exchange" / "inbox" / partner
        assert account.folder_of("/receipts/a.json").rights == "read"


def _after(word: str, text: str) -> list[str]:
    return [line.removeprefix(word) for line in text.splitlines() if line.startswith(word)]
