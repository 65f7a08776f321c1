"""The month-free part of the warehouse (code lists, dated rules, staging views), built at `vs up` when it changed.

Skipped when the dbt project and the migrations are, byte for byte, those of the last time: starting dbt costs seconds.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from include.local.instance import Instance
from include.settings import DBT_PROJECT_FOLDER
from include.warehouse.migrate import MIGRATIONS

NO_SOURCE = frozenset({"target", "logs", "dbt_packages", "__pycache__"})


def build_foundation(instance: Instance) -> bool:
    """Build it with the instance's environment loaded; True when it was built, False when nothing had changed."""
    stamp = instance.home / "dbt" / "foundation.sha256"
    content = content_of(DBT_PROJECT_FOLDER, MIGRATIONS)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == content:
        return False
    from include.warehouse.dbt import build_stage

    build_stage("foundation")
    stamp.write_text(content, encoding="utf-8")
    return True


def content_of(*folders: Path) -> str:
    """One hash over every file's place and bytes, and over the version of dbt."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside = path.relative_to(folder)
            if not NO_SOURCE & set(inside.parts):
                digest.update(f"\0{inside}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
