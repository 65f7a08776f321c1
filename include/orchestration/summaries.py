"""What a step hands to the next through XCom: the fields of its summary as plain JSON, and never a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from include.months import Month

MOST_BYTES = 4_000


def as_counts(summary: Any) -> Any:
    """The dataclass (or list of them) as dicts, lists, numbers and text; refuses what is too large to be a summary."""
    plain = _plain(summary)
    if len(repr(plain)) > MOST_BYTES:
        raise ValueError(f"{type(summary).__name__} has {len(repr(plain))} characters: no summary; hand over counts.")
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, Month):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (Decimal, Month, Path)):
        return str(value)
    return value
