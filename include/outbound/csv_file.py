"""A CSV file as its contract describes it: the contract's columns in its order, its separator and encoding."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from psycopg import sql

from include.contracts.registry import Contract, Table
from include.outbound.safe_text import csv_text


def render_csv(contract: Contract, rows: Iterable[Sequence[object]]) -> bytes:
    """The file's bytes; the same rows give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=contract.format.delimiter, lineterminator="\n")
    writer.writerow([column.label for column in contract.columns])
    writer.writerows([csv_text(value) for value in row] for row in rows)
    return text.getvalue().encode(contract.format.encodings[0])


def contracted_columns(table: Table, alias: str | None = None) -> sql.Composed:
    """The columns a file may hold, for a select list: what the contract does not name cannot go out."""
    prefix = (alias,) if alias else ()
    return sql.SQL(", ").join(sql.Identifier(*prefix, column.name) for column in table.columns)
