"""What was found in a delivery: counts of everything, and the first line numbers of what its sender can repair.

Rule: counts are complete; line numbers are kept up to a limit, because a file of millions of bad rows is repaired at
its source and not line by line, and because a receipt must stay readable and memory bounded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.ingest.reading import DeliveryWarning, JudgedDelivery
from include.months import Month

if TYPE_CHECKING:
    import polars as pl

MOST_LINES = 10_000


@dataclass
class Lines:
    """Line numbers with their codes, the first of them; and how many rows each code befell."""

    total: int = 0
    shown: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    rows_by_code: Counter[str] = field(default_factory=Counter)

    @property
    def are_all_shown(self) -> bool:
        return self.total == len(self.shown)

    def add(self, rows: pl.DataFrame, codes: str) -> None:
        """Rows with a line_number and a list of codes."""
        import polars as pl

        self.total += len(rows)
        first = rows.head(MOST_LINES - len(self.shown))
        self.shown += zip(first["line_number"].to_list(), map(tuple, first[codes].to_list()), strict=True)
        # the rows with the same codes are many, the sets of codes few
        for found, count in rows.group_by(pl.col(codes).list.join(",")).len().iter_rows():
            for code in found.split(","):
                self.rows_by_code[code] += count


@dataclass
class Findings:
    """The books of a delivery, as far as it was judged."""

    warnings: list[DeliveryWarning] = field(default_factory=list)
    rows_in_file: int = 0
    loaded: int = 0
    quarantined: Lines = field(default_factory=Lines)
    duplicates: Lines = field(default_factory=Lines)
    loaded_without: Lines = field(default_factory=Lines)
    other_months: Counter[Month] = field(default_factory=Counter)

    def add(self, part: JudgedDelivery) -> None:
        self.warnings += part.warnings
        self.rows_in_file += part.rows_in_file
        self.loaded += len(part.good)
        self.other_months.update(part.other_months)
        self.quarantined.add(part.held, "reasons")
        self.duplicates.add(part.doubled, "reasons")
        self.loaded_without.add(part.good.flags, "flags")

    def without_loaded(self) -> Findings:
        """The same of a file that is refused: nothing of it is loaded."""
        return Findings(self.warnings, self.rows_in_file, 0, self.quarantined, self.duplicates)
