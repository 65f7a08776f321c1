"""Deliveries as they should never come: real sandbox files, spoiled in every way we could think of.

`spoiled(dice, number)` gives one file: a few rows of one of the four partners, then none to three accidents with rows,
cells, text or bytes. The same dice give the same file. To add an accident: a function in ROWS, TEXTS or BYTES.
"""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from include.months import Month
from include.sandbox.administration import Administration
from include.sandbox.partners import PARTNERS, Partner, Value
from include.sandbox.population import Population
from include.sandbox.settings import SandboxSettings

MONTH = Month.parse("2024-06")
Rows = list[list[Value]]
# the limit to what a workbook unpacks to, while these are taken in: a bomb need not be large to be one
MOST_UNPACKED_BYTES = 3 * 1024 * 1024

STRANGE_VALUES: tuple[Value, ...] = (
    "", " ", "?", "0", "-1", "x" * 300, "y" * 200_000, "=1+1", '=HYPERLINK("http://x.example","a")', "+31", "@SUM(A1)",
    "a\x07b", "\x1b[31m", "\u202eevil", "\u200b", "é", "Ã©", "\ufffd", "NULL", "nan", "1e309", "1,2E+08", "6.12346E+08",
    "99-99-9999", "31-02-2024", "2024-13-01", "01-01-0001", "1.2.3", "€", "€ -", "12,345,6", "'; drop table x; --",
    '"', '""', 'a"b', "a\nb", "a\r\nb", "a\tb", "a\\b", "\\N", "\\.", "{}", "\x1f", "\x1e", "😀", "ｆｕｌｌ", "٣", "ﬁ",
)  # fmt: skip


@dataclass(frozen=True)
class Spoiled:
    """A file for the inbox."""

    path: str
    data: bytes


@cache
def _sandbox_rows(partner: Partner) -> Rows:
    settings = SandboxSettings(seed=27, households=4_000, dirt=1.5)
    return partner.rows(Administration(Population(settings)).entries(MONTH, partner.sector))


def spoiled(dice: random.Random, number: int) -> Spoiled:
    """The next file; `number` makes its references, and so its bytes, its own."""
    partner = dice.choice(PARTNERS)
    sample = _sandbox_rows(partner)
    count = dice.choice((0, 1, 2, 5, 20, 20, 20, 40))
    rows = [[f"{number}-{place}", *row[1:]] for place, row in enumerate(dice.choices(sample, k=count))]
    columns = list(partner.columns)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        columns, rows = dice.choice(ROWS)(dice, columns, rows)
    data = _file(partner, columns, rows)
    is_text = partner.extension == "csv"
    if dice.random() < 0.4:
        data = dice.choice([*BYTES, *(TEXTS if is_text else ARCHIVES)])(dice, data)
    return Spoiled(f"inbox/{partner.name}/{_name(dice, partner, number)}", data)


def _file(partner: Partner, columns: list[str], rows: Rows) -> bytes:
    """The partner's file; values it cannot write are left out of a workbook, and a text file becomes UTF-8."""
    if partner.extension == "xlsx":
        fit = [[_for_workbook(value) for value in row] for row in rows]
        is_whole = "Openstaand bedrag" in columns and all(len(row) == len(columns) for row in rows)
        return partner.file(columns, fit, MONTH) if is_whole else _without_total(columns, fit)
    try:
        return partner.file(columns, rows, MONTH)
    except UnicodeEncodeError:
        text = io.StringIO()
        csv.writer(text, delimiter=";").writerows([columns, *rows])
        return text.getvalue().encode()


def _without_total(columns: list[str], rows: Rows) -> bytes:
    """A workbook in which something is lost that the total row is made of."""
    workbook = openpyxl.Workbook()
    page = workbook.active
    page.title = "Signalen"
    for row in (["Stadsenergie"], ["Signaalmaand"], columns, *rows):
        page.append([None if value == "" else value for value in row])
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def _for_workbook(value: Value) -> Value:
    is_text = isinstance(value, str)
    return "" if is_text and (len(value) > 32_000 or ILLEGAL_CHARACTERS_RE.search(value)) else value


def _name(dice: random.Random, partner: Partner, number: int) -> str:
    right = f"{partner.name}_{MONTH.compact}_{number % 1000:03d}.{partner.extension}"
    if dice.random() > 0.06:
        return right
    return dice.choice((
        f"signalen {number}.{partner.extension}", right.replace("202406", "202413"), right.replace("_2024", "-2024"),
        f"{right}.txt", right.rpartition(".")[0], right.upper(), f"é{right}", right.replace(partner.name, "iemand"),
    ))  # fmt: skip


# -- rows and cells ----------------------------------------------------------------------------------------------------

Change = Callable[[random.Random, list[str], Rows], tuple[list[str], Rows]]


def _strange_values(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    for row in rows:
        if dice.random() < 0.15:
            row[dice.randrange(len(row))] = dice.choice(STRANGE_VALUES)
    return columns, rows


def _strange_everywhere(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    return columns, [[dice.choice(STRANGE_VALUES) for _ in row] for row in rows]


def _references_twice(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    for row in rows:
        if dice.random() < 0.3:
            row[0] = rows[0][0]
    return columns, rows


def _columns_shuffled(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    order = dice.sample(range(len(columns)), len(columns))
    return [columns[place] for place in order], [[row[place] for place in order if place < len(row)] for row in rows]


def _column_dropped(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    place = dice.randrange(len(columns))
    return columns[:place] + columns[place + 1 :], [row[:place] + row[place + 1 :] for row in rows]


def _column_twice(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    place = dice.randrange(len(columns))
    return [*columns, columns[place]], [[*row, row[min(place, len(row) - 1)]] for row in rows]


def _column_unknown(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    label = dice.choice(("Kleur", "", "06-22334455", "x" * 500, "=1+1"))
    return [*columns, label], [[*row, dice.choice(STRANGE_VALUES)] for row in rows]


def _rows_uneven(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    return columns, [row[: dice.randrange(1, len(row) + 1)] if dice.random() < 0.1 else [*row] for row in rows]


def _labels_spoiled(dice: random.Random, columns: list[str], rows: Rows) -> tuple[list[str], Rows]:
    return [f" {label.upper()} " if dice.random() < 0.9 else label[:-1] for label in columns], rows


ROWS: tuple[Change, ...] = (
    _strange_values, _strange_values, _strange_everywhere, _references_twice, _columns_shuffled, _column_dropped,
    _column_twice, _column_unknown, _rows_uneven, _labels_spoiled,
)  # fmt: skip

# -- text and bytes ----------------------------------------------------------------------------------------------------

Damage = Callable[[random.Random, bytes], bytes]


def _inserted(dice: random.Random, data: bytes, what: bytes) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + what + data[place:]


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="ignore") if b"\xef\xbb\xbf" in data[:3] else data.decode("cp1252", "replace")


TEXTS: tuple[Damage, ...] = (
    lambda _, data: _text(data).encode("utf-16"),
    lambda _, data: _text(data).encode("utf-8"),
    lambda _, data: _text(data).encode("utf-8-sig"),
    lambda _, data: _text(data).encode("cp1252", "replace"),
    lambda _, data: _text(data).encode("utf-8").decode("cp1252", "replace").encode("utf-8"),
    lambda dice, data: data.replace(b";", dice.choice((b",", b"\t", b"|", b";;"))),
    lambda dice, data: data.replace(b"\r\n", dice.choice((b"\n", b"\r", b"\n\n", b"\r\r\n"))),
    lambda dice, data: _inserted(dice, data, b'"'),
    lambda dice, data: _inserted(dice, data, b'"x;y\r\nz"'),
    lambda dice, data: _inserted(dice, data, b"\r\n;;;;;;\r\n   \r\n"),
    lambda dice, data: _inserted(dice, data, b"z" * 150_000),
    lambda _, data: data.split(b"\n", 1)[-1],
    lambda _, data: data.split(b"\n", 1)[0],
    lambda _, data: data + data,
    lambda _, data: b"Titel\r\n\r\n" + data,
)  # fmt: skip

BYTES: tuple[Damage, ...] = (
    lambda dice, data: data[: dice.randrange(len(data) + 1)],
    lambda dice, data: data[dice.randrange(len(data) + 1) :],
    lambda dice, data: _inserted(dice, data, bytes([dice.randrange(32)])),
    lambda dice, data: _inserted(dice, data, bytes(dice.choice((1, 40)))),
    lambda dice, data: _inserted(dice, data, dice.randbytes(8)),
    lambda dice, data: bytes(byte for byte in data if dice.random() > 0.003),
    lambda dice, _: dice.randbytes(dice.randrange(300)),
    lambda dice, _: dice.choice((b"", b" \r\n", b"\xef\xbb\xbf", b"\r\n\r\n")),
    lambda _, data: b"%PDF-1.7\n" + data,
    lambda dice, _: b"a;b\r\n1;2\r\n" + dice.randbytes(3).hex().encode(),
)

# -- workbooks ---------------------------------------------------------------------------------------------------------


def _with_member(data: bytes, name: str, content: bytes) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.namelist():
            if member != name:
                target.writestr(member, source.read(member))
        target.writestr(name, content)
    return result.getvalue()


def _edited(data: bytes, edit: Callable[[openpyxl.Workbook], None]) -> bytes:
    workbook = openpyxl.load_workbook(io.BytesIO(data))
    edit(workbook)
    result = io.BytesIO()
    workbook.save(result)
    return result.getvalue()


def _cell(workbook: openpyxl.Workbook, place: str, value: Value) -> None:
    workbook["Signalen"][place] = value


ARCHIVES: tuple[Damage, ...] = (
    lambda _, data: _with_member(data, "xl/media/bomb.bin", bytes(MOST_UNPACKED_BYTES + 1)),
    lambda _, data: _with_member(data, "xl/worksheets/sheet1.xml", b"<worksheet>"),
    lambda _, data: _with_member(data, "xl/workbook.xml", b""),
    lambda _, data: _edited(data, lambda book: _cell(book, "XFD1048576", "x")),
    lambda _, data: _edited(data, lambda book: _cell(book, "A4", "=1+1")),
    lambda _, data: _edited(data, lambda book: _cell(book, "I4", "=SUM(1;2")),
    lambda _, data: _edited(data, lambda book: setattr(book["Signalen"], "title", "Blad1")),
    lambda _, data: _edited(data, lambda book: book["Signalen"].merge_cells("A4:C6")),
    lambda _, data: _edited(data, lambda book: book["Signalen"].insert_rows(1)),
    lambda _, data: _edited(data, lambda book: book["Signalen"].delete_rows(3)),
    lambda _, data: _edited(data, lambda book: _cell(book, "A5", 1.234567890123456e17)),
)  # fmt: skip
