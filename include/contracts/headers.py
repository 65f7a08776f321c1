"""Does a header belong to a contract: which column stands where, which are missing, which nobody asked for.

Rule: labels are compared without regard to case and to how many spaces stand in them; the order of columns means
nothing. A column the contract does not let be absent must be there, and no column of it may stand there twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.contracts.registry import Column, Contract


@dataclass(frozen=True)
class HeaderMatch:
    """A delivered header beside a contract; `places` says where each column of the contract stands in the file."""

    places: Mapping[str, int]
    missing: tuple[Column, ...]
    absent: tuple[Column, ...]
    twice: tuple[Column, ...]
    unknown: tuple[int, ...]

    @property
    def fits(self) -> bool:
        return not self.missing and not self.twice


def match_header(contract: Contract, header: Sequence[str]) -> HeaderMatch:
    """Lay `header` beside the columns of `contract`; `absent` are the missing ones that may be."""
    labels = [comparable(label) for label in header]
    wanted = {comparable(column.label): column for column in contract.columns}
    away = [column for label, column in wanted.items() if label not in labels]
    return HeaderMatch(
        places={wanted[label].name: index for index, label in enumerate(labels) if label in wanted},
        missing=tuple(column for column in away if not column.may_be_absent),
        absent=tuple(column for column in away if column.may_be_absent),
        twice=tuple(column for label, column in wanted.items() if labels.count(label) > 1),
        unknown=tuple(index for index, label in enumerate(labels) if label not in wanted),
    )


def comparable(label: str) -> str:
    """The label as it is compared."""
    return " ".join(label.split()).casefold()
