"""One item of a feed of RIS, with its place in the order of the feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from include.months import Month


@dataclass(frozen=True)
class Item:
    """One JSON item with the place it has in the order of its feed."""

    month: Month
    updated_at: datetime
    key: str
    content: Mapping[str, Any]

    @cached_property
    def position(self) -> tuple[str, str]:
        return (instant(self.updated_at), self.key)


def instant(moment: datetime) -> str:
    """UTC with `Z`: no reader can mistake the zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
