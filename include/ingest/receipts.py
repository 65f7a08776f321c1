"""The receipt a sender gets for every file: what was taken, what was not and why, by line number.

Rule: a receipt holds counts, reason codes and line numbers, never a value from the file; whoever may open it learns
nothing about a person. It begins with a message for people, in Dutch. The same file gives the same receipt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from include.ingest.reading import JudgedDelivery

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN_SENDER = "_unknown"


def receipt_path(folder: str, file_name: str) -> str:
    """`outbox/partners/<partner>/receipt_<file>.json`."""
    return f"{folder}/receipt_{file_name}.json"


def receipt(summary: dict[str, Any], judged: JudgedDelivery | None) -> bytes:
    """The receipt of a delivery: `summary` as `ops.deliveries` has it, `judged` for what was found in the rows."""
    content = {"message": in_words(summary), **summary}
    if judged is not None:
        content["warnings"] = [{"code": one.code, "detail": one.detail} for one in judged.warnings]
        content["quarantined"] = _lines(judged.quarantined, "reasons")
        content["duplicates"] = _lines(judged.duplicates, "reasons")
        flagged = judged.rows[judged.rows["flags"].map(bool)] if len(judged.rows) else judged.rows
        content["loaded_without"] = _lines(flagged, "flags")
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


def _lines(found: pd.DataFrame, codes: str) -> list[dict[str, Any]]:
    return [
        {"line": int(line), "reasons": list(reasons)}
        for line, reasons in zip(found["line_number"], found[codes], strict=True)
    ]
