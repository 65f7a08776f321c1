"""Write judged rows into `landing`, set-wise: one COPY a table and part, inside the caller's transaction.

Rule: the raw row of every row of an accepted file is kept (`raw_blocks`, read as `raw_rows`; the only place where a BSN
stands), the good rows become canonical rows, the others stand in `quarantined_rows` with all their reasons (duplicates
too). A row is keyed by its delivery and line, so writing a delivery twice can only fail, never double.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.numeric import Int4

from include.contracts.registry import Contract
from include.ingest.opening import OpenedFile
from include.ingest.reading import GoodRows, JudgedDelivery
from include.ingest.signal_ids import WIDTH as ID_WIDTH
from include.ingest.signal_ids import SignalIds
from include.ingest.values import (
    AMOUNT,
    BOOLEAN,
    DATE,
    INTEGER,
    TEXT,
    FieldValues,
    Kind,
    Letters,
    Texts,
    are_many,
    refuse_outside,
)
from include.months import Month

if TYPE_CHECKING:
    import polars as pl

RAW_ROWS_A_BLOCK = 400
# what the sockets hold: of a larger one the rest is moved again and again
COPY_PIECE_BYTES = 512 * 1024
# Between the values and the rows of a raw block. Where a file holds them itself stands U+FFFD; archive/ has its bytes.
_AFTER_VALUE, _AFTER_ROW = "\x1f", "\x1e"


@dataclass(frozen=True)
class Utf8:
    """Text, as the bytes it has in UTF-8."""

    letters: bytes | memoryview


class _Utf8Dumper(Dumper):
    """Text that is UTF-8 already goes to the server as it is."""

    format = Format.BINARY
    oid = psycopg.adapters.types["text"].oid

    def dump(self, obj: Utf8) -> bytes | memoryview:
        return obj.letters


psycopg.adapters.register_dumper(Utf8, _Utf8Dumper)


class BooksDoNotBalance(RuntimeError):
    """Fewer or more rows stand in the warehouse than the file has; nothing of the delivery is kept."""


@dataclass(frozen=True)
class Ready:
    """Rows of a table as COPY reads them; what is the `same` in all of them stands beside it where the table knows it.

    Such a table has defaults that read it (migration 033).
    """

    table: str
    columns: tuple[str, ...]
    rows: int
    content: memoryview
    is_binary: bool = False
    same: Mapping[str, str] = field(default_factory=dict)


def prepare_signals(
    connection: psycopg.Connection, contract: Contract, delivery_id: str, month: Month
) -> Callable[[JudgedDelivery], Ready]:
    """What makes the good rows of a delivery ready as canonical signals, part by part; asks the connection only now."""
    same = {
        "delivery_id": delivery_id,
        "contract_version": contract.version,
        "partner": contract.partner,
        "sector": contract.sector,
        "signal_month": str(month),
    }
    return partial(_ready_signals, SignalIds.asked(connection, contract.partner, month), same)


def _ready_signals(ids: SignalIds, same: Mapping[str, str], judged: JudgedDelivery) -> Ready:
    import polars as pl

    table, good = "landing.signals", judged.good
    if not len(good):
        return _nothing(table)
    if are_many(good):
        return ready_binary(table, good, _id_column(ids, good), same)
    references = pl.Series(good.values_of("partner_reference"), dtype=pl.String)
    signals = good.frame.with_columns(ids.of(references).alias("signal_id"), flags=_array(good.frame["flags"]))
    return _ready(table, signals, same)


def write_signals(connection: psycopg.Connection, judged: JudgedDelivery, delivery_id: str, month: Month) -> int:
    """The good rows as canonical signals; returns how many."""
    make_ready = prepare_signals(connection, judged.contract, delivery_id, month)
    return write_ready(connection, make_ready(judged))


def read_held_row(connection: psycopg.Connection, delivery_id: str, line_number: int) -> dict[str, str | None]:
    """A quarantined row as delivered, by the labels of its file, without any BSN."""
    row = connection.execute(
        "select raw from landing.quarantined_rows where delivery_id = %s and line_number = %s",
        (delivery_id, line_number),
    ).fetchone()
    return row[0] if row else {}


def prepare_enrichment_results(
    _connection: psycopg.Connection, _contract: Contract, delivery_id: str, month: Month
) -> Callable[[JudgedDelivery], Ready]:
    """What makes the provider's answers ready."""
    same = {"delivery_id": delivery_id, "signal_month": str(month)}
    return lambda judged: _ready("landing.enrichment_results", judged.good.frame.drop("flags"), same)


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
            rows = Utf8(text.rows(start, len(lines)))
            blocks.append((int(lines[0]), int(lines[-1]), rows, text.row_end, text.value_end, False))
    else:
        for block in _numbered(opened).iter_slices(RAW_ROWS_A_BLOCK):
            rows = Utf8(_raw_text(block))
            blocks.append((block["line"][0], block["line"][-1], rows, _AFTER_ROW, _AFTER_VALUE, True))
    statement = (
        "copy landing.raw_blocks (delivery_id, signal_month, labels,"
        " first_line, last_line, lines, row_end, value_end, has_line_numbers) from stdin (format binary)"
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for first_line, last_line, *block in blocks:
            copy.write_row((delivery_id, str(month), labels, Int4(first_line), Int4(last_line), *block))
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
        return _nothing(table)
    hidden = {column.label.casefold() for column in judged.contract.columns if column.classification == "restricted"}
    places = judged.opened.line_numbers.searchsorted(held["line_number"].to_numpy())
    cells = judged.opened.cells_of(places)
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
    content = _copy_text(frame, list(same.values())).getbuffer() if len(frame) else memoryview(b"")
    return Ready(table, (*frame.columns, *same), len(frame), content)


def _nothing(table: str) -> Ready:
    return Ready(table, (), 0, memoryview(b""))


def write_ready(connection: psycopg.Connection, ready: Ready) -> int:
    """COPY the rows into their table; returns how many the server took."""
    if not ready.rows:
        return 0
    # an empty text is a null here: readers never answer one
    statement = sql.SQL("copy {} ({}) from stdin ({})").format(
        sql.Identifier(*ready.table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, ready.columns)),
        sql.SQL("format binary" if ready.is_binary else "null ''"),
    )
    with connection.cursor() as cursor:
        if ready.same:
            said = ", ".join("set_config(%s, %s, true)" for _ in ready.same)
            settings = [(f"vs.{name}", value) for name, value in ready.same.items()]
            cursor.execute(f"select {said}", [*itertools.chain(*settings)])
        with cursor.copy(statement) as copy:
            for start in range(0, len(ready.content), COPY_PIECE_BYTES):
                copy.write(ready.content[start : start + COPY_PIECE_BYTES])
        return cursor.rowcount


# -- as text -----------------------------------------------------------------------------------------------------------


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


# -- as binary, many rows at once --------------------------------------------------------------------------------------

_BEGIN, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_EPOCH_DAYS = (date(2000, 1, 1) - date(1970, 1, 1)).days


def ready_binary(table: str, good: GoodRows, ids: Texts, same: Mapping[str, str]) -> Ready:
    """The good rows as PostgreSQL holds them, without what is the `same` in all; for fields of an `_AS_BINARY` kind.

    A column without any value, or all false, is left out: the table's default says the same and costs nothing.
    """
    from include.ingest.loops import rows_for_copy

    letters, rows = ids.letters, good.rows
    columns = {
        name: _AS_BINARY[values.kind](letters, values)
        for name, values in good.fields.items()
        if not values.is_null[rows].all() and (values.kind is not BOOLEAN or values.numbers[rows].any())
    }
    lines = good.line_numbers_of_all
    columns |= {
        "line_number": _integers(letters, FieldValues.of(INTEGER, lines, np.zeros(len(lines), dtype=bool))),
        "signal_id": ids,
        "flags": _flags(letters, good),
    }
    begins = np.stack([texts.begins for texts in columns.values()])
    lengths = np.stack([texts.lengths for texts in columns.values()])
    refuse_outside(letters.whole, begins, lengths)
    content = rows_for_copy(
        letters.whole,
        begins,
        lengths,
        rows,
        np.frombuffer(_BEGIN, dtype=np.uint8),
        np.frombuffer(len(columns).to_bytes(2), dtype=np.uint8),
        np.frombuffer(_END, dtype=np.uint8),
    )
    return Ready(table, tuple(columns), len(rows), memoryview(content), is_binary=True, same=same)


def _id_column(ids: SignalIds, good: GoodRows) -> Texts:
    """The ids of the good rows, in letters that end behind all others."""
    references, rows = good.fields["partner_reference"], good.rows
    letters, count = references.texts.letters, len(references.texts.begins)
    joined = ids.of(references.values.gather(rows)).str.join("").item().encode()
    written = np.frombuffer(joined, dtype=np.uint8).reshape(len(rows), ID_WIDTH)
    return Texts.none(letters, count).scattered(rows, Texts.of_width(letters, written, np.zeros(len(rows), dtype=bool)))


def _bytes_of(letters: Letters, numbers: np.ndarray, is_null: np.ndarray) -> Texts:
    """Each row of big-endian numbers as the bytes it has."""
    return Texts.of_width(letters, numbers.view(np.uint8).reshape(len(is_null), -1), is_null)


def _texts(_: Letters, values: FieldValues) -> Texts:
    return values.texts


def _integers(letters: Letters, values: FieldValues) -> Texts:
    return _bytes_of(letters, values.numbers.astype(">i4"), values.is_null)


def _dates(letters: Letters, values: FieldValues) -> Texts:
    return _bytes_of(letters, (values.numbers - _EPOCH_DAYS).astype(">i4"), values.is_null)


def _booleans(letters: Letters, values: FieldValues) -> Texts:
    return _bytes_of(letters, values.numbers.astype(np.uint8), values.is_null)


def _amounts(letters: Letters, values: FieldValues) -> Texts:
    """numeric: how many digits of base 10,000 there are, the first one's power, sign, decimals, and the digits."""
    cents = np.abs(values.numbers)
    parts = np.empty((len(cents), 8), dtype=">i2")
    parts[:, 0], parts[:, 1], parts[:, 2], parts[:, 3] = 4, 2, np.where(values.numbers < 0, 0x4000, 0), 2
    euros = cents // 100
    parts[:, 4], parts[:, 5], parts[:, 6] = euros // 10**8, euros // 10**4 % 10**4, euros % 10**4
    parts[:, 7] = cents % 100 * 100
    return _bytes_of(letters, parts, values.is_null)


def _flags(letters: Letters, good: GoodRows) -> Texts:
    """text[]: how many dimensions, no nulls, the type of its values; then how many, counted from 1, and each."""
    text = psycopg.adapters.types["text"].oid.to_bytes(4)
    sets = [
        (0).to_bytes(8) + text
        if not flags
        else (1).to_bytes(4) + bytes(4) + text + len(flags).to_bytes(4) + (1).to_bytes(4)
        + b"".join(len(flag.encode()).to_bytes(4) + flag.encode() for flag in flags)
        for flags in good.flag_sets
    ]  # fmt: skip
    lengths = np.array(list(map(len, sets)), dtype=np.int32)
    begins = letters.add(np.frombuffer(b"".join(sets), dtype=np.uint8)) + np.append(0, np.cumsum(lengths)[:-1])
    of_sets = Texts(letters, begins.astype(np.int32), lengths)
    return Texts.none(letters, len(good.line_numbers_of_all)).scattered(good.rows, of_sets.at(good.flag_set_of_row))


_AS_BINARY: dict[Kind, Callable[[Letters, FieldValues], Texts]] = {
    TEXT: _texts,
    INTEGER: _integers,
    DATE: _dates,
    BOOLEAN: _booleans,
    AMOUNT: _amounts,
}
