"""The receipt a sender gets for every file: what was taken, what was not and why, by line number.

Rule: a receipt holds counts, reason codes and line numbers, never a value from the file; whoever may open it learns
nothing about a person. The same file gives the same receipt.
"""

from __future__ import annotations

import json
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
    content = dict(summary)
    if judged is not None:
        content["warnings"] = [{"code": one.code, "detail": one.detail} for one in judged.warnings]
        content["quarantined"] = _lines(judged.quarantined, "reasons")
        content["duplicates"] = _lines(judged.duplicates, "reasons")
        flagged = judged.rows[judged.rows["flags"].map(bool)] if len(judged.rows) else judged.rows
        content["loaded_without"] = _lines(flagged, "flags")
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _lines(found: pd.DataFrame, codes: str) -> list[dict[str, Any]]:
    return [
        {"line": int(line), "reasons": list(reasons)}
        for line, reasons in zip(found["line_number"], found[codes], strict=True)
    ]
