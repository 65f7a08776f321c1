"""The readers on what partners really write: each case is a way of writing that was seen or that tools produce."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from include.contracts.registry import Column, ContractProblem
from include.ingest.addresses import AddressLine, HouseNumber, read_addition, read_address_line, read_house_number
from include.ingest.names import PersonName, read_initials, read_person_name
from include.ingest.phones import read_phones
from include.ingest.readers import INVALID, NUMBER_CELL, READERS, clean, is_bsn, read_column
from include.ingest.values import Letters, Texts


def column(reader: str, **options: Any) -> Column:
    return Column(
        name="field", label="Field", logical_type="string", classification="internal", description="",
        is_required=False, is_key=False, max_length=None, options={"reader": reader, **options},
    )  # fmt: skip


def texts(*cells: str | None) -> Texts:
    return Texts.written(Letters(), cells)


def read(reader: str, text: str, **options: Any) -> Any:
    return READERS[reader](column(reader, **options))(text)


@pytest.mark.parametrize(
    ("text", "euros"),
    [
        ("1.234,56", "1234.56"),
        ("€ 1.234,56", "1234.56"),
        ("€1234,5", "1234.50"),
        ("EUR 350", "350.00"),
        ("350,5", "350.50"),
        ("350", "350.00"),
        ("1.624", "1624.00"),
        ("12.345.678,90", "12345678.90"),
        ("350,-", "350.00"),
        ("350,--", "350.00"),
        ("12,50-", "-12.50"),
        ("-12,50", "-12.50"),
        ("€ -12,50", "-12.50"),
        ("12,50- €", "-12.50"),
        ("0,00", "0.00"),
    ],
)
def test_dutch_amounts(text: str, euros: str) -> None:
    assert read("amount", text, notation="nl") == Decimal(euros)


@pytest.mark.parametrize(
    "text",
    ["1234.56", "1,234.56", "1.23", "12,345", "een", "", "1 234,56", "1.2345", "--5", "12,5,0", "1e5", "12345678901"],
)
def test_what_is_no_dutch_amount(text: str) -> None:
    assert read("amount", text, notation="nl") is INVALID


@pytest.mark.parametrize(
    ("text", "euros"), [("1234.56", "1234.56"), ("350", "350"), ("0.5", "0.50"), ("-3.20", "-3.2")]
)
def test_amounts_with_a_point(text: str, euros: str) -> None:
    assert read("amount", text, notation="point") == Decimal(euros)


@pytest.mark.parametrize("text", ["1.234,56", "350,5", "1.234", "1,000"])
def test_what_is_no_amount_with_a_point(text: str) -> None:
    assert read("amount", text, notation="point") is INVALID


def test_a_number_cell_is_the_number_it_is() -> None:
    assert read("amount", f"{NUMBER_CELL}1.234", notation="nl") == Decimal("1.23")
    assert read("amount", f"{NUMBER_CELL}0.125", notation="nl") == Decimal("0.13")
    assert read("amount", f"{NUMBER_CELL}NaN", notation="nl") is INVALID
    assert read("amount", NUMBER_CELL + "9" * 40, notation="nl") is INVALID


@pytest.mark.parametrize(
    ("text", "formats", "day"),
    [
        ("03-06-2024", ["dd-mm-jjjj"], date(2024, 6, 3)),
        ("29-02-2024", ["dd-mm-jjjj"], date(2024, 2, 29)),
        ("03/06/2024", ["dd/mm/jjjj"], date(2024, 6, 3)),
        ("2024-06-03", ["jjjj-mm-dd"], date(2024, 6, 3)),
        ("45446", ["excel"], date(2024, 6, 3)),
        ("03-06-2024", ["excel", "dd-mm-jjjj"], date(2024, 6, 3)),
    ],
)
def test_dates(text: str, formats: list[str], day: date) -> None:
    assert read("date", text, formats=formats) == day


@pytest.mark.parametrize(
    "text",
    [
        "31-02-2024",
        "3-6-2024",
        "03-06-24",
        "2024-06-03",
        "06/03/2024",
        "00-00-1980",
        "03-06-1024",
        "03-06-2224",
        "45446",
    ],
)
def test_dates_are_read_strictly(text: str) -> None:
    assert read("date", text, formats=["dd-mm-jjjj"]) is INVALID


def test_a_date_format_nobody_knows_is_a_fault_of_the_contract() -> None:
    with pytest.raises(ContractProblem, match="mm-dd-jjjj"):
        read("date", "03-06-2024", formats=["mm-dd-jjjj"])


def test_times() -> None:
    assert read("timestamp", "2024-06-12T18:30:00Z") == datetime(2024, 6, 12, 18, 30, tzinfo=UTC)
    assert read("timestamp", "2024-06-12T18:30:00") == datetime(2024, 6, 12, 16, 30, tzinfo=UTC)
    assert read("timestamp", "2024-12-12 18:30") == datetime(2024, 12, 12, 17, 30, tzinfo=UTC)
    assert read("timestamp", "2024-06-12") is INVALID
    assert read("time", "18:30") == time(18, 30)
    assert read("time", "25:00") is INVALID
    assert read("time", "18.30") is INVALID


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("06 12 34 56 79", ["+31612345679"]),
        ("+31 (0)6-22334455", ["+31622334455"]),
        ("0031622334455", ["+31622334455"]),
        ("622334455", ["+31622334455"]),
        ("31622334455", ["+31622334455"]),
        ("079-3161234", ["+31793161234"]),
        ("079/3161234", ["+31793161234"]),
        ("(079) 316 12 34", ["+31793161234"]),
        ("793161234", ["+31793161234"]),
        ("085-1234567", ["+31851234567"]),
        ("0622334455/0793161235", ["+31622334455", "+31793161235"]),
        ("06-22334455 / 079-3161235", ["+31622334455", "+31793161235"]),
        ("0622334455/0622334455", ["+31622334455"]),
        ("06–22334455", ["+31622334455"]),
    ],
)
def test_callable_numbers(text: str, numbers: list[str]) -> None:
    assert read_phones(text) == (numbers, False)


@pytest.mark.parametrize(
    "text",
    [
        "0612345678", "612345678", "0600000000", "0200000000", "6.12346E+08", "6,12346E+08", "0970 12345678",
        "0881234567", "0841234567", "0871234567", "0911234567", "0900-1234", "0800-1234", "0663334444", "14079", "112",
        "+32475123456", "062233445", "06223344556", "bel na zes uur", "0622334455 tst 3", "-",
    ],
)  # fmt: skip
def test_numbers_nobody_should_call(text: str) -> None:
    assert read_phones(text) == ([], True)


def test_one_good_number_beside_a_bad_one_is_kept_and_the_field_is_flagged() -> None:
    assert read_phones("0622334455/0612345678") == (["+31622334455"], True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("J.P. van den Berg", PersonName("J.P.", "van den", "Berg")),
        ("J. P. de Vries", PersonName("J.P.", "de", "Vries")),
        ("JP de Vries", PersonName("J.P.", "de", "Vries")),
        ("J.P.van den Berg", PersonName("J.P.", "van den", "Berg")),
        ("Th. 't Hart", PersonName("Th.", "'t", "Hart")),
        ("A. in 't Veld", PersonName("A.", "in 't", "Veld")),
        ("A. ter Horst-de Boer", PersonName("A.", "ter", "Horst-de Boer")),
        ("Dhr. A.B. Jansen", PersonName("A.B.", None, "Jansen")),
        ("van den Berg", PersonName(None, "van den", "Berg")),
        ("Jan van den Berg", PersonName("J.", "van den", "Berg")),
        ("DE VRIES", PersonName(None, "de", "VRIES")),
        ("É. Özdemir", PersonName("É.", None, "Özdemir")),
        ("Berg", PersonName(None, None, "Berg")),
        ("12345", None),
    ],
)
def test_names_as_people_say_them(text: str, name: PersonName | None) -> None:
    assert read_person_name(text, surname_first=False) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Berg, J.P. van den", PersonName("J.P.", "van den", "Berg")),
        ("Hart, Th. van 't", PersonName("Th.", "van 't", "Hart")),
        ("Jansen, A", PersonName("A.", None, "Jansen")),
        ("van den Berg, J.P.", PersonName("J.P.", "van den", "Berg")),
        ("Berg-de Boer, A.B.", PersonName("A.B.", None, "Berg-de Boer")),
        ("Jansen", PersonName(None, None, "Jansen")),
        (" , ", None),
    ],
)
def test_names_with_the_surname_first(text: str, name: PersonName | None) -> None:
    assert read_person_name(text, surname_first=True) == name


@pytest.mark.parametrize(
    ("text", "turned", "name"),
    [
        ("F. v.d. HAZELAAR", "HAZELAAR, F. v.d.", PersonName("F.", "v.d.", "HAZELAAR")),
        ("F.v.d.Hazelaar", "Hazelaar, F.v.d.", PersonName("F.", "v.d.", "Hazelaar")),
        ("A.G.S. v.d. Berg", "Berg, A.G.S. v.d.", PersonName("A.G.S.", "v.d.", "Berg")),
        ("Th.v.d. Berg", "v.d.Berg, Th.", PersonName("Th.", "v.d.", "Berg")),
        ("J. v. d. Berg", "Berg, J. v. d.", PersonName("J.", "v. d.", "Berg")),
        ("J. v d Berg", "v d Berg, J.", PersonName("J.", "v d", "Berg")),
        ("J. v. den Berg", "Berg, J. v. den", PersonName("J.", "v. den", "Berg")),
        ("J. van d. Berg", "Berg, J. van d.", PersonName("J.", "van d.", "Berg")),
        ("J. v.'t Hof", "Hof, J. v.'t", PersonName("J.", "v.'t", "Hof")),
        ("J. v/d Berg", "Berg, J. v/d", PersonName("J.", "v/d", "Berg")),
        ("J vd Berg", "Berg, J vd", PersonName("J.", "vd", "Berg")),
        ("S. v. Dam", "Dam, S. v.", PersonName("S.", "v.", "Dam")),
        ("J. d. Vries", "Vries, J. d.", PersonName("J.", "d.", "Vries")),
        ("v.d. Berg", "Berg, v.d.", PersonName(None, "v.d.", "Berg")),
        ("Jan v.d. Berg", "v.d. Berg, Jan", PersonName("J.", "v.d.", "Berg")),
        # in capitals, or all in lower case, only behind other initials
        ("F. V.D. BERG", "BERG, F. V.D.", PersonName("F.", "v.d.", "BERG")),
        ("J V/D BERG", "BERG, J V/D", PersonName("J.", "v/d", "BERG")),
        ("F. V.D. Berg", "V.D. Berg, F.", PersonName("F.", "v.d.", "Berg")),
        ("j.p. v.d. berg", "berg, j.p. v.d.", PersonName("J.P.", "v.d.", "berg")),
        ("V.D. BERG", "BERG, V.D.", PersonName("V.D.", None, "BERG")),
        ("F.V.D. BERG", "BERG, F.V.D.", PersonName("F.V.D.", None, "BERG")),
        ("J. V. BERG", "BERG, J. V.", PersonName("J.V.", None, "BERG")),
        ("J.V. Berg", "Berg, J.V.", PersonName("J.V.", None, "Berg")),
        ("j.v. dam", "dam, j.v.", PersonName("J.V.", None, "dam")),
    ],
)
def test_an_abbreviated_prefix_is_no_initials(text: str, turned: str, name: PersonName) -> None:
    assert read_person_name(text, surname_first=False) == name
    assert read_person_name(turned, surname_first=True) == name


@pytest.mark.parametrize(
    ("text", "initials"),
    [("JP", "J.P."), ("j.p.", "J.P."), ("J P", "J.P."), ("Jan Peter", "J.P."), ("Th.", "Th."), ("J.-P.", "J.P.")],
)
def test_initials(text: str, initials: str) -> None:
    assert read_initials(text) == initials


@pytest.mark.parametrize(
    ("text", "street", "number", "letter", "addition"),
    [
        ("Dorpsstraat 12", "Dorpsstraat", 12, None, None),
        ("Dorpsstraat 12 A-3", "Dorpsstraat", 12, "A", "3"),
        ("Dorpsstraat 12a", "Dorpsstraat", 12, "A", None),
        ("Dorpsstraat 12 A 3", "Dorpsstraat", 12, "A", "3"),
        ("Dorpsstraat 12 bis", "Dorpsstraat", 12, None, "bis"),
        ("Dorpsstraat 12 hs", "Dorpsstraat", 12, None, "hs"),
        ("Dorpsstraat 12-II", "Dorpsstraat", 12, None, "II"),
        ("Dorpsstraat 12 2e", "Dorpsstraat", 12, None, "2e"),
        ("Plein 1944 12", "Plein 1944", 12, None, None),
        ("Plein 1940-1945 12 A", "Plein 1940-1945", 12, "A", None),
        ("2e Dwarsstraat 5", "2e Dwarsstraat", 5, None, None),
        ("Laan van 3 Eiken 12", "Laan van 3 Eiken", 12, None, None),
        ("Straat van de 2e Divisie 12 bis", "Straat van de 2e Divisie", 12, None, "bis"),
        ("'s-Gravenweg 7A", "'s-Gravenweg", 7, "A", None),
    ],
)
def test_addresses_on_one_line(text: str, street: str, number: int, letter: str | None, addition: str | None) -> None:
    assert read_address_line(text) == AddressLine(street, HouseNumber(number, letter, addition))


@pytest.mark.parametrize(
    "text", ["Dorpsstraat", "12 Dorpsstraat", "Dorpsstraat 0", "Dorpsstraat 123456", "12", "Postbus"]
)
def test_addresses_without_a_house_number(text: str) -> None:
    assert read_address_line(text) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [("A", ("A", None)), ("A-3", ("A", "3")), ("bis", (None, "bis")), ("2e", (None, "2e")), ("hs", (None, "hs")),
     ("a3", ("A", "3")), ("-3", (None, "3")), ("II", (None, "II")), ("A bis", ("A", "bis"))],
)  # fmt: skip
def test_additions(text: str, parts: tuple[str | None, str | None]) -> None:
    assert read_addition(text) == parts


def test_house_numbers() -> None:
    assert read_house_number("12") == HouseNumber(12, None, None)
    assert read_house_number("12 A-3") == HouseNumber(12, "A", "3")
    for text in ("0", "x", "-12", "123456", "A12"):
        assert read_house_number(text) is None


@pytest.mark.parametrize(("text", "postcode"), [("2712 ab", "2712AB"), ("2712AB", "2712AB"), ("9999XX", "9999XX")])
def test_postcodes(text: str, postcode: str) -> None:
    assert read("postcode", text) == postcode


@pytest.mark.parametrize("text", ["0712AB", "2712SS", "2712 SA", "2712SD", "2712", "2712ABC", "27 12AB", "B2712"])
def test_what_is_no_postcode(text: str) -> None:
    assert read("postcode", text) is INVALID


def test_postcode_and_town() -> None:
    assert read("postcode_and_city", "2712 AB Zoetermeer") == ("2712AB", "Zoetermeer")
    assert read("postcode_and_city", "2712AB Den Haag") == ("2712AB", "Den Haag")
    assert read("postcode_and_city", "2712AB") == ("2712AB", None)
    assert read("postcode_and_city", "Zoetermeer") == (INVALID, None)


def test_bsn_passes_the_eleven_test_and_becomes_a_keyed_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "one key")
    assert is_bsn("123456782")
    assert is_bsn("10000008")  # a lost leading zero
    for text in ("123456789", "000000000", "12345678", "1234567", "12345678X", "1234567820"):
        assert not is_bsn(text)
    hashed = read("bsn", "123456782")
    assert len(hashed) == 64
    assert "123456782" not in hashed
    assert read("bsn", "1234.56.782") == hashed
    assert read("bsn", "10000008") == read("bsn", "010000008")
    monkeypatch.setenv("VS_BSN_KEY", "another key")
    assert read("bsn", "123456782") != hashed


def test_email() -> None:
    assert read("email", "J.Jansen@Voorbeeld.NL") == "j.jansen@voorbeeld.nl"
    for text in ("geen", "a@b", "a@@b.nl", "a b@c.nl", "a@b..nl", "@b.nl", "a@b.nl;c@d.nl"):
        assert read("email", text) is INVALID


def test_yes_no_and_codes() -> None:
    assert read("yes_no", "j") is True
    assert read("yes_no", "Nee") is False
    assert read("yes_no", "true") is True
    assert read("yes_no", "misschien") is INVALID
    assert read("code", "m", codes={"M": "M", "V": "V"}) == "M"
    assert read("code", "x", codes={"M": "M"}) is INVALID


def test_cleaning_takes_away_what_nobody_sees() -> None:
    assert clean("\u00a0 J.P.\u00a0\u200b van  den\tBerg \r\n") == "J.P. van den Berg"
    assert clean("e\u0301") == "é"


def test_a_column_is_read_once_per_distinct_text_and_spread_over_the_rows() -> None:
    seen: list[str] = []
    READERS["counting"] = lambda _: lambda text: seen.append(text) or text.upper()
    try:
        found = read_column(column("counting"), texts("a", "b", "a", None, "a"))["field"]
    finally:
        del READERS["counting"]
    assert sorted(seen) == ["a", "b"]
    assert found.to_list() == ["A", "B", "A", None, "A"]
    assert not found.invalid.any()


def test_control_characters_and_endless_texts_are_invalid_everywhere() -> None:
    cells = texts("Jans\x07en", "x" * 5000, "Jansen")
    assert read_column(column("text"), cells)["field"].invalid.tolist() == [True, True, False]
    assert read_column(column("free_text"), cells)["field"].invalid.tolist() == [False, False, False]


def test_number_cells_and_texts_that_look_the_same_are_kept_apart() -> None:
    found = read_column(column("amount", notation="nl"), texts("1.234", "1.234"), np.array([True, False]))
    assert found["field"].to_list() == [
        Decimal("1.23"),
        Decimal(1234),
    ]
