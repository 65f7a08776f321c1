"""Write judged rows into `landing`, set-wise: one COPY a table and part, inside the caller's transaction.

Rule: the raw row of every row of an accepted file is kept (`raw_blocks`, read as `raw_rows`; the only place where a BSN
stands), the good rows become canonical rows, the others stand in `quarantined_rows` with all their reasons (duplicates
too). A row is keyed by its delivery and line, so writing a delivery twice can only fail, never double.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format

from include.ingest.opening import OpenedFile, Utf8
from include.ingest.reading import JudgedDelivery
from include.months import Month

if TYPE_CHECKING:
    import polars as pl

RAW_ROWS_A_BLOCK = 4000
COPY_PIECE_BYTES = 1024 * 1024
# Between the values and the rows of a raw block. Where a file holds them itself stands U+FFFD; archive/ has its bytes.
_AFTER_VALUE, _AFTER_ROW = "\x1f", "\x1e"
# an id shows twenty hexadecimal digits of its hash
_DIGEST_BYTES = 10


class _Utf8Dumper(Dumper):
    """Text that is UTF-8 already goes to the server as it is."""

    format = Format.BINARY
    oid = psycopg.adapters.types["text"].oid

    def dump(self, obj: Utf8) -> bytes:
        return obj


psycopg.adapters.register_dumper(Utf8, _Utf8Dumper)


class BooksDoNotBalance(RuntimeError):
    """Fewer or more rows stand in the warehouse than the file has; nothing of the delivery is kept."""


@dataclass(frozen=True)
class Ready:
    """Rows of a table as COPY reads them."""

    table: str
    columns: tuple[str, ...]
    rows: int
    text: io.BytesIO


def ready_signals(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> Ready:
    """The good rows as canonical signals; the connection is only asked for their ids."""
    table, contract, good = "landing.signals", judged.contract, judged.good
    if not len(good):
        return Ready(table, (), 0, io.BytesIO())
    ids = signal_ids(connection, contract.partner, month, good["partner_reference"])
    return _ready(
        table,
        good.with_columns(ids.alias("signal_id"), _array(good["flags"])),
        {
            "delivery_id": delivery_id,
            "contract_version": contract.version,
            "partner": contract.partner,
            "sector": contract.sector,
            "signal_month": str(month),
        },
    )


def write_signals(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """The good rows as canonical signals; returns how many."""
    return write_ready(connection, ready_signals(connection, judged, delivery_id, month))


def read_held_row(connection: psycopg.Connection, delivery_id: str, line_number: int) -> dict[str, str | None]:
    """A quarantined row as delivered, by the labels of its file, without any BSN."""
    row = connection.execute(
        "select raw from landing.quarantined_rows where delivery_id = %s and line_number = %s",
        (delivery_id, line_number),
    ).fetchone()
    return row[0] if row else {}


def ready_enrichment_results(_: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> Ready:
    """The provider's answers."""
    same = {"delivery_id": delivery_id, "signal_month": str(month)}
    return _ready("landing.enrichment_results", judged.good.drop("flags"), same)


def signal_ids(connection: psycopg.Connection, partner: str, month: Month, references: pl.Series) -> pl.Series:
    """The ids of a partner's signals of a month, asked once; the key they are made with stays in the warehouse."""
    import polars as pl

    joined = references.str.join(_AFTER_VALUE).item()
    is_splittable = joined.count(_AFTER_VALUE) == len(references) - 1
    row = connection.execute(
        f"select ops.signal_digests(%s, %s, {'string_to_array(%s, %s)' if is_splittable else '%s::text[]'})",
        (partner, str(month), *((joined, _AFTER_VALUE) if is_splittable else (references.to_list(),))),
        binary=True,
    ).fetchone()
    assert row is not None
    digests = pl.Series([row[0].hex(",", _DIGEST_BYTES)]).str.split(",").explode()
    return digests.to_frame("digest").select(pl.concat_str(pl.lit("signal_"), "digest")).to_series()


def write_raw_rows(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """Every row of the file as delivered, whatever became of it; the file's own text where it can be."""
    opened = judged.opened
    if opened.is_empty:
        return 0
    labels, text = raw_labels(judged), opened.verbatim
    blocks: list[tuple[int, int, Utf8, str, str, bool]] = []
    if text is not None:
        for start in range(0, len(opened), RAW_ROWS_A_BLOCK):
            lines = opened.line_numbers[start : start + RAW_ROWS_A_BLOCK]
            rows = text.rows(start, len(lines))
            blocks.append((int(lines[0]), int(lines[-1]), rows, text.row_end, text.value_end, False))
    else:
        for block in _numbered(opened).iter_slices(RAW_ROWS_A_BLOCK):
            rows = Utf8(_raw_text(block))
            blocks.append((block["line"][0], block["line"][-1], rows, _AFTER_ROW, _AFTER_VALUE, True))
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into landing.raw_blocks (delivery_id, signal_month, labels,"
            " first_line, last_line, lines, row_end, value_end, has_line_numbers)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(delivery_id, str(month), labels, *block) for block in blocks],
        )
    return len(opened)


def _numbered(opened: OpenedFile) -> pl.DataFrame:
    """The rows with their line numbers before them, and none of the signs that go between them in any value."""
    import polars as pl

    marks = {_AFTER_VALUE: "\ufffd", _AFTER_ROW: "\ufffd"}
    cells = opened.cells.with_columns(_escaped(pl.col(name), marks) for name in _with_any(opened.cells, "[\x1e\x1f]"))
    return cells.insert_column(0, pl.Series("line", opened.line_numbers))


def _raw_text(block: pl.DataFrame) -> bytes:
    text = io.BytesIO()
    block.write_csv(
        text,
        include_header=False,
        separator=_AFTER_VALUE,
        line_terminator=_AFTER_ROW,
        quote_style="never",
        null_value="",
    )
    return text.getvalue().removesuffix(_AFTER_ROW.encode())


def ready_quarantined_rows(judged: JudgedDelivery, delivery_id: str, sender: str, month: Month) -> Ready:
    """Quarantined and duplicate rows with their reasons; the copy of the raw row here is without any BSN."""
    import polars as pl

    table, held = "landing.quarantined_rows", pl.concat([judged.held, judged.doubled])
    if not len(held):
        return Ready(table, (), 0, io.BytesIO())
    hidden = {column.label.casefold() for column in judged.contract.columns if column.classification == "restricted"}
    places = judged.opened.line_numbers.searchsorted(held["line_number"].to_numpy())
    cells = judged.opened.cells[places]
    raw = cells.select(
        pl.struct(
            pl.lit(None, dtype=pl.String).alias(label)
            if label.casefold() in hidden
            else pl.col(place).fill_null("").alias(label)
            for place, label in zip(cells.columns, raw_labels(judged), strict=True)
        ).struct.json_encode()
    ).to_series()
    return _ready(
        table,
        held.with_columns(_array(held["reasons"]), raw.alias("raw")),
        {
            "delivery_id": delivery_id,
            "partner": sender,
            "signal_month": str(month),
            "contract_version": judged.contract.version,
        },
    )


def raw_labels(judged: JudgedDelivery) -> list[str]:
    """The header with a name for every column and every name once."""
    labels: list[str] = []
    for index, label in enumerate(judged.opened.header):
        labels.append(label if label and label not in labels else f"{label} (column {index + 1})".strip())
    return labels


def _ready(table: str, frame: pl.DataFrame, same: Mapping[str, str]) -> Ready:
    """The columns of a frame for the columns of that name (null is null), and what is the `same` in every row.

    A column without any value is left out: the table's default says the same and costs nothing.
    """
    frame = frame.select(name for name in frame.columns if frame[name].null_count() < len(frame))
    text = _copy_text(frame, list(same.values())) if len(frame) else io.BytesIO()
    return Ready(table, (*frame.columns, *same), len(frame), text)


def write_ready(connection: psycopg.Connection, ready: Ready) -> int:
    """COPY the rows into their table; returns how many the server took."""
    if not ready.rows:
        return 0
    # an empty text is a null here: readers never answer one
    statement = sql.SQL("copy {} ({}) from stdin (null '')").format(
        sql.Identifier(*ready.table.split(".")), sql.SQL(", ").join(map(sql.Identifier, ready.columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy, ready.text.getbuffer() as content:
            for start in range(0, len(content), COPY_PIECE_BYTES):
                copy.write(content[start : start + COPY_PIECE_BYTES])
        return cursor.rowcount


_COPY_SIGNS = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _copy_text(frame: pl.DataFrame, same: Sequence[str]) -> io.BytesIO:
    """The frame as COPY reads text, each row followed by the values of `same`.

    Signs of COPY's own hardly ever stand in values, so they are looked for afterwards.
    """
    import polars as pl

    # written as one value a row: the separators between them are in it
    tail = "\t".join(re.sub(r"[\\\t\n\r]", lambda sign: _COPY_SIGNS[sign[0]], value) for value in same)
    behind = [pl.lit(tail).alias("\t")] if same else []
    text = _written(frame.with_columns(behind))
    content = np.frombuffer(text.getbuffer(), dtype=np.uint8)
    # below a space stand the tabs between values, the line ends, and what should be neither
    between = len(frame) * (frame.width + len(same))
    has_signs = np.count_nonzero(content == ord("\\")) != len(frame) * tail.count("\\")
    if has_signs or np.count_nonzero(content < ord(" ")) != between:
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        text = _written(frame.with_columns(_escaped(pl.col(name), _COPY_SIGNS) for name in texts).with_columns(behind))
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


def _array(codes: pl.Series) -> pl.Series:
    """Lists of reason codes (never text from a file) as PostgreSQL writes arrays."""
    import polars as pl

    # most lists are empty
    filled = np.flatnonzero((codes.list.len() > 0).to_numpy())
    written = pl.select(pl.lit("{") + codes[filled].list.join(",") + pl.lit("}")).to_series()
    return pl.repeat("{}", len(codes), dtype=pl.String, eager=True).scatter(filled, written).alias(codes.name)
