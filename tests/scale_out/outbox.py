"""What went out, file by file, without the time it went out: two runs of the same month must have sent the same."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from typing import Any

from include.exchange.folders import Exchange

#: when a file was made stands in manifests, workbooks and the DDAS delivery, and in nothing else
MOMENT = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})")
MADE_AT = ("created_at", "aanleverdatumEnTijd")


def sent(exchange: Exchange) -> dict[str, str]:
    """The path of every file in the outbox, with a hash of its bytes; of those with a time in them, of the rest."""
    return {path: _hash(path, exchange.read(path)) for path in exchange.all_files("outbox")}


def _hash(path: str, data: bytes) -> str:
    if path.endswith(".json"):
        data = json.dumps(_without_time(json.loads(data)), sort_keys=True).encode()
    if path.endswith(".xlsx"):
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            data = b"".join(name.encode() + MOMENT.sub(b"", book.read(name)) for name in sorted(book.namelist()))
    return hashlib.sha256(data).hexdigest()


def _without_time(given: Any) -> Any:
    if isinstance(given, list):
        return [_without_time(item) for item in given]
    if not isinstance(given, dict):
        return given
    # the hash of a file that holds its time holds it too
    of_such_a_file = "sha256" in given and not str(given.get("file", "")).endswith(".csv")
    left_out = {*MADE_AT, "sha256"} if of_such_a_file else set(MADE_AT)
    return {name: _without_time(value) for name, value in given.items() if name not in left_out}
