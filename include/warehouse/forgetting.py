"""What was forgotten stays forgotten: after a restore, a replay or a rebuild the same is forgotten again.

Rule: what was erased for somebody (`ops.erased_rows`) and how far was purged are also written to a register beside the
database (`rights/forgotten.json` in VS_HOME), because an older backup does not know them. A restored platform is told
with `vs restore FOLDER --forgotten FILE`; then what the register says is erased and purged again before anybody sees
it. The register holds keyed ids, months, functions and reasons: nobody can be read from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect
from include.warehouse.erasure import erase_again
from include.warehouse.retention import purge_expired

FORMAT = 1


class NotARegister(RuntimeError):
    """The file is no register of what was forgotten."""


@dataclass(frozen=True)
class ForgottenAgain:
    """What had come back, in counts."""

    purged_in: str | None
    purged: int
    erased_rows: int
    erased_files: int


def purge(month: Month) -> list[Any]:
    """The monthly purge: what is expired goes, what was erased for somebody goes again, and the register is written."""
    certificates = purge_expired(month)
    erase_again()
    write_register()
    return certificates


def forget_again(register: Path | None = None) -> ForgottenAgain:
    """Erase and purge again whatever had been, by the books and by the register of the platform that was lost."""
    if register is not None:
        _take_over(_read(register))
    erased = erase_again()
    with connect(Role.ADMIN) as connection:
        (purged_in,) = connection.execute("select max(purged_in) from ops.purge_certificates").fetchone()
    if register is not None:
        purged_in = max(filter(None, (purged_in, _read(register)["purged_in"])), default=None)
    purged = sum(one.deleted for one in purge_expired(Month.parse(purged_in))) if purged_in else 0
    write_register()
    return ForgottenAgain(purged_in, purged, erased.rows, erased.files)


def write_register() -> Path:
    """The register as the books have it now; for whoever keeps the backups."""
    with connect(Role.ADMIN) as connection:
        (purged_in,) = connection.execute("select max(purged_in) from ops.purge_certificates").fetchone()
        (erasures,) = connection.execute(
            """
            select coalesce(jsonb_agg(to_jsonb(erasures) - 'erasure_id' || jsonb_build_object('rows', (
                select coalesce(jsonb_agg(to_jsonb(rows) - 'erasure_id'), '[]') from ops.erased_rows as rows
                where rows.erasure_id = erasures.erasure_id
            )) order by erasures.erasure_id), '[]')
            from ops.erasures
            """
        ).fetchone()
    path = Settings.from_environment().forgotten_register
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.tmp")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"format": FORMAT, "purged_in": purged_in, "erasures": erasures}, indent=1) + "\n")
    draft.replace(path)
    return path


def _read(register: Path) -> dict[str, Any]:
    try:
        content = json.loads(register.read_text(encoding="utf-8"))
        if content["format"] == FORMAT and isinstance(content["erasures"], list):
            return content
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise NotARegister(f"{register} cannot be read as a register of what was forgotten ({wrong}).") from wrong
    raise NotARegister(f"{register} is no register of what was forgotten; look for VS_HOME/rights/forgotten.json.")


def _take_over(content: dict[str, Any]) -> None:
    """Erasures of the register that the books do not know."""
    with connect(Role.ADMIN) as connection:
        connection.execute(
            """
            with given as (
                select one from jsonb_array_elements(%(erasures)s) as erasures (one)
                where one ->> 'operation_id' not in (select operation_id from ops.erasures)
            ),
            added as (
                insert into ops.erasures (operation_id, decided_by, reason, decided_at)
                select
                    one ->> 'operation_id', one ->> 'decided_by', one ->> 'reason',
                    (one ->> 'decided_at')::timestamptz
                from given
                returning erasure_id, operation_id
            )
            insert into ops.erased_rows (erasure_id, signal_month, signal_id, delivery_id, line_number)
            select added.erasure_id, rows.signal_month, rows.signal_id, rows.delivery_id, rows.line_number
            from given
            inner join added on added.operation_id = given.one ->> 'operation_id'
            cross join lateral jsonb_to_recordset(given.one -> 'rows')
                as rows (signal_month text, signal_id text, delivery_id text, line_number integer)
            """,
            {"erasures": Jsonb(content["erasures"])},
        )
