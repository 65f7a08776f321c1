"""Bring Superset to what this folder says: metadata tables, roles, users, dashboards. Runs in `.venv-bi`.

`vs bi up` and `vs bi import` start it; its last line is JSON: what it did, or why it refused. It ends with a code that
is not zero when anything is wrong. Superset's own `import-directory` does neither: it answers 0 to broken YAML and
leaves what was deleted from the folder.

Rule: what is imported from here is marked as managed outside Superset, so nobody edits it on the screen, and what
carries that mark and is not in the folder any more is removed. What somebody draws himself carries no mark and stays.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ASSETS = HERE / "assets"
DATABASE_FILE = "databases/marts.yaml"
KINDS = ("dashboards", "charts", "datasets", "databases")


class AssetsRefused(Exception):
    """Superset does not take a file; the message says which, and what of it."""


def main(assets: Path) -> int:
    """Everything in one process: starting Superset's code takes longer than all it does here."""
    from superset.app import create_app

    app = create_app()
    with app.app_context():
        try:
            _bring_metadata_up_to_date()
            said = _apply(assets)
        except AssetsRefused as refusal:
            print(json.dumps({"refused": str(refusal)}))
            return 1
    print(json.dumps(said))
    return 0


def _bring_metadata_up_to_date() -> None:
    from flask_migrate import upgrade

    upgrade()


def _apply(assets: Path) -> dict[str, int]:
    from superset import appbuilder, db, security_manager
    from superset.utils.core import override_user

    rules = yaml.safe_load((HERE / "roles.yaml").read_text(encoding="utf-8"))
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    for name in rules["roles"]:
        security_manager.add_role(name)
    for user in rules["users"]:
        _make_user(user)
    with override_user(security_manager.find_user(rules["users"][0]["name"])):
        _import(assets)
        removed = dict(_remove_what_left(assets))
    for name, rule in rules["roles"].items():
        _grant_exactly(name, rule["permissions"], rule["reads_datasets"])
    db.session.commit()
    return {kind: len(list((assets / kind).rglob("*.yaml"))) for kind in KINDS} | {
        f"{kind}_removed": removed.get(kind, 0) for kind in KINDS
    }


def _make_user(user: Mapping[str, str]) -> None:
    """The user with his role and his password of this platform; both are put right when they exist."""
    from superset import security_manager

    role, password = (
        security_manager.find_role(user["role"]),
        os.environ[f"VS_SUPERSET_PASSWORD_{user['name'].upper()}"],
    )
    known = security_manager.find_user(user["name"])
    if known:
        known.roles = [role]
        security_manager.reset_password(known.id, password)
        return
    added = security_manager.add_user(
        user["name"], user["first_name"], user["last_name"], user["email"], role, password=password
    )
    if not added:
        raise AssetsRefused(f"Superset could not make the user {user['name']} of bi/roles.yaml")


def _import(assets: Path) -> None:
    from marshmallow import ValidationError
    from superset.commands.exceptions import CommandInvalidError, ImportFailedError
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    contents = {name: text for name, text in _contents(assets)}
    try:
        ImportAssetsCommand(contents, passwords={DATABASE_FILE: os.environ["VS_SUPERSET_MARTS_PASSWORD"]}).run()
    except (CommandInvalidError, ImportFailedError) as refusal:
        invalid = refusal if isinstance(refusal, CommandInvalidError) else refusal.__cause__
        if isinstance(invalid, CommandInvalidError):
            raise AssetsRefused(f"Superset does not take {invalid.normalized_messages()}") from refusal
        raise AssetsRefused(f"Superset does not take the folder: {refusal.__cause__ or refusal}") from refusal
    except ValidationError as refusal:
        raise AssetsRefused(f"Superset does not take {refusal.normalized_messages()}") from refusal


def _contents(assets: Path) -> Iterator[tuple[str, str]]:
    """Every file as Superset wants it, marked as ours; the address of the marts is this platform's."""
    for path in sorted(assets.rglob("*.yaml")):
        name = path.relative_to(assets).as_posix()
        try:
            content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as broken:
            raise AssetsRefused(f"{name} is no YAML: {broken}") from broken
        if name != "metadata.yaml":
            content["is_managed_externally"] = True
        if name == DATABASE_FILE:
            content["sqlalchemy_uri"] = os.environ["VS_SUPERSET_MARTS"]
        yield name, yaml.safe_dump(content, allow_unicode=True)


def _remove_what_left(assets: Path) -> Iterator[tuple[str, int]]:
    """Dashboards first: what they hang on goes after them."""
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    for kind, model in zip(KINDS, (Dashboard, Slice, SqlaTable, Database), strict=True):
        kept = {
            str(yaml.safe_load(path.read_text(encoding="utf-8"))["uuid"]) for path in (assets / kind).rglob("*.yaml")
        }
        left = [
            one
            for one in db.session.query(model).filter(model.is_managed_externally.is_(True))
            if str(one.uuid) not in kept
        ]
        for one in left:
            db.session.delete(one)
        db.session.flush()
        yield kind, len(left)


def _grant_exactly(role_name: str, permissions: list[list[str]], reads_datasets: bool) -> None:
    """The permissions of the file, and reading our datasets; whatever else the role had is taken away."""
    from superset import db, security_manager
    from superset.connectors.sqla.models import SqlaTable

    wanted = []
    for permission, view in permissions:
        found = security_manager.find_permission_view_menu(permission, view)
        if found is None:
            raise AssetsRefused(f"bi/roles.yaml, {role_name}: Superset knows no permission [{permission}, {view}]")
        wanted.append(found)
    for dataset in (
        db.session.query(SqlaTable).filter(SqlaTable.is_managed_externally.is_(True)) if reads_datasets else ()
    ):
        wanted.append(security_manager.add_permission_view_menu("datasource_access", dataset.perm))
    security_manager.find_role(role_name).permissions = wanted


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS))
