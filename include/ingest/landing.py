"""Write judged rows into `landing`, set-wise: one COPY a table, inside the caller's transaction.

Rule: the raw row of every row of an accepted file is kept (`raw_rows`; the only place where a BSN stands), the good
rows become canonical rows, the others stand in `quarantined_rows` with all their reasons (duplicates too). A row is
keyed by its delivery and line, so writing a delivery twice can only fail, never double.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql

from include.ingest.reading import JudgedDelivery
from include.months import Month

ROWS_A_BLOCK = 20_000
LATE = "late"

_SIGNAL_CONSTANTS = ("delivery_id", "contract_version", "partner", "sector", "signal_month")


class BooksDoNotBalance(RuntimeError):
    """Fewer or more rows stand in the warehouse than the file has; nothing of the delivery is kept."""


def write_signals(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """The good rows as canonical signals; returns how many."""
    contract = judged.contract
    fields = [name for name in judged.rows.columns if name != "flags"]
    connection.execute(
        "create temporary table incoming_signals (like landing.signals including defaults) on commit drop"
    )
    connection.execute("alter table incoming_signals alter column signal_id drop not null")
    constants = (delivery_id, contract.version, contract.partner, contract.sector, str(month))
    rows = _with_constants(constants, _columns(judged, fields), _flags(judged))
    copy_rows(connection, "incoming_signals", [*_SIGNAL_CONSTANTS, *fields, "flags"], rows)
    columns = sql.SQL(", ").join(map(sql.Identifier, [*_SIGNAL_CONSTANTS, *fields, "flags"]))
    written = connection.execute(
        sql.SQL(
            "insert into landing.signals (signal_id, {columns}) "
            "select ops.keyed_id('signal', partner || '|' || partner_reference || '|' || signal_month), {columns} "
            "from incoming_signals"
        ).format(columns=columns)
    )
    return written.rowcount


def flag_late(connection: psycopg.Connection, delivery_id: str) -> None:
    """Mark the rows of a delivery whose month was over before it came."""
    connection.execute(
        "update landing.signals set flags = array_append(flags, %s) where delivery_id = %s and %s <> all(flags)",
        (LATE, delivery_id, LATE),
    )


def write_enrichment_results(
    connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month
) -> int:
    """The provider's answers; returns how many."""
    fields = [name for name in judged.rows.columns if name != "flags"]
    rows = _with_constants((delivery_id, str(month)), _columns(judged, fields))
    return copy_rows(connection, "landing.enrichment_results", ["delivery_id", "signal_month", *fields], rows)


def write_raw_rows(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """Every row of the file as delivered, whatever became of it."""
    labels = raw_labels(judged)
    raw = (json.dumps(dict(zip(labels, row, strict=True)), ensure_ascii=False) for row in judged.opened.rows)
    rows = (
        (delivery_id, int(line), str(month), text) for line, text in zip(judged.opened.line_numbers, raw, strict=True)
    )
    return copy_rows(connection, "landing.raw_rows", ["delivery_id", "line_number", "signal_month", "raw"], rows)


def write_quarantined_rows(
    connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, sender: str, month: Month
) -> int:
    """Quarantined and duplicate rows with their reasons; the copy of the raw row here is without any BSN."""
    labels = raw_labels(judged)
    hidden = {column.label.casefold() for column in judged.contract.columns if column.classification == "restricted"}
    by_line = {int(line): row for line, row in zip(judged.opened.line_numbers, judged.opened.rows, strict=True)}
    rows = []
    for found in (judged.quarantined, judged.duplicates):
        for line, reasons in zip(found["line_number"], found["reasons"], strict=True):
            raw = {
                label: None if label.casefold() in hidden else value
                for label, value in zip(labels, by_line[int(line)], strict=True)
            }
            text = json.dumps(raw, ensure_ascii=False)
            rows.append((delivery_id, line, sender, str(month), judged.contract.version, _array(reasons), text))
    columns = ["delivery_id", "line_number", "partner", "signal_month", "contract_version", "reasons", "raw"]
    return copy_rows(connection, "landing.quarantined_rows", columns, rows)


def raw_labels(judged: JudgedDelivery) -> list[str]:
    """The header with a name for every column and every name once."""
    labels: list[str] = []
    for index, label in enumerate(judged.opened.header):
        labels.append(label if label and label not in labels else f"{label} (column {index + 1})".strip())
    return labels


def copy_rows(connection: psycopg.Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence]) -> int:
    """COPY rows of Python values into a table (None is null); returns how many the server took."""
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            block = io.StringIO()
            writer = csv.writer(block)
            for number, row in enumerate(rows, start=1):
                writer.writerow(row)
                if number % ROWS_A_BLOCK == 0:
                    copy.write(block.getvalue())
                    block.seek(0)
                    block.truncate()
            copy.write(block.getvalue())
        return cursor.rowcount


def _columns(judged: JudgedDelivery, fields: Sequence[str]) -> list[Iterable]:
    return [judged.rows[field].tolist() for field in fields]


def _flags(judged: JudgedDelivery) -> list[str]:
    arrays = {flags: _array(flags) for flags in set(judged.rows["flags"])}
    return [arrays[flags] for flags in judged.rows["flags"]]


def _array(codes: Iterable[str]) -> str:
    """A list of reason codes (never text from a file) as PostgreSQL writes an array."""
    return "{" + ",".join(codes) + "}"


def _with_constants(constants: Sequence[str], columns: Sequence[Iterable], *more: Iterable) -> Iterable[tuple]:
    """The rows of `columns` with the same values before each."""
    return ((*constants, *row) for row in zip(*columns, *more, strict=True))
