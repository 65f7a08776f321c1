"""Everything we hold about one person, for that person: `export_person(person_ids, …)` (AVG art. 15 and 20).

Rule: every row of every table that leads to the person (include/warehouse/person_tables.py), the files they stand in,
to whom their data went, and how long each is kept. What is of somebody else in the same row is left out; a row of a
case with others in it says so. Two files, readable by their owner only, outside the exchange: JSON that holds all, and
a page in Dutch to hand over. They are personal data themselves: delete them once they were handed over; the purge does
when nobody did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from include.contracts.registry import Contract, all_contracts
from include.settings import Role, Settings
from include.warehouse.connection import connect
from include.warehouse.logbook import activities, logged
from include.warehouse.person_files import Marks, files_of
from include.warehouse.person_tables import Trail, tables, trail_of, values_of


@dataclass(frozen=True)
class PersonExport:
    """Where the answer lies, and how much it holds; nothing of its content."""

    data: Path
    page: Path
    tables: int
    rows: int
    files: int


def export_person(person_ids: Sequence[str], *, requested_by: str, reason: str) -> PersonExport:
    """Write everything about these persons (one human may have had several ids) into VS_HOME/rights/answers."""
    with logged("export person", actor=requested_by, object="everything about a person", reason=reason) as operation:
        operation.about(person_ids)
        with connect(Role.ADMIN) as connection:
            connection.execute("set transaction isolation level repeatable read")
            answer = _answer(connection, trail_of(connection, person_ids), operation.started_at)
            operation.done(connection)
        folder = Settings.from_environment().answers_folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"person_{operation.started_at:%Y%m}_{operation.operation_id}"
        data = _write(folder / f"{name}.json", json.dumps(answer, ensure_ascii=False, indent=1, default=_text) + "\n")
        page = _write(folder / f"{name}.txt", _in_words(answer))
    found = answer["tables"]
    return PersonExport(data, page, len(found), sum(len(one["rows"]) for one in found.values()), len(answer["files"]))


def _answer(connection: psycopg.Connection, trail: Trail, made_at: datetime) -> dict[str, Any]:
    by_label = {table.label: (contract, table) for contract in all_contracts() for table in contract.tables}
    found: dict[str, Any] = {}
    for table in tables(connection):
        rows = table.rows(connection, trail)
        if not rows:
            continue
        contract, described = by_label.get(table.name.replace("closed.", "marts."), (None, None))
        for row in rows:
            if table.by_case and row["case_id"] in trail.shared_cases:
                row["also_about_others_in_the_case"] = True
        found[table.name] = {
            "what": described.description if described else None,
            "purpose": contract.purpose if contract else None,
            "kept_months": contract.retention_months if contract else None,
            "rows": rows,
        }
    marks = Marks(trail.tokens, trail.references, frozenset(trail.months))
    return {
        "made_at": made_at,
        "person_ids": trail.person_ids,
        "signal_months": trail.months,
        "tables": found,
        "files": files_of(marks),
        "handled": _handled(connection, trail),
        "suppressions": _suppressions(connection, trail),
    }


def _handled(connection: psycopg.Connection, trail: Trail) -> list[dict[str, Any]]:
    """For what and when their data was handled, and what was sent where; not by which employee."""
    rows = connection.execute(
        """
        select log.started_at, log.name, log.processing_activity_id, access.object
        from ops.processing_subjects as subjects
        inner join ops.processing_log as log on log.operation_id = subjects.operation_id
        inner join ops.access_log as access on access.operation_id = log.operation_id
        where subjects.data_subject_id in (select ops.keyed_id('subject', id) from unnest(%s::text[]) as persons (id))
        order by log.started_at, log.operation_id
        """,
        (list(trail.person_ids),),
    ).fetchall()
    register: Mapping[str, Any] = activities()
    return [
        {
            "at": at, "what": name, "object": object,
            "activity": register[activity]["name"] if activity in register else activity,
            "purpose": register[activity]["purpose"] if activity in register else None,
            "legal_ground": register[activity]["legal_ground"] if activity in register else None,
        }
        for at, name, activity, object in rows
    ]  # fmt: skip


def _suppressions(connection: psycopg.Connection, trail: Trail) -> list[dict[str, Any]]:
    """Also those recorded before the person was known here, which have keyed hashes only."""
    rows = connection.execute(
        """
        select suppression_id, ground, valid_from, valid_to from ops.suppressions
        where person_ids && %(persons)s or subject_keys && (
            select coalesce(array_agg(key), '{}')
            from intermediate.int_signals__matched as matched
            cross join lateral unnest(
                ops.suppression_keys(matched.postcode, matched.house_number, matched.birth_on, matched.surname)
            ) as own (key)
            where matched.person_id = any(%(persons)s)
        )
        order by 1
        """,
        values_of(trail) | {"persons": list(trail.person_ids)},
    ).fetchall()
    return [{"number": one[0], "ground": one[1], "from": one[2], "until": one[3]} for one in rows]


def _write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# -- for a resident to read --------------------------------------------------------------------------------------------


def _in_words(answer: Mapping[str, Any]) -> str:
    """The answer as a page in Dutch: what we know, where it came from, who got it, how long it is kept."""
    signals = answer["tables"].get("landing.signals", {}).get("rows", [])
    lines = [
        "Inzage in uw gegevens bij de vroegsignalering van schulden",
        f"Gemeente {Settings.from_environment().municipality_name}, {answer['made_at']:%d-%m-%Y}",
        "",
        f"Wij ontvingen {len(signals)} melding(en) over u. Alles wat wij hebben staat in het bestand bij deze brief.",
        "",
    ]
    labels = _dutch_labels()
    for number, signal in enumerate(signals, start=1):
        lines.append(f"Melding {number}, van {signal['partner']} over {signal['signal_month']}")
        lines += [
            f"  {labels[name]}: {_text(value)}"
            for name, value in signal.items()
            if name in labels and value not in (None, "")
        ]
        lines.append("")
    lines.append("Waarvoor uw gegevens zijn gebruikt en aan wie ze zijn gestuurd")
    lines += [f"  {one['at']:%d-%m-%Y}  {one['activity']}: {one['object']}" for one in answer["handled"]] or [
        "  Hierover is nog niets vastgelegd."
    ]
    lines += ["", "Bestanden waarin u staat"]
    lines += [f"  {path}" for path in answer["files"]] or ["  Geen."]
    lines += ["", "Hoe lang wij ze bewaren (in maanden na de maand van de melding)"]
    lines += [
        f"  {name}: {one['kept_months']}" for name, one in sorted(answer["tables"].items()) if one["kept_months"]
    ]
    lines += [
        "",
        "U kunt ons vragen gegevens te verbeteren of te wissen, en bezwaar maken tegen het gebruik ervan. Bent u het",
        "niet met ons eens, dan kunt u een klacht indienen bij de Autoriteit Persoonsgegevens.",
        "",
    ]
    return "\n".join(lines)


def _dutch_labels() -> dict[str, str]:
    """What a field is called by people: the contracts say it for whoever delivers it."""
    (signals,) = [contract for contract in all_contracts() if _is_signals(contract)]
    return {column.name: str(column.option("labelNl", column.name)) for column in signals.columns}


def _is_signals(contract: Contract) -> bool:
    return contract.name == "signals"
