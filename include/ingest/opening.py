"""From the bytes of a delivery to parts of rows of text, or to the reason why it cannot be opened.

Rule: nothing is guessed. The encoding is proven (strict UTF-8, else the single-byte one the contract allows) and text
that went through the wrong encoding before (`Ã©`, U+FFFD) is refused. Everything stays text: what a value means is
decided later, by the readers the contract names. Only for number cells of a workbook it is kept that they were numbers.
A file of text is read as a stream, in parts of a few megabytes that end where a row ends: memory follows the part, not
the file. A part without a quotation mark is split where its separators stand; one with is read by the csv module.
Reason: a partner's file may be broken, hostile or huge; it must cost one refused delivery, never the process.
How to change: what a file looks like (sheet, title rows, total row, separator, encodings, size) stands in the contract.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from include.contracts.registry import Contract, FileFormat
from include.ingest.values import Letters, Texts, refuse_outside

if TYPE_CHECKING:
    import polars as pl

FILE_UNREADABLE = "file_unreadable"
FILE_HEADER = "file_header"

# How much of a file is judged at a time: large enough to be set-wise, small enough to be written meanwhile.
PART_BYTES = 3 * 1024 * 1024
# The first part is so many times smaller: whoever writes waits for it.
FIRST_PART = 4
# From so many bytes on the values of a part are found by a compiled loop, which takes a while to load.
LARGE_PART_BYTES = 256 * 1024
# The csv module's own limit to one value; a row without an end is refused long before it fills the memory.
LONGEST_CELL = 131_072
LONGEST_ROW_BYTES = 16 * 1024 * 1024

# A workbook is a compressed archive: these bound what it may become in memory, whatever its size on disk.
MOST_UNPACKED_BYTES = 256 * 1024 * 1024
MOST_ARCHIVE_MEMBERS = 1_000
MOST_CELLS = 10_000_000
_BROKEN_ARCHIVE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)

# UTF-8 bytes that were once read as Windows-1252 and saved again: é became Ã©, ‘ became â€˜.
_CONTINUATIONS = "".join(
    dict.fromkeys(
        bytes([byte]).decode("cp1252", errors="ignore") + chr(byte)
        for byte in range(0x80, 0xC0)
    )
)  # fmt: skip
_MOJIBAKE = re.compile(f"[ÃÂ][{re.escape(_CONTINUATIONS)}]|[ÄÅ][\u0080-\u00bf]|â€[{re.escape(_CONTINUATIONS)}]")
_MOJIBAKE_BEGINS = "ÃÂÄÅâ"
_CELL_ADDRESS = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,3})(\d{1,7})["']""")
_LINE_END, _CARRIAGE_RETURN = ord("\n"), ord("\r")
# What str.strip() takes away: a row of nothing else is no row.
_BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())


class FileRefused(Exception):
    """The file as a whole cannot be read; `code` is the reason code of interfaces §2."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Verbatim:
    """Rows as they stand in the file, when each of its lines is one.

    `begins` says where in the text each of them begins, and where one after the last would.
    """

    text: bytes
    begins: np.ndarray
    row_end: str
    value_end: str

    def rows(self, first: int, count: int) -> memoryview:
        """So many rows (or all that are left) from the first, without the end of the last."""
        last = min(first + count, len(self.begins) - 1)
        return memoryview(self.text)[self.begins[first] : self.begins[last] - len(self.row_end)]

    def lines(self, rows: np.ndarray) -> bytes:
        """These rows, one a line. Only of a large part: a compiled loop puts them together."""
        from include.ingest.loops import side_by_side

        lengths = np.diff(self.begins) - len(self.row_end)
        letters = np.frombuffer(self.text, dtype=np.uint8)
        refuse_outside(letters, self.begins[:-1], lengths)
        return side_by_side(letters, self.begins[:-1], lengths, rows, _LINE_END).tobytes()


@dataclass(frozen=True)
class OpenedFile:
    """The header and rows of a file (or of one part of it), as text.

    `misshapen` says which rows were wider or narrower than the header. `verbatim` is None where a row is not simply a
    line. Of a large part with such rows only is known where its values stand (`places`, by column); the cells of any
    other are given.
    """

    header: tuple[str, ...]
    given_cells: pl.DataFrame | None
    line_numbers: np.ndarray
    misshapen: np.ndarray
    number_cells: dict[int, np.ndarray] = field(default_factory=dict)
    verbatim: Verbatim | None = None
    places: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.line_numbers)

    @property
    def is_empty(self) -> bool:
        return not len(self)

    @cached_property
    def cells(self) -> pl.DataFrame:
        """One column of text for every label of the header, named by its place ("0", "1", …); an empty cell is null."""
        return self.given_cells if self.given_cells is not None else self.cells_of(np.arange(len(self)))

    def cells_of(self, rows: np.ndarray) -> pl.DataFrame:
        """The cells of these rows."""
        if self.given_cells is not None:
            return self.given_cells[rows]
        assert self.verbatim is not None
        lines = self.verbatim.lines(rows)
        return _split(lines, self.verbatim.value_end, len(self.header))

    @cached_property
    def letters(self) -> Letters:
        """All its texts, and what is made of them."""
        return Letters(self.verbatim.text if self.verbatim is not None and self.places is not None else b"")

    def texts(self, place: int) -> Texts:
        """The values of a column."""
        if self.places is None:
            return Texts.written(self.letters, self.cells[str(place)].to_list())
        begins, lengths = self.places
        return Texts(self.letters, begins[place], lengths[place])

    @cached_property
    def rows(self) -> list[tuple[str, ...]]:
        """Row by row, for whoever looks at few of them."""
        return self.cells.fill_null("").rows()

    def only(self, kept: np.ndarray) -> OpenedFile:
        """These rows of it (a mask)."""
        import polars as pl

        numbers = {place: mask[kept] for place, mask in self.number_cells.items()}
        cells = self.cells.filter(pl.Series(kept, dtype=pl.Boolean))
        return OpenedFile(self.header, cells, self.line_numbers[kept], self.misshapen[kept], numbers)


def nothing(header: tuple[str, ...] = ()) -> OpenedFile:
    """A file (or part) without rows."""
    return OpenedFile(header, _frame([], len(header)), np.empty(0, dtype=np.int64), np.empty(0, dtype=bool))


def together(parts: Sequence[OpenedFile]) -> OpenedFile:
    """The parts of one file as one."""
    import polars as pl

    if len(parts) == 1:
        return parts[0]
    numbers = {place: np.concatenate([part.number_cells[place] for part in parts]) for place in parts[0].number_cells}
    return OpenedFile(
        parts[0].header,
        pl.concat([part.cells for part in parts]),
        np.concatenate([part.line_numbers for part in parts]),
        np.concatenate([part.misshapen for part in parts]),
        numbers,
    )


def too_large(contract: Contract) -> FileRefused:
    """The refusal of a file above the contract's limit."""
    limit = f"{contract.format.max_bytes // 1024 // 1024} MB of {contract.reference}"
    return FileRefused(FILE_UNREADABLE, f"the file is larger than the {limit}; deliver it in parts (_01, _02, …)")


def open_parts(contract: Contract, file: BinaryIO) -> Iterator[OpenedFile]:
    """The rows of a delivery, part by part, at least one part; FileRefused, at any part, when it cannot be opened."""
    shape = contract.format
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > shape.max_bytes:
        raise too_large(contract)
    if shape.kind == "xlsx":
        yield _without_total(shape, _open_workbook(shape, file.read()))
        return
    parts = _those_with_rows(_csv_parts(shape, _Text(file, _encoding(shape, file))))
    yield from _without_last_total(shape, parts) if shape.total_row_label else parts


def _those_with_rows(parts: Iterable[OpenedFile]) -> Iterator[OpenedFile]:
    """The parts that have rows, or one that has none."""
    is_any, empty = False, nothing()
    for part in parts:
        if part.is_empty:
            empty = part
        else:
            is_any = True
            yield part
    if not is_any:
        yield empty


def _without_last_total(shape: FileFormat, parts: Iterator[OpenedFile]) -> Iterator[OpenedFile]:
    """The same without the total row, which is the last row of the last part."""
    held_back = next(parts)
    for part in parts:
        yield held_back
        held_back = part
    yield _without_total(shape, held_back)


def read_labels(contract: Contract, file: BinaryIO) -> tuple[str, ...]:
    """The header of a delivery, or of its first lines; FileRefused when it is not written as the contract says."""
    shape = contract.format
    if shape.kind == "xlsx":
        return _open_workbook(shape, file.read()).header
    return _header(shape, _Text(file, _encoding(shape, file)))[0]


# -- text --------------------------------------------------------------------------------------------------------------


def _encoding(shape: FileFormat, file: BinaryIO) -> str:
    """The first of the contract's encodings that fits every byte; the last one is proven while the file is read."""
    possible = [_codec(encoding) for encoding in shape.encodings]
    decoders = {encoding: codecs.getincrementaldecoder(encoding)() for encoding in possible[:-1]}
    while piece := file.read(PART_BYTES):
        if b"\x00" in piece:
            detail = f"the file is UTF-16 or no text at all; save it as {shape.encodings[0]}"
            raise FileRefused(FILE_UNREADABLE, detail)
        for encoding, decoder in list(decoders.items()):
            if not _fits(decoder, piece):
                del decoders[encoding]
    fitting = [encoding for encoding, decoder in decoders.items() if _fits(decoder, b"", final=True)]
    file.seek(0)
    return fitting[0] if fitting else possible[-1]


def _codec(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding


def _fits(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class _Letters:
    """Of an encoding with a byte a letter: what each is in UTF-8, in how many bytes, and where one must look closer."""

    written: np.ndarray
    sizes: np.ndarray
    is_suspect: np.ndarray

    def recode(self, data: bytes) -> bytes | None:
        """The same in UTF-8; None when a byte is no letter, or one with which garbled text begins."""
        from include.ingest.loops import recoded

        letters = np.frombuffer(data, dtype=np.uint8)
        others = np.flatnonzero(letters >= 0x80)
        if self.is_suspect[letters[others]].any():
            return None
        return recoded(letters, others, self.written, self.sizes).tobytes()


@cache
def _letters_of(encoding: str) -> _Letters | None:
    """The letters of an encoding; None when it has some of more bytes than one."""
    letters = [bytes([number]).decode(encoding, errors="ignore") for number in range(256)]
    if letters[:0x80] != list(map(chr, range(0x80))) or not any(letters[0x80:]):
        return None
    written, sizes = np.zeros((256, 4), dtype=np.uint8), np.zeros(256, dtype=np.uint8)
    for number, letter in enumerate(map(str.encode, letters)):
        written[number, : len(letter)], sizes[number] = np.frombuffer(letter, dtype=np.uint8), len(letter)
    return _Letters(written, sizes, np.array([letter == "" or letter in _MOJIBAKE_BEGINS for letter in letters]))


class _Text:
    """The text of a file in UTF-8, in pieces of whole lines."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self._rest = b""
        self._is_read = False
        self._bytes_left = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._part_bytes = self._next_bytes = PART_BYTES // FIRST_PART
        self._given_back = b""
        self._bytes_proven = 0

    def take(self) -> bytes:
        """The next piece; nothing at the end of the file."""
        if self._given_back:
            piece, self._given_back = self._given_back, b""
            return piece
        while not self._is_read:
            read = self._file.read(self._next_bytes)
            self._is_read = not read
            self._bytes_left -= len(read)
            # each is twice as large as the one before, up to the usual size: who writes does not wait for the next
            self._part_bytes = min(2 * self._part_bytes, PART_BYTES)
            # of what is left for two parts each has half: a small one would be left over, and the last one waited for
            are_two_left = PART_BYTES < self._bytes_left < 2 * PART_BYTES
            self._next_bytes = self._bytes_left // 2 + 1 if are_two_left else self._part_bytes
            data = self._rest + read
            # a lone carriage return ends a line too; as the last byte it may be half an end
            end = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1
            if self._is_read:
                end = len(data)
            whole, self._rest = data[:end], data[end:]
            if len(self._rest) > LONGEST_ROW_BYTES:
                raise FileRefused(FILE_UNREADABLE, "a row without an end; is this the file that was meant?")
            if whole:
                piece = self._proven(whole)
                self._bytes_proven += len(whole)
                return piece
        return b""

    def give_back(self, piece: bytes) -> None:
        """What was taken and not read comes again."""
        self._given_back = piece + self._given_back

    def _proven(self, data: bytes) -> bytes:
        if data.isascii():
            return data
        # a piece ends where a line does, so within a letter it never does; what marks UTF-8 stands before the first
        plain = self._encoding.removesuffix("-sig")
        table = _letters_of(self._encoding) if len(data) >= LARGE_PART_BYTES else None
        if table is not None and (recoded := table.recode(data)) is not None:
            return recoded
        try:
            text = data.decode(plain if self._bytes_proven else self._encoding)
        except UnicodeDecodeError as error:
            raise FileRefused(FILE_UNREADABLE, f"the file is not written in {plain}; save it as utf-8") from error
        self._refuse_garbled(text)
        return text.encode()

    def _refuse_garbled(self, text: str) -> None:
        if "\ufffd" in text:
            raise FileRefused(FILE_UNREADABLE, "letters were lost before the file reached us (U+FFFD); export it again")
        if not any(letter in text for letter in _MOJIBAKE_BEGINS):
            return
        if garbled := _MOJIBAKE.search(text):
            self._file.seek(0)
            line = self._file.read(self._bytes_proven).count(b"\n") + text.count("\n", 0, garbled.start()) + 1
            detail = f"letters with accents are garbled (first on line {line}); export it again as utf-8"
            raise FileRefused(FILE_UNREADABLE, detail)


def _csv_parts(shape: FileFormat, text: _Text) -> Iterator[OpenedFile]:
    """The rows below the header, part by part; no part at all when there is no header."""
    header, line = _header(shape, text)
    if not header:
        return
    while piece := text.take():
        found = None if b'"' in piece or len(header) == 1 else _split_rows(shape, header, piece, line)
        part, lines = found or _recorded_rows(shape, header, piece, line, text)
        line += lines
        yield part
    yield nothing(header)


def _header(shape: FileFormat, text: _Text) -> tuple[tuple[str, ...], int]:
    """The labels, and how many lines were read to find them."""
    source = _Lines(text)
    reader = csv.reader(source, delimiter=shape.delimiter, strict=True)
    number = 0
    while (record := _next_record(reader, 0)) is not None:
        if number >= shape.title_rows and any(map(str.strip, record)):
            source.leave()
            return tuple(label.strip() for label in _without_empty_end(record)), reader.line_num
        number += 1
    return (), reader.line_num


class _Lines:
    """The lines of a text, one by one, across its pieces; what was not asked for can be given back."""

    def __init__(self, text: _Text, piece: bytes = b"") -> None:
        self._text = text
        self._begin(piece)
        self.pieces = 0

    def _begin(self, piece: bytes) -> None:
        written = piece.decode()
        self._lines = io.StringIO(written, newline="")
        self.characters_left = len(written)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.characters_left:
            self._begin(self._text.take())
            self.pieces += 1
        line = self._lines.readline()
        if not line:
            raise StopIteration
        self.characters_left -= len(line)
        return line

    def leave(self) -> None:
        self._text.give_back(self._lines.read().encode())


def _next_record(reader: Any, lines_before: int) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise FileRefused(
            FILE_UNREADABLE,
            f"line {lines_before + reader.line_num}: {error} (a quotation mark that is not closed, or not doubled)",
        ) from error


def _recorded_rows(
    shape: FileFormat, header: tuple[str, ...], piece: bytes, lines_before: int, text: _Text
) -> tuple[OpenedFile, int]:
    """The rows of a piece as the csv module reads them; the last one may end in a piece after it."""
    source = _Lines(text, piece)
    reader = csv.reader(source, delimiter=shape.delimiter, strict=True)
    records, begins = [], [lines_before + 1]
    while source.characters_left and not source.pieces:
        record = _next_record(reader, lines_before)
        if record is None:
            break
        records.append(record)
        begins.append(lines_before + reader.line_num + 1)
    source.leave()
    return _as_opened(header, records, np.array(begins[:-1], dtype=np.int64), shape.delimiter), reader.line_num


def _split_rows(
    shape: FileFormat, header: tuple[str, ...], piece: bytes, lines_before: int
) -> tuple[OpenedFile, int] | None:
    """The rows of a piece without quotation marks: a line is a row. None when the csv module must judge its length."""
    import polars as pl

    if straight := _straight_rows(shape, header, piece, lines_before):
        return straight, len(straight)
    written = piece.decode()
    if "\r" in written:
        written = written.replace("\r\n", "\n").replace("\r", "\n")
    lines = pl.Series([written.removesuffix("\n")]).str.split("\n").explode()
    if int(lines.str.len_bytes().max()) > LONGEST_CELL:  # type: ignore[arg-type]
        return None
    width, count = len(header), len(lines)
    numbers = np.arange(lines_before + 1, lines_before + count + 1)
    is_row = (lines.str.strip_chars(shape.delimiter + _BLANKS) != "").to_numpy()
    fits = (lines.str.count_matches(shape.delimiter, literal=True) == width - 1).to_numpy()
    odd = is_row & ~fits
    places = np.flatnonzero(odd)
    fitted = [_fitted(line.split(shape.delimiter), width, shape.delimiter) for line in lines.gather(places).to_list()]
    # what does not fit stands aside while the others are split, and comes back in its place
    straight = lines.filter(pl.Series(is_row & fits))
    cells = pl.concat([
        _split("\n".join(straight.to_list()).encode(), shape.delimiter, width) if len(straight) else _frame([], width),
        _frame([row for row, _ in fitted], width),
    ])  # fmt: skip
    order = np.empty(count, dtype=np.int64)
    order[is_row & fits] = np.arange(len(straight))
    order[odd] = len(straight) + np.arange(len(places))
    misshapen = np.zeros(count, dtype=bool)
    misshapen[places] = [is_misshapen for _, is_misshapen in fitted]
    return OpenedFile(header, cells[order[is_row]], numbers[is_row], misshapen[is_row]), count


def _straight_rows(shape: FileFormat, header: tuple[str, ...], text: bytes, lines_before: int) -> OpenedFile | None:
    """The rows of a piece in which every line is a row as wide as the header; None when one is not."""
    if not shape.delimiter.isascii():
        return None
    if len(text) >= LARGE_PART_BYTES and text.endswith(b"\n"):
        return _placed_rows(shape, header, text, lines_before)
    row_end = b"\r\n" if text.endswith(b"\r\n") else b"\n"
    text, width = text.removesuffix(row_end), len(header)
    # where a value ends: every so many of them must be the end of a line, and no other may
    signs = np.frombuffer(text, dtype=np.uint8)
    is_line_end = signs == _LINE_END
    ends = np.flatnonzero(is_line_end | (signs == ord(shape.delimiter)))
    line_ends = ends[width - 1 :: width]
    count = len(line_ends) + 1
    if len(ends) != count * width - 1 or np.count_nonzero(is_line_end) != count - 1 or not is_line_end[line_ends].all():
        return None
    returns = np.count_nonzero(signs == _CARRIAGE_RETURN)
    are_behind_returns = row_end == b"\r\n" and (signs[line_ends - 1] == _CARRIAGE_RETURN).all()
    if returns != (count - 1 if are_behind_returns else 0):
        return None
    if np.diff(line_ends, prepend=-1, append=len(text)).max() > LONGEST_CELL:
        return None
    begins = np.append(0, line_ends + 1)
    cells = _split(text, shape.delimiter, width)
    if _has_blank_row(cells, _may_be_blank(signs[begins], shape)):
        return None
    numbers = np.arange(lines_before + 1, lines_before + count + 1)
    as_it_stands = Verbatim(text, np.append(begins, len(text) + len(row_end)), row_end.decode(), shape.delimiter)
    return OpenedFile(header, cells, numbers, np.zeros(count, dtype=bool), verbatim=as_it_stands)


def _placed_rows(shape: FileFormat, header: tuple[str, ...], text: bytes, lines_before: int) -> OpenedFile | None:
    """The same of a large piece: where its values stand, and nothing copied."""
    from include.ingest.loops import values_of_lines

    width, row_end = len(header), "\r\n" if text.endswith(b"\r\n") else "\n"
    letters = np.frombuffer(text, dtype=np.uint8)
    count = np.count_nonzero(letters == _LINE_END)
    begins, lengths = np.empty((width, count), dtype=np.int32), np.empty((width, count), dtype=np.int32)
    line_begins = np.empty(count + 1, dtype=np.int32)
    has_returns = row_end == "\r\n"
    if not values_of_lines(letters, ord(shape.delimiter), has_returns, LONGEST_CELL, begins, lengths, line_begins):
        return None
    numbers = np.arange(lines_before + 1, lines_before + count + 1)
    as_it_stands = Verbatim(text, line_begins, row_end, shape.delimiter)
    places = begins, lengths
    return OpenedFile(header, None, numbers, np.zeros(count, dtype=bool), verbatim=as_it_stands, places=places)


def _may_be_blank(first_signs: np.ndarray, shape: FileFormat) -> np.ndarray:
    """Which rows begin with nothing, with a blank, or with a letter that might be one."""
    return np.flatnonzero((first_signs <= ord(" ")) | (first_signs == ord(shape.delimiter)) | (first_signs > ord("~")))


def _has_blank_row(cells: pl.DataFrame, looked_at: np.ndarray) -> bool:
    """True when in one of these rows no column has anything but blanks."""
    import polars as pl

    is_blank = pl.all_horizontal(pl.all().str.strip_chars(_BLANKS).fill_null("") == "")
    return bool(len(looked_at)) and cells[looked_at].filter(is_blank).height > 0


def _split(text: bytes, delimiter: str, width: int) -> pl.DataFrame:
    """Lines that all have `width` values, as columns of text; an empty value is null."""
    import polars as pl

    return pl.read_csv(
        text,
        separator=delimiter,
        has_header=False,
        quote_char=None,
        schema={str(place): pl.String for place in range(width)},
        raise_if_empty=False,
    )


def _frame(rows: Sequence[Sequence[str]], width: int) -> pl.DataFrame:
    """Rows of equal width as columns of text; an empty value is null."""
    import polars as pl

    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    frame = pl.DataFrame({str(place): pl.Series(column, dtype=pl.String) for place, column in enumerate(columns)})
    return frame.select(pl.when(pl.all() != "").then(pl.all())) if width else frame


# -- workbooks ---------------------------------------------------------------------------------------------------------


def _open_workbook(shape: FileFormat, data: bytes) -> OpenedFile:
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound

    if not data.strip():
        return nothing()
    _refuse_bombs(data)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        name = shape.sheet or workbook.sheet_names[0]
        cells = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except WorksheetNotFound as error:
        raise FileRefused(FILE_HEADER, f"the workbook has no sheet {shape.sheet}") from error
    except (CalamineError, IndexError, ValueError, OSError) as error:
        raise FileRefused(FILE_UNREADABLE, "the workbook cannot be opened; save it again as xlsx") from error
    except BaseException as error:
        # a fault inside the (compiled) workbook reader arrives as its own kind of BaseException
        if type(error).__name__ != "PanicException":
            raise
        raise FileRefused(FILE_UNREADABLE, "the workbook is damaged; save it again as xlsx") from error
    body = cells[shape.title_rows :]
    width = max((index + 1 for row in body for index, cell in enumerate(row) if cell != ""), default=0)
    records = [[_cell_text(cell) for cell in row[:width]] for row in body]
    at = next((number for number, record in enumerate(records) if any(map(str.strip, record))), None)
    if at is None:
        return nothing()
    # a workbook's columns cannot shift: there, a column without a label is an unknown column
    header = tuple(label.strip() for label in records[at])
    lines = np.arange(shape.title_rows + at + 2, len(cells) + 1)
    opened = _as_opened(header, records[at + 1 :], lines, shape.delimiter)
    kept = [cells[line - 1] for line in opened.line_numbers]
    numbers = {
        index: np.fromiter((isinstance(row[index], float) for row in kept), dtype=bool, count=len(kept))
        for index in range(len(opened.header))
    }
    return replace(opened, number_cells=numbers)


def _cell_text(cell: Any) -> str:
    """A cell as text: real dates as jjjj-mm-dd, numbers in full (no exponent, no trailing .0), booleans true/false."""
    if isinstance(cell, str):
        return cell.replace("\x00", "\ufffd")
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else format(Decimal(repr(cell)), "f")
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _refuse_bombs(data: bytes) -> None:
    """Refuse an archive that would unpack to more than we hold, or a sheet that claims more cells than it has rows for.

    Every member is unpacked once, in small pieces: a member that lies about its size fails its checksum here.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARCHIVE_MEMBERS or sum(member.file_size for member in members) > MOST_UNPACKED_BYTES:
                raise FileRefused(FILE_UNREADABLE, "the workbook unpacks to more than a delivery can be")
            if any(member.flag_bits & 0x1 for member in members):
                raise FileRefused(FILE_UNREADABLE, "the workbook is protected with a password")
            for member in members:
                content = archive.read(member)
                if member.filename.lower().startswith("xl/worksheets/"):
                    _refuse_endless_sheet(content)
    except FileRefused:
        raise
    except _BROKEN_ARCHIVE as error:
        raise FileRefused(FILE_UNREADABLE, "the file is not a workbook (xlsx), or a damaged one") from error


def _refuse_endless_sheet(content: bytes) -> None:
    """Two cells, A1 and the last one Excel knows, would make a sheet of 17 billion cells."""
    if b"\x00" in content:
        raise FileRefused(FILE_UNREADABLE, "the workbook is not written in UTF-8; save it again as xlsx")
    columns: set[bytes] = set()
    last_row = 0
    for column, row in _CELL_ADDRESS.findall(content):
        columns.add(column)
        last_row = max(last_row, int(row))
    widest = max((_column_number(column) for column in columns), default=0)
    if widest * last_row > MOST_CELLS:
        detail = f"the sheet claims {last_row} rows and {widest} columns; delete what is below and beside the list"
        raise FileRefused(FILE_UNREADABLE, detail)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _as_opened(
    header: tuple[str, ...], records: Sequence[Sequence[str]], lines: np.ndarray, delimiter: str
) -> OpenedFile:
    """Rows as wide as the header; rows without any value are no rows."""
    width = len(header)
    filled = np.fromiter((any(map(str.strip, record)) for record in records), dtype=bool, count=len(records))
    rows = list(itertools.compress(records, filled))
    misshapen = np.zeros(len(rows), dtype=bool)
    for index, row in enumerate(rows):
        if len(row) != width:
            rows[index], misshapen[index] = _fitted(row, width, delimiter)
    return OpenedFile(header, _frame(rows, width), lines[filled], misshapen)


def _fitted(row: Sequence[str], width: int, delimiter: str) -> tuple[list[str], bool]:
    """The row as wide as the header, and whether that bent it: what is too much stays visible in its last value."""
    fitted = [*row[:width], *[""] * (width - len(row))]
    is_misshapen = len(row) < width or any(value.strip() for value in row[width:])
    if is_misshapen and len(row) > width:
        fitted[-1] = delimiter.join(value for value in row[width - 1 :] if value.strip())
    return fitted, is_misshapen


def _without_empty_end(header: Sequence[str]) -> Sequence[str]:
    """The header without the empty cells at its end."""
    last = max(index for index, label in enumerate(header) if label.strip())
    return header[: last + 1]


def _without_total(shape: FileFormat, opened: OpenedFile) -> OpenedFile:
    """The rows without a total row at their end."""
    if not shape.total_row_label or opened.is_empty:
        return opened
    first = next((value.strip() for value in opened.cells.row(-1) if value and value.strip()), "")
    if first.casefold().rstrip(":") != shape.total_row_label.casefold():
        return opened
    return opened.only(np.arange(len(opened)) < len(opened) - 1)
