"""The receipt a sender gets for every file: what was taken, what was not and why, by line number.

Rule: a receipt holds counts, reason codes and line numbers, never a value from the file; whoever may open it learns
nothing about a person. It begins with a message for people, in Dutch. The same file gives the same receipt. Counts are
complete; of very many lines it names the first (include/ingest/findings.py) and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from include.ingest.findings import Findings, Lines

UNKNOWN_SENDER = "_unknown"


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
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def in_words(summary: Mapping[str, Any]) -> str:
    """What became of the file, in a few Dutch sentences."""
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
    if summary["is_late"]:
        said += (
            f" Het bestand is van {summary['named_month']} en kwam nadat die maand was afgesloten; "
            f"het telt mee in {summary['signal_month']}."
        )
    return said


def _lines(found: Lines) -> list[dict[str, Any]]:
    return [{"line": line, "reasons": list(codes)} for line, codes in found.shown]
