"""What docker-compose.yml chooses of Airflow loads with the locked packages: executors and auth manager.

Providers and what they stand on are released apart: with Celery 5.7 the provider of its time did not load at all.
"""

from __future__ import annotations

from importlib import import_module

import pytest
import yaml
from airflow.executors.executor_loader import ExecutorLoader

from include.local.airflow import CELERY, LOGIN, SETTINGS
from include.settings import PROJECT_ROOT

COMPOSE = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [SETTINGS["AIRFLOW__CORE__EXECUTOR"], CELERY])
def test_the_executor_loads(name: str):
    assert _loaded(ExecutorLoader.executors[name]).__name__ == name


def test_the_auth_managers_load():
    chosen = COMPOSE["services"]["api-server"]["environment"]["AIRFLOW__CORE__AUTH_MANAGER"]
    for path in (chosen, LOGIN["AIRFLOW__CORE__AUTH_MANAGER"]):
        assert callable(_loaded(path).get_url_login)


def _loaded(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
