"""The call lists Certin received: whole ones only, withdrawn records left out (interfaces §5).

A list counts once its manifest is there and the checksum in it agrees. Later lists of a month bring only new records
and name the withdrawn ones, so all lists together are what Certin works from.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from include.months import Month
from include.sandbox.dialler import CallRecord

logger = logging.getLogger(__name__)

_LIST_NAME = re.compile(r"certin_call_list_(\d{6})_(\d+)\.csv")


@dataclass(frozen=True)
class CallList:
    """One list as received."""

    name: str
    month: Month
    sequence: int
    records: tuple[CallRecord, ...]
    withdrawn: frozenset[str]


def list_files(folder: Path) -> list[Path]:
    """The lists that are complete, in order of month and sequence."""
    found = [
        (named[1], int(named[2]), path)
        for path in folder.glob("certin_call_list_*.csv")
        if (named := _LIST_NAME.fullmatch(path.name)) and _manifest(path).exists()
    ]
    return [path for _, _, path in sorted(found)]


def read_list(path: Path) -> CallList | None:
    """The list, or None (with a log line) when it does not agree with its manifest."""
    named = _LIST_NAME.fullmatch(path.name)
    manifest = json.loads(_manifest(path).read_text(encoding="utf-8"))
    content = path.read_bytes()
    promised = manifest.get("sha256") or manifest.get("file_sha256")
    if promised and promised != hashlib.sha256(content).hexdigest():
        logger.warning("%s is left alone: its checksum is not the one in its manifest", path.name)
        return None
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";")
    return CallList(
        name=path.name,
        month=Month.parse(named[1]),
        sequence=int(named[2]),
        records=tuple(CallRecord.from_row(row) for row in rows),
        withdrawn=frozenset(_call_record_ids(manifest.get("withdrawn") or [])),
    )


def in_work(lists: Iterable[CallList]) -> list[tuple[CallList, CallRecord]]:
    """Every record with the list that brought it, without those withdrawn since."""
    lists = list(lists)
    withdrawn = frozenset().union(*(each.withdrawn for each in lists))
    seen: set[str] = set()
    found = []
    for each in lists:
        for record in each.records:
            if record.call_record_id not in withdrawn and record.call_record_id not in seen:
                seen.add(record.call_record_id)
                found.append((each, record))
    return found


def _manifest(path: Path) -> Path:
    return path.with_name(f"{path.stem}.manifest.json")


def _call_record_ids(withdrawn: Iterable[str | dict[str, str]]) -> list[str]:
    return [one if isinstance(one, str) else one["call_record_id"] for one in withdrawn]
