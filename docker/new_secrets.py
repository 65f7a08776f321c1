"""Make the secrets of a deployment, once: `python3 docker/new_secrets.py`, then fill in what it names, then compose up.

Every service gets only the file it needs: the sandbox knows no password of the warehouse, and only `postgres` and
`prepare` know the server's owner. Existing files are never overwritten. Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"
ROLES = ("ADMIN", "LOADER", "TRANSFORMER", "EXPORTER", "BI_READER")


def new_files(partners: list[str]) -> dict[str, str]:
    """The secret files by name, freshly generated."""
    owner, airflow, ris = (secrets.token_urlsafe(32) for _ in range(3))
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
    }
    return {
        "platform.env": _lines(platform),
        "postgres.env": _lines({"POSTGRES_PASSWORD": owner}),
        "prepare.env": _lines({"VS_POSTGRES_PASSWORD": owner, "VS_AIRFLOW_DATABASE_PASSWORD": airflow}),
        "sandbox.env": _lines({"VS_RIS_TOKEN": ris}),
        "airflow_users.json": json.dumps({"admin": secrets.token_urlsafe(16)}),
        "sftp_users.json": json.dumps(_sftp(partners), indent=2),
    }


def _sftp(partners: list[str]) -> dict[str, object]:
    """One SFTP user a partner: may put files into its own inbox and read its own receipts and feedback."""
    root = "/var/lib/vroegsignalering/exchange"
    folders = [{"name": f"receipts_{name}", "mapped_path": f"{root}/outbox/partners/{name}"} for name in partners]
    users = [
        {
            "username": name,
            "password": secrets.token_urlsafe(24),
            "status": 1,
            "home_dir": f"{root}/inbox/{name}",
            "permissions": {"/": ["list", "upload", "rename"], "/receipts": ["list", "download"]},
            "virtual_folders": [
                {"name": f"receipts_{name}", "virtual_path": "/receipts", "quota_size": -1, "quota_files": -1}
            ],
        }
        for name in partners
    ]
    return {"users": users, "folders": folders, "version": 16}


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
        (FOLDER / name).touch(mode=0o600)
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"Secrets are in {FOLDER}. Airflow's user is admin, its password stands in airflow_users.json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
