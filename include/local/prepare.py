"""Bring the databases of a deployment up to date: `python -m include.local.prepare`, before Airflow starts.

docker-compose.yml runs it as its `prepare` service, with the password of the server's owner in VS_POSTGRES_PASSWORD
(and his name in VS_POSTGRES_OWNER), which only `backup` knows besides; `vs up` does the same for the embedded server.
Safe to run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from include.local.secrets_check import NEEDED, refuse_weak_secrets
from include.settings import Settings
from include.warehouse.migrate import migrate

AIRFLOW_DATABASE = "airflow"
AIRFLOW_OWNER = "airflow"
SUPERSET_DATABASE = "superset"
SUPERSET_OWNER = "superset"


def server_of(environment: Mapping[str, str]) -> str:
    """The libpq URL of the server's owner in a deployment, without a database."""
    host, port = environment["VS_WAREHOUSE_HOST"], environment["VS_WAREHOUSE_PORT"]
    password = quote(environment["VS_POSTGRES_PASSWORD"], safe="")
    owner = quote(environment.get("VS_POSTGRES_OWNER") or "postgres", safe="")
    return f"postgresql://{owner}:{password}@{host}:{port}"


def prepare_databases(server: str, settings: Settings, airflow_password: str) -> list[str]:
    """The warehouse with its roles and platform tables, and Airflow's empty database; returns the new migrations.

    `server` is the libpq URL of the server's owner, without a database.
    """
    warehouse = settings.environment["VS_WAREHOUSE_DATABASE"]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        _create_owner(connection, AIRFLOW_OWNER, airflow_password)
        create_database(connection, AIRFLOW_DATABASE, AIRFLOW_OWNER)
        create_database(connection, warehouse)
        _close_to_others(connection)
    with psycopg.connect(f"{server}/{warehouse}") as connection:
        return migrate(connection, settings)


def prepare_superset(server: str, password: str) -> None:
    """Superset's empty database with its owner: it keeps dashboards and users there, and no numbers."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        _create_owner(connection, SUPERSET_OWNER, password)
        create_database(connection, SUPERSET_DATABASE, SUPERSET_OWNER)


def _create_owner(connection: psycopg.Connection, role: str, password: str) -> None:
    exists = connection.execute("select from pg_roles where rolname = %s", (role,)).fetchone() is not None
    verb = sql.SQL("alter role" if exists else "create role")
    connection.execute(sql.SQL("{} {} login password {}").format(verb, sql.Identifier(role), sql.Literal(password)))


def create_database(connection: psycopg.Connection, name: str, owner: str | None = None) -> None:
    """Create `name` unless it exists; who may connect is granted by the migrations."""
    if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is None:
        whose = sql.SQL(" owner {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)) + whose)
    # Airflow has no business in the warehouse, nor the warehouse's roles in Airflow's metadata.
    connection.execute(sql.SQL("revoke connect on database {} from public").format(sql.Identifier(name)))


def _close_to_others(connection: psycopg.Connection) -> None:
    """A reader of numbers has no business in the server's own databases either; PostgreSQL opens them to everybody."""
    for name in ("postgres", "template1"):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            # a managed server keeps these databases to itself; they hold nothing of ours
            continue


def make_first_users(passwords_file: Path) -> list[str]:
    """Airflow's first users, each an administrator with the password of the secret file; returns who was new.

    Needs Airflow's metadata tables and its FAB auth manager. Who exists stays as he is: he may have changed his
    password, and whom people added with which role is theirs.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    made = []
    with get_application_builder() as builder:
        users = builder.sm
        for name, password in json.loads(passwords_file.read_text(encoding="utf-8")).items():
            if users.find_user(name) is None:
                if not users.add_user(name, name, "", f"{name}@localhost", users.find_role("Admin"), password):
                    raise RuntimeError(f"Airflow did not take the user {name!r}; its log above says why.")
                made.append(name)
    return made


def main() -> int:
    """Exchange folders, databases, code lists and staging views, Airflow's metadata tables and its first users."""
    from include.exchange.folders import Exchange
    from include.warehouse.dbt import build_stage

    Exchange.from_settings().lay_out()

    environment = os.environ
    refuse_weak_secrets(environment, (*NEEDED, "VS_POSTGRES_PASSWORD", "VS_AIRFLOW_DATABASE_PASSWORD"))
    server = server_of(environment)
    applied = prepare_databases(server, Settings.from_environment(), environment["VS_AIRFLOW_DATABASE_PASSWORD"])
    print(f"Platform tables are current ({len(applied)} migrations applied now)", flush=True)
    summary = build_stage("foundation")
    print(f"Code lists and staging views are current ({summary.models} built)", flush=True)
    if "VS_SUPERSET_DATABASE_PASSWORD" in environment:
        prepare_superset(server, environment["VS_SUPERSET_DATABASE_PASSWORD"])
        print("Superset's database is there", flush=True)
    code = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False).returncode
    if code == 0 and "VS_AIRFLOW_USERS_FILE" in environment:
        made = make_first_users(Path(environment["VS_AIRFLOW_USERS_FILE"]))
        print(f"Airflow's users are there ({len(made)} made now)", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
