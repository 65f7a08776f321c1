"""Make the secrets of a deployment, once: `python3 docker/new_secrets.py`, then fill in what it names, then compose up.

Every service gets only the files it needs: the sandbox knows no password of the warehouse, and only `postgres` and
`prepare` know the server's owner. Existing files are never overwritten. Standard library only.

The folder is its owner's alone; the files in it may be read, because a container reads them as its own user.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"
READABLE_IN_ITS_FOLDER = 0o644
# What Superset shows for a password; the real one is given beside it. The same as MASKED_PASSWORD of
# include/bi/assets.py, which a script of the standard library only cannot import; tests/unit/test_compose.py holds the
# two equal.
MASKED_PASSWORD = "X" * 10
ROLES = ("ADMIN", "LOADER", "TRANSFORMER", "EXPORTER", "BI_READER")


def new_files(partners: list[str]) -> dict[str, str]:
    """The secret files by name, freshly generated."""
    owner, airflow, ris, superset, broker = (secrets.token_urlsafe(32) for _ in range(5))
    connection = {"conn_type": "http", "host": "http://sandbox:8100/ris/v1", "password": ris}
    platform = {f"VS_PASSWORD_{role}": secrets.token_urlsafe(32) for role in ROLES} | {
        "VS_BSN_KEY": secrets.token_urlsafe(64),
        "VS_ID_KEY": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(64),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow:{airflow}@postgres:5432/airflow",
        # the sandbox's RIS; for the real one put its URL and token here, or set VS_RIS_BY=files in docker-compose.yml
        "AIRFLOW_CONN_RIS": json.dumps(connection, separators=(",", ":")),
        # used with the profile `celery` only
        "AIRFLOW__CELERY__BROKER_URL": f"redis://:{broker}@redis:6379/0",
    }
    marts = platform["VS_PASSWORD_BI_READER"]
    return {
        "platform.env": _lines(platform),
        "postgres_password": owner,
        "prepare.env": _lines(
            {
                "VS_POSTGRES_PASSWORD": owner,
                "VS_AIRFLOW_DATABASE_PASSWORD": airflow,
                "VS_SUPERSET_DATABASE_PASSWORD": superset,
            }
        ),
        "redis.conf": f'bind 0.0.0.0\nport 6379\nrequirepass {broker}\nsave ""\n',
        "superset.env": _lines(
            {
                "VS_SUPERSET_KEY": secrets.token_urlsafe(64),
                "VS_SUPERSET_METADATA": f"postgresql+psycopg2://superset:{superset}@postgres:5432/superset",
            }
        ),
        # what importing the dashboards needs besides: the way to the marts, and the passwords of the first accounts
        "superset_prepare.env": _lines(
            {
                "VS_SUPERSET_MARTS": f"postgresql+psycopg2://bi_reader:{MASKED_PASSWORD}@postgres:5432/vroegsignalering",
                "VS_SUPERSET_MARTS_PASSWORD": marts,
                "VS_SUPERSET_PASSWORD_BEHEER": secrets.token_urlsafe(16),
                "VS_SUPERSET_PASSWORD_KIJKER": secrets.token_urlsafe(16),
            }
        ),
        "sandbox.env": _lines({"VS_RIS_TOKEN": ris}),
        "airflow_users.json": json.dumps({"admin": secrets.token_urlsafe(16)}),
        "sftp_users.json": json.dumps(_sftp(partners), indent=2),
    }


def _sftp(partners: list[str]) -> dict[str, object]:
    """One SFTP account a partner: it puts files into its own inbox and reads its own receipts and feedback."""
    return {
        name: {
            "password": secrets.token_urlsafe(24),
            "folders": {"/": [f"inbox/{name}", "deliver"], "/receipts": [f"outbox/partners/{name}", "read"]},
        }
        for name in partners
    }


def _partners() -> list[str]:
    """Who delivers: the inbound contracts of partners (they name a sector; the others do not)."""
    contracts = FOLDER.parent.parent / "include" / "contracts" / "inbound"
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(contracts.glob("*.odcs.yaml"))}
    return [path.name.partition("-v")[0] for path, text in texts.items() if "property: sector" in text]


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def main() -> int:
    """Write what is not there yet."""
    if FOLDER.exists():
        print(f"{FOLDER} exists; delete it only together with the volumes it belongs to.")
        return 1
    FOLDER.mkdir(mode=0o700)
    for name, text in new_files(_partners()).items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        (FOLDER / name).chmod(READABLE_IN_ITS_FOLDER)
    print(f"Secrets are in {FOLDER}. Airflow's user is admin, its password stands in airflow_users.json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
