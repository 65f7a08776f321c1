"""Write judged rows into `landing`, set-wise: one COPY a table and part, inside the caller's transaction.

Rule: the raw row of every row of an accepted file is kept (`raw_blocks`, read as `raw_rows`; the only place where a BSN
stands), the good rows become canonical rows, the others stand in `quarantined_rows` with all their reasons (duplicates
too). A row is keyed by its delivery and line, so writing a delivery twice can only fail, never double.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from include.ingest.reading import JudgedDelivery
from include.months import Month

if TYPE_CHECKING:
    import polars as pl

RAW_ROWS_A_BLOCK = 4_000
COPY_PIECE_BYTES = 1024 * 1024
# Between the values and the rows of a raw block. Where a file holds them itself stands U+FFFD; archive/ has its bytes.
_AFTER_VALUE, _AFTER_ROW = "\x1f", "\x1e"


class BooksDoNotBalance(RuntimeError):
    """Fewer or more rows stand in the warehouse than the file has; nothing of the delivery is kept."""


def write_signals(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """The good rows as canonical signals; returns how many."""
    import polars as pl

    contract = judged.contract
    if not len(judged.good):
        return 0
    reference = pl.concat_str(pl.lit(contract.partner), "partner_reference", pl.lit(str(month)), separator="|")
    signal_ids = keyed_ids(connection, "signal", judged.good.select(reference).to_series())
    frame = judged.good.with_columns(
        pl.lit(delivery_id).alias("delivery_id"),
        pl.lit(contract.version).alias("contract_version"),
        signal_ids.alias("signal_id"),
        pl.lit(contract.partner).alias("partner"),
        pl.lit(contract.sector).alias("sector"),
        pl.lit(str(month)).alias("signal_month"),
        _array("flags"),
    )
    return copy_frame(connection, "landing.signals", frame)


def read_held_row(connection: psycopg.Connection, delivery_id: str, line_number: int) -> dict[str, str | None]:
    """A quarantined row as delivered, by the labels of its file, without any BSN."""
    row = connection.execute(
        "select raw from landing.quarantined_rows where delivery_id = %s and line_number = %s",
        (delivery_id, line_number),
    ).fetchone()
    return row[0] if row else {}


def write_enrichment_results(
    connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month
) -> int:
    """The provider's answers; returns how many."""
    import polars as pl

    frame = judged.good.drop("flags").with_columns(
        pl.lit(delivery_id).alias("delivery_id"), pl.lit(str(month)).alias("signal_month")
    )
    return copy_frame(connection, "landing.enrichment_results", frame)


def keyed_ids(connection: psycopg.Connection, kind: str, values: pl.Series) -> pl.Series:
    """`ops.keyed_id(kind, value)` of every value, asked once."""
    import polars as pl

    quoted = pl.concat_str(pl.lit('"'), _escaped(pl.col("value"), {"\\": "\\\\", '"': '\\"'}), pl.lit('"'))
    array = values.to_frame("value").select(quoted.str.join(",")).item()
    row = connection.execute(
        "select array_to_string(ops.keyed_ids(%s, %s::text[]), ',')", (kind, f"{{{array}}}")
    ).fetchone()
    assert row is not None
    return pl.Series([row[0]]).str.split(",").explode()


def write_raw_rows(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """Every row of the file as delivered, whatever became of it."""
    import polars as pl

    opened = judged.opened
    if opened.is_empty:
        return 0
    marks = {_AFTER_VALUE: "\ufffd", _AFTER_ROW: "\ufffd"}
    cells = opened.cells.with_columns(_escaped(pl.col(name), marks) for name in _with_any(opened.cells, "[\x1e\x1f]"))
    lines = cells.insert_column(0, pl.Series("line", opened.line_numbers))
    labels = raw_labels(judged)
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into landing.raw_blocks (delivery_id, first_line, last_line, signal_month, labels, lines) "
            "values (%s, %s, %s, %s, %s, %s)",
            [
                (delivery_id, block["line"][0], block["line"][-1], str(month), labels, _raw_text(block))
                for block in lines.iter_slices(RAW_ROWS_A_BLOCK)
            ],
        )
    return len(lines)


def _raw_text(block: pl.DataFrame) -> str:
    text = block.write_csv(
        include_header=False, separator=_AFTER_VALUE, line_terminator=_AFTER_ROW, quote_style="never", null_value=""
    )
    return text.removesuffix(_AFTER_ROW)


def write_quarantined_rows(
    connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, sender: str, month: Month
) -> int:
    """Quarantined and duplicate rows with their reasons; the copy of the raw row here is without any BSN."""
    import polars as pl

    held = pl.concat([judged.held, judged.doubled])
    if not len(held):
        return 0
    hidden = {column.label.casefold() for column in judged.contract.columns if column.classification == "restricted"}
    labels = raw_labels(judged)
    is_hidden = [label.casefold() in hidden for label in labels]
    places = judged.opened.line_numbers.searchsorted(held["line_number"].to_numpy())
    raw = [
        json.dumps(
            {
                label: None if hide else value
                for label, value, hide in zip(labels, row, is_hidden, strict=True)
            },
            ensure_ascii=False,
        )
        for row in judged.opened.cells[places].fill_null("").iter_rows()
    ]  # fmt: skip
    frame = held.with_columns(
        _array("reasons"),
        pl.Series("raw", raw, dtype=pl.String),
        pl.lit(delivery_id).alias("delivery_id"),
        pl.lit(sender).alias("partner"),
        pl.lit(str(month)).alias("signal_month"),
        pl.lit(judged.contract.version).alias("contract_version"),
    )
    return copy_frame(connection, "landing.quarantined_rows", frame)


def raw_labels(judged: JudgedDelivery) -> list[str]:
    """The header with a name for every column and every name once."""
    labels: list[str] = []
    for index, label in enumerate(judged.opened.header):
        labels.append(label if label and label not in labels else f"{label} (column {index + 1})".strip())
    return labels


def copy_frame(connection: psycopg.Connection, table: str, frame: pl.DataFrame) -> int:
    """COPY the columns of a frame into the columns of that name (null is null); returns how many rows the server took.

    A column without any value is left out: the table's default says the same and costs nothing.
    """
    frame = frame.select(name for name in frame.columns if frame[name].null_count() < len(frame))
    if not len(frame):
        return 0
    # an empty text is a null here: readers never answer one
    statement = sql.SQL("copy {} ({}) from stdin (null '')").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy, _copy_text(frame).getbuffer() as content:
            for start in range(0, len(content), COPY_PIECE_BYTES):
                copy.write(content[start : start + COPY_PIECE_BYTES])
        return cursor.rowcount


def _copy_text(frame: pl.DataFrame) -> io.BytesIO:
    """The frame as COPY reads text. Signs of its own hardly ever stand in values, so they are looked for afterwards."""
    import polars as pl

    text = _written(frame)
    content = text.getvalue()
    if (
        b"\\" in content
        or b"\r" in content
        or content.count(b"\n") != len(frame)
        or content.count(b"\t") != (len(frame) * (frame.width - 1))
    ):
        signs = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        text = _written(frame.with_columns(_escaped(pl.col(name), signs) for name in texts))
    return text


def _written(frame: pl.DataFrame) -> io.BytesIO:
    text = io.BytesIO()
    frame.write_csv(text, include_header=False, separator="\t", quote_style="never", null_value="", batch_size=8192)
    return text


def _with_any(frame: pl.DataFrame, pattern: str) -> list[str]:
    """The columns of text in which something matches."""
    import polars.selectors as select

    found = frame.select(select.string().str.contains(pattern).any())
    return [name for name in found.columns if found[name].item()] if found.width else []


def _escaped(text: pl.Expr, signs: dict[str, str]) -> pl.Expr:
    return text.str.replace_many(list(signs), list(signs.values()))


def _array(name: str) -> pl.Expr:
    """A column of lists of reason codes (never text from a file) as PostgreSQL writes arrays."""
    import polars as pl

    return pl.concat_str(pl.lit("{"), pl.col(name).list.join(","), pl.lit("}")).alias(name)
