"""The receipt a sender gets for every file: what was taken, what was not and why, by line number.

Rule: a receipt holds counts, reason codes and line numbers, never a value from the file; whoever may open it learns
nothing about a person. It begins with a message for people, in Dutch. The same file gives the same receipt. Counts are
complete; of very many lines it names the first (include/ingest/findings.py) and says so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from include.ingest.findings import MOST_LINES, Findings, Lines
from include.ingest.reading import REFERENCE_DUPLICATE

UNKNOWN_SENDER = "_unknown"
_JSON = json.JSONEncoder(ensure_ascii=False)


class _Json(str):
    """A value that is JSON already."""


_OF_THE_BOOKS = (
    "contract", "file_name", "signal_month", "named_month", "status", "reason_code", "reason_detail", "rows_in_file",
    "rows_loaded", "rows_quarantined", "rows_duplicate", "rows_released", "rows_discarded", "is_late", "sha256",
)  # fmt: skip


def receipt_path(folder: str, file_name: str) -> str:
    """`outbox/partners/<partner>/receipt_<file>.json`."""
    return f"{folder}/receipt_{file_name}.json"


def receipt(summary: dict[str, Any], findings: Findings | None) -> bytes:
    """The receipt of a delivery: `summary` as `ops.deliveries` has it, `findings` for what was found in the rows."""
    content = {"message": in_words(summary), **summary}
    if findings is not None:
        content["warnings"] = [{"code": one.code, "detail": one.detail} for one in findings.warnings]
        listed = {
            "quarantined": findings.quarantined,
            "duplicates": findings.duplicates,
            "loaded_without": findings.loaded_without,
        }
        content["rows_by_reason"] = {name: dict(sorted(found.rows_by_code.items())) for name, found in listed.items()}
        content |= {name: _lines(found) for name, found in listed.items()}
        if cut := [name for name, found in listed.items() if not found.are_all_shown]:
            content["lines_not_shown"] = {name: listed[name].total - len(listed[name].shown) for name in cut}
    return _written(content)


def in_words(summary: Mapping[str, Any]) -> str:
    """What became of the file, in a few Dutch sentences; `rows_loaded` and the others are the books of now."""
    if summary["status"] == "rejected":
        said = "Dit bestand is niet verwerkt; er is niets uit overgenomen. Wat er mis is staat bij reason_detail."
    elif summary["status"] == "unchanged":
        said = "Dit bestand was al eerder ontvangen. Er is niets veranderd."
    else:
        said = (
            f"Van de {summary['rows_in_file']} rijen zijn er {summary['rows_loaded']} verwerkt, "
            f"{summary['rows_quarantined']} apart gezet omdat er iets niet klopt en {summary['rows_duplicate']} "
            "overgeslagen omdat hun kenmerk al in het bestand stond. De regelnummers staan hieronder."
        )
    if summary.get("rows_released"):
        said += f" {summary['rows_released']} rijen zijn na een nieuwe beoordeling alsnog verwerkt."
    if summary.get("rows_discarded"):
        said += f" {summary['rows_discarded']} rijen zijn na overleg vervallen."
    if summary["is_late"]:
        said += (
            f" Het bestand is van {summary['named_month']} en kwam nadat die maand was afgesloten; "
            f"het telt mee in {summary['signal_month']}."
        )
    return said


def current_receipt(connection: psycopg.Connection, delivery_id: str) -> tuple[str, bytes]:
    """Path and content of the receipt of a loaded delivery as its rows stand now: some may be released since."""
    with connection.cursor(row_factory=dict_row) as cursor:
        book = cursor.execute(
            "select books.*, deliveries.reason_code, deliveries.reason_detail, deliveries.sha256, deliveries.warnings,"
            " deliveries.receipt from ops.delivery_books as books inner join ops.deliveries using (delivery_id)"
            " where delivery_id = %s",
            (delivery_id,),
        ).fetchone()
        held = cursor.execute(
            "select line_number as line, coalesce(reasons_now, reasons) as reasons, status, released_in,"
            " reasons = array[%s] as is_duplicate from landing.quarantined_rows where delivery_id = %s"
            " order by line_number",
            (REFERENCE_DUPLICATE, delivery_id),
        ).fetchall()
        flagged = cursor.execute(
            "select line_number as line, array_remove(flags, 'late') as reasons from landing.signals"
            " where delivery_id = %s and array_remove(flags, 'late') <> '{}' order by line_number",
            (delivery_id,),
        ).fetchall()
    assert book is not None
    kept = [row for row in held if row["status"] != "released"]
    listed = {
        "quarantined": [_line(row) for row in kept if not row["is_duplicate"]],
        "duplicates": [_line(row) for row in kept if row["is_duplicate"]],
        "loaded_without": flagged,
    }
    content = {"message": in_words(book)} | {name: book[name] for name in _OF_THE_BOOKS}
    content["warnings"] = [warning for warning in book["warnings"] if "detail" in warning]
    content["rows_by_reason"] = {
        name: dict(sorted(Counter(code for line in lines for code in line["reasons"]).items()))
        for name, lines in listed.items()
    }
    listed["released"] = [
        {"line": row["line"], "signal_month": row["released_in"]} for row in held if row["status"] == "released"
    ]
    content |= {name: lines[:MOST_LINES] for name, lines in listed.items()}
    if cut := {name: len(lines) - MOST_LINES for name, lines in listed.items() if len(lines) > MOST_LINES}:
        content["lines_not_shown"] = cut
    return book["receipt"], _written(content)


def _written(content: Mapping[str, Any]) -> bytes:
    """JSON that people can read: a line for every row of the file."""
    members = (f" {_JSON.encode(name)}: {_member(value)}" for name, value in content.items())
    return ("{\n" + ",\n".join(members) + "\n}").encode()


def _member(value: Any) -> str:
    if isinstance(value, dict):
        within, (begin, end) = [f"{_JSON.encode(name)}: {_JSON.encode(of)}" for name, of in value.items()], "{}"
    elif isinstance(value, list):
        within, (begin, end) = [one if isinstance(one, _Json) else _JSON.encode(one) for one in value], "[]"
    else:
        return _JSON.encode(value)
    return begin + "\n  " + ",\n  ".join(within) + "\n " + end if within else begin + end


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    discarded = {"discarded": True} if row["status"] == "discarded" else {}
    return {"line": row["line"], "reasons": row["reasons"]} | discarded


def _lines(found: Lines) -> list[_Json]:
    """The lines with their reasons; the sets of reasons are few, the lines are many."""
    written = {codes: _JSON.encode(list(codes)) for codes in {codes for _, codes in found.shown}}
    return [_Json(f'{{"line": {line}, "reasons": {written[codes]}}}') for line, codes in found.shown]
