"""A real platform does not start with a secret that is absent, a default, too short, or used twice.

Rule: what is looked at is every variable of a service that is a secret by its name, and what has to be there is listed.
A refusal names the variables and what is wrong with them, never a value. The sandbox is not asked: what it protects is
synthetic. `vs up` and docker-compose's `prepare` ask before anything starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from include.settings import Role

#: without these nothing of the platform works as promised
NEEDED = (
    *(role.password_variable for role in Role), "VS_BSN_KEY", "VS_ID_KEY", "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
)  # fmt: skip
_SECRET = re.compile(r"^VS_PASSWORD_|_PASSWORD$|_SECRET(?:_KEY)?$|_TOKEN$|FERNET_KEY$|^VS_(?:BSN|ID)_KEY$")
_DEFAULT = re.compile(
    r"(?:change|vul|replace|your|example|voorbeeld|default|dummy|test|todo)|"
    r"^(?:admin|airflow|postgres|password|wachtwoord|secret|geheim|superset|vroegsignalering|temporary_key)\d*$",
    re.IGNORECASE,
)
SHORTEST = 16
#: one password, known under two names
SAME_BY_DESIGN = {"VS_AIRFLOW_DATABASE_PASSWORD": ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",)}


class SecretRefused(RuntimeError):
    """The platform was not started; the message names the secrets, not what they are."""


def refuse_weak_secrets(environment: Mapping[str, str], needed: tuple[str, ...] = NEEDED) -> None:
    """Raise SecretRefused when a real platform may not start with these."""
    problems = [f"{name} {wrong}" for name, wrong in _problems(environment, needed)]
    if problems:
        raise SecretRefused(
            f"The platform was not started: {'; '.join(problems)}. `vs up` makes secrets itself in a new VS_HOME, and "
            "`python3 docker/new_secrets.py` for compose; set what is named to a long random value "
            "(docs/how-to/rotate-keys.md). For a trial with synthetic data: vs up --sandbox."
        )


def _problems(environment: Mapping[str, str], needed: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    secrets = dict(_secrets(environment))
    for name in needed:
        if not environment.get(name):
            yield name, "is not set"
    if environment.get("VS_RIS_BY", "api") == "api" and not secrets.get("AIRFLOW_CONN_RIS"):
        yield "AIRFLOW_CONN_RIS", "holds no token (set it to the RIS of the municipality, or VS_RIS_BY=files)"
    seen: dict[str, str] = {}
    for name, value in secrets.items():
        if not value:
            continue
        # a default is short, or a word and nothing else; a random value may hold any letters
        if len(value) < SHORTEST:
            yield name, f"is shorter than {SHORTEST} characters"
        elif _DEFAULT.search(value) and len(set(value)) < SHORTEST:
            yield name, "looks like a default"
        if value in seen and seen[value] not in SAME_BY_DESIGN.get(name, ()):
            yield name, f"is the same as {seen[value]}"
        seen.setdefault(value, name)


def _secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(environment.items()):
        if name == "AIRFLOW_CONN_RIS":
            yield name, _token(value)
        elif name == "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN":
            yield name, unquote(urlsplit(value).password or "")
        elif name == "VS_BSN_KEY":
            # the newest stands last
            yield name, value.rsplit(":", 1)[-1]
        elif _SECRET.search(name):
            yield name, value


def _token(connection: str) -> str:
    """The token in an Airflow connection, written as JSON or as a URL."""
    try:
        return str(json.loads(connection).get("password") or "")
    except (ValueError, AttributeError):
        return unquote(urlsplit(connection).password or "")
