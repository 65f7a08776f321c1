"""Plain readings and parts are ways of being fast, never another judgement: both are held against the slow way."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.contracts.registry import Column, load_contract
from include.ingest import opening, values
from include.ingest.plain_texts import plain_reading
from include.ingest.readers import INVALID, fields_filled, read_column, read_texts
from include.ingest.reading import judge_parts, read_delivery
from include.ingest.values import Letters, Texts
from tests.fixtures.deliveries import DRINKWATER, FORMATS, WOONBEDRIJF, ZORGPLUS, PartnerFormat

# what texts are put together from, so that every reader meets its plain texts and everything just beside them
PIECES: dict[str, list[tuple[str, ...]]] = {
    "text": [("", " ", "A", "1", "é"), ("b", "2", ".", "1,2"), ("", " ", "  ", "E", "\u00a0"), ("+05", "x", " ", "")],
    "surname": [("", " ", "1", "-"), ("Bakker", "ö", "12", "'t"), ("", " ", "  ", "\x1b"), ("", "-2", " Groen")],
    "initials": [("J", "j", "JP", "Th", ""), (".", "", ". "), ("P", "p", "1", ""), (".", "", "-"), ("", "A.B.C.", "x")],
    "email": [
        ("a", "A", "a.b", ".a", "a..b", "a+b_c", ""),
        ("@", "@@", ""),
        ("x", "x-y", "-x", "x_y"),
        (".nl", "", ".n", ".1"),
    ],
    "date": [
        ("01", "31", "29", "1", "00"),
        ("-", "/", "."),
        ("02", "12", "13", "2"),
        ("-", "/"),
        ("2024", "1899", "24", "2100"),
    ]
    + [("", " ", "x")],
    "amount": [
        ("", "€ ", "€", "EUR ", "-"),
        ("", "0", "12", "1.234", "1.2345", "123456789"),
        (",", ".", ""),
        ("5", "56", "567", "-", ""),
    ],
    "postcode": [("2712", "0712", "271"), ("", " ", "  "), ("AB", "ab", "SA", "sd", "A"), ("", " ", "x")],
    "house_number": [("", "0", "1", "12345", "123456"), ("", "2", "A", "-"), ("", " ", "3")],
    "house_number_addition": [("", "A", "b", "C", "z", "é", "bis", "2"), ("", "-", " "), ("", "3", "II")],
    "phone": [("0", "0031", "+31", "+31 (0)", "31", "00", "", "+32"), ("6", "06", "79", "97", "85", "900", "61")]
    + [("", "-", " ", "/"), ("1234567", "12345678", "22 33 44 55", "3161234", "00000000", "2233445")],
}
PIECES["phone_number"] = PIECES["phone"]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "date": [
        {"formats": ["dd-mm-jjjj"]},
        {"formats": ["dd/mm/jjjj", "d-m-jjjj"]},
        {"formats": ["excel", "dd/mm/jjjj"]},
    ],
    "amount": [{"notation": "nl"}, {"notation": "point"}],
}
CASES = [(reader, options) for reader in PIECES for options in OPTIONS.get(reader, [{}])]


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes is looked at by the compiled loops."""
    monkeypatch.setattr(values, "MANY_ROWS", 1)
    monkeypatch.setattr(opening, "LARGE_PART_BYTES", 1)


def column(reader: str, options: dict[str, Any]) -> Column:
    return Column(
        name="field", label="Field", logical_type="string", classification="internal", description="",
        is_required=False, is_key=False, max_length=None, options={"reader": reader, **options},
    )  # fmt: skip


def column_of(cells: list[str | None]) -> Texts:
    """The cells as they stand in a file."""
    encoded = [(cell or "").encode() for cell in cells]
    lengths = np.array([len(one) or -1 for one in encoded], dtype=np.int32)
    ends = np.cumsum(np.maximum(lengths, 0), dtype=np.int32)
    return Texts(Letters(b"".join(encoded)), (ends - np.maximum(lengths, 0)).astype(np.int32), lengths)


def plain_among(asked: Column, texts: list[str]) -> int:
    """How many of the texts are plain, when each of them got the answer of the exact reader."""
    cells = [text.replace("\x00", "") or None for text in texts]
    found = read_column(asked, column_of(cells))
    exact = read_texts(asked, [cell or "" for cell in cells])
    for number, field in enumerate(fields_filled(asked)):
        answers = [answer[number] for answer in exact]
        assert found[field].invalid.tolist() == [answer is INVALID for answer in answers]
        assert found[field].to_list() == [None if answer is INVALID else answer for answer in answers]
    reading = plain_reading(asked, column_of(cells))
    assert reading is not None
    return int(reading.is_plain.sum())


@pytest.mark.parametrize(("reader", "options"), CASES, ids=[f"{reader}-{n}" for n, (reader, _) in enumerate(CASES)])
@pytest.mark.usefixtures("all_is_large")
def test_a_plain_text_gets_the_answer_of_the_exact_reader(reader: str, options: dict[str, Any]) -> None:
    texts = ["".join(pieces) for pieces in itertools.product(*PIECES[reader])]
    plain = plain_among(column(reader, options), texts)
    assert plain >= 4
    assert len(texts) - plain >= 5


@pytest.mark.usefixtures("all_is_large")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(CASES), st.lists(st.text(max_size=20), min_size=1, max_size=50))
def test_any_text_gets_the_answer_of_the_exact_reader(case: tuple[str, dict[str, Any]], texts: list[str]) -> None:
    plain_among(column(*case), [*texts, "x" * 300])


def changed(form: PartnerFormat) -> bytes:
    """Rows of every verdict, values over several lines, empty lines and rows that are too wide."""
    rows = form.good_rows(60)
    label = next(label for label in rows[0] if label.casefold().startswith("postcode"))
    rows[7] |= {label: "?"}
    rows[30] |= {form.reference: rows[2][form.reference]}
    rows[50] |= {form.reference: rows[2][form.reference], label: ""}
    rows[55] |= {form.reference: rows[7][form.reference]}
    data = form.write(rows)
    if form is ZORGPLUS:
        rows[12] |= {"city": 'Zoeter\r\n"meer", noord'}
        rows[40] |= {"city": "Zoeter\nmeer"}
        return form.write(rows)
    lines = data.split(b"\r\n")
    lines[20] += b";te veel"
    lines[22] += b";;;"
    lines[35:35] = [b"", b";" * 9, b"  "]
    return b"\r\n".join(lines)


@pytest.mark.parametrize("form", [WOONBEDRIJF, ZORGPLUS, DRINKWATER], ids=lambda form: form.partner)
@pytest.mark.parametrize("size", [40, 333, 1000, 2500])
@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_a_file_in_parts_is_judged_like_the_file_as_a_whole(
    form: PartnerFormat, size: int, is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "a key for this test")
    contract, data = load_contract(form.partner), changed(form)
    whole = read_delivery(contract, form.file_name(), data)
    monkeypatch.setattr(opening, "PART_BYTES", size)
    if is_large:
        monkeypatch.setattr(values, "MANY_ROWS", 1)
        monkeypatch.setattr(opening, "LARGE_PART_BYTES", 1)
    assert len(list(judge_parts(contract, form.file_name(), io.BytesIO(data)))) > 2
    in_parts = read_delivery(contract, form.file_name(), data)
    assert whole.rejection is None
    assert (len(whole.duplicates), len(whole.rows) > 50) == (1, True)
    assert len(whole.quarantined) >= 2
    for frame in ("rows", "quarantined", "duplicates"):
        assert getattr(in_parts, frame).to_dict("list") == getattr(whole, frame).to_dict("list")
    assert in_parts.opened.rows == whole.opened.rows
    assert in_parts.opened.line_numbers.tolist() == whole.opened.line_numbers.tolist()
    assert in_parts.warnings == whole.warnings


@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
@settings(max_examples=400, deadline=None, database=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["", " ", "a", "é", "x y", "\u3000", "\x1f", "\r", "1,5"]), max_size=5), max_size=6
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_rows_split_where_separators_stand_are_those_of_the_csv_module(
    is_large: bool, rows: list[list[str]], line_end: str, is_ended: bool
) -> None:
    shape, header = load_contract("woonbedrijf").format, ("a", "b", "c")
    piece = (line_end.join(map(";".join, rows)) + line_end * is_ended).encode()
    if not piece:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "LARGE_PART_BYTES", 1 if is_large else 10**6)
        split = opening._split_rows(shape, header, piece, 1)
    assert split is not None
    text = opening._Text(io.BytesIO(), "utf-8")
    records, lines = opening._recorded_rows(shape, header, piece, 1, text)
    assert split[0].rows == records.rows
    assert split[0].line_numbers.tolist() == records.line_numbers.tolist()
    assert split[0].misshapen.tolist() == records.misshapen.tolist()
    if split[0].verbatim is not None:
        kept = split[0].verbatim
        found = bytes(kept.rows(0, len(rows))).decode().split(kept.row_end)
        assert [tuple(row.split(kept.value_end)) for row in found] == records.rows


@pytest.mark.parametrize("size", [30, 500])
def test_a_fault_far_into_a_file_refuses_it(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "a key for this test")
    monkeypatch.setattr(opening, "PART_BYTES", size)
    data = WOONBEDRIJF.write(WOONBEDRIJF.good_rows(40))
    for end in (b'W9;"Bakker', "W9;BriÃ¨re".encode("cp1252"), b"W9;\x81"):
        judged = read_delivery(load_contract("woonbedrijf"), WOONBEDRIJF.file_name(), data + end)
        assert judged.rejection is not None
        assert judged.rejection.code == "file_unreadable"
        assert judged.rows_in_file == 0


def test_the_four_formats_have_plain_readings() -> None:
    read = [
        column.reader
        for form in FORMATS
        for column in load_contract(form.partner).columns
        if plain_reading(column, column_of(["1"])) is not None
    ]
    assert len(read) > 30


def test_a_loop_is_never_sent_outside_the_letters() -> None:
    for begins, lengths in (([0, 4], [3, 2]), ([-1], [2])):
        texts = Texts(Letters(b"abcde"), np.array(begins, dtype=np.int32), np.array(lengths, dtype=np.int32))
        with pytest.raises(IndexError, match="outside"):
            plain_reading(column("text", {}), texts)
