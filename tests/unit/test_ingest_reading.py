"""A delivery judged by its contract, without a warehouse: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import date
from decimal import Decimal

import openpyxl
import pytest

from include.contracts.registry import load_contract
from include.ingest import opening
from include.ingest.reading import JudgedDelivery, read_delivery
from tests.fixtures.deliveries import DRINKWATER, FORMATS, STADSENERGIE, WOONBEDRIJF, ZORGPLUS, PartnerFormat, Row

ROWS = 20


@pytest.fixture(autouse=True)
def _bsn_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "a key for this test")


def judge(form: PartnerFormat, data: bytes) -> JudgedDelivery:
    return read_delivery(load_contract(form.partner), form.file_name(), data)


def judge_with(form: PartnerFormat, changes: Row, *, rows: int = ROWS) -> JudgedDelivery:
    """A good delivery of which the third row is changed."""
    delivered = form.good_rows(rows)
    delivered[2] |= changes
    return judge(form, form.write(delivered))


def third_row(judged: JudgedDelivery) -> Row:
    return judged.rows.iloc[2].to_dict()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_a_good_delivery_is_good(form: PartnerFormat) -> None:
    judged = judge(form, form.write(form.good_rows(ROWS)))
    assert judged.rejection is None
    assert judged.warnings == ()
    assert len(judged.rows) == judged.rows_in_file == ROWS
    assert not len(judged.quarantined)
    assert not len(judged.duplicates)
    assert set(judged.rows["flags"]) == {()}
    assert judged.rows["line_number"].tolist() == list(
        range(judged.opened.line_numbers[0], ROWS + judged.opened.line_numbers[0])
    )


def test_the_rows_of_woonbedrijf_are_what_was_meant() -> None:
    row = third_row(judge_with(WOONBEDRIJF, {"Naam": "Brière", "Toevoeging": "A-3", "Tussenvoegsel": "de la"}))
    assert row | {"birth_on": None} == {
        "line_number": 4, "partner_reference": "W00002", "signal_on": date(2024, 6, 3),
        "arrears_since_on": date(2024, 4, 1), "arrears_eur": Decimal("1102.56"), "is_crisis": False,
        "supply_ends_on": None, "is_warm_handover": False, "initials": "J.P.", "name_prefix": "de la",
        "surname": "Brière", "birth_on": None, "gender": None, "street": "Plein 1944", "postcode": "2712AB",
        "house_number": 3, "house_letter": "A", "house_number_addition": "3", "city": "Zoetermeer",
        "phone_1": "+31793000002", "phone_2": "+31620000002", "email": "huurder2@voorbeeld.nl", "bsn_key": None,
        "flags": (),
    }  # fmt: skip


def test_the_rows_of_zorgplus_are_what_was_meant() -> None:
    row = third_row(
        judge_with(ZORGPLUS, {"surname": 'Groen, "Bakker"', "house_letter": "c", "house_number_addition": "4"})
    )
    assert row["surname"] == 'Groen, "Bakker"'
    assert (row["house_letter"], row["house_number_addition"]) == ("C", "4")
    assert row["arrears_eur"] == Decimal("202.75")
    assert row["gender"] == "O"
    assert len(row["bsn_key"]) == 64


def test_the_rows_of_stadsenergie_are_what_was_meant() -> None:
    judged = judge_with(STADSENERGIE, {"Telefoonnummer": 622334455})
    row = third_row(judged)
    assert row["line_number"] == 6
    assert row["partner_reference"] == "700002"
    assert (row["initials"], row["name_prefix"], row["surname"]) == ("C.D.", "van der", "Jansen")
    assert (row["street"], row["house_number"], row["house_letter"]) == ("Dorpsstraat", 3, "A")
    assert row["house_number_addition"] == "3"
    assert row["arrears_eur"] == Decimal("323.50")
    assert (row["signal_on"], row["arrears_since_on"]) == (date(2024, 6, 5), date(2024, 3, 20))
    assert row["phone_1"] == "+31622334455"
    assert row["is_crisis"] is False
    assert judged.rows.iloc[0]["is_crisis"] is True
    assert judged.rows.iloc[0]["supply_ends_on"] == date(2024, 7, 15)


def test_the_rows_of_drinkwater_are_what_was_meant() -> None:
    row = third_row(judge_with(DRINKWATER, {"Aanschrijfnaam": "Berg, J.P. van den", "Saldo": "1.624"}))
    assert (row["initials"], row["name_prefix"], row["surname"]) == ("J.P.", "van den", "Berg")
    assert (row["postcode"], row["city"]) == ("2714EF", "Zoetermeer")
    assert row["arrears_eur"] == Decimal(1624)
    assert (row["house_number"], row["house_number_addition"]) == (3, "II")
    assert row["birth_on"] is None


def test_a_workbook_with_dates_amounts_and_phones_as_text_is_read_the_same() -> None:
    row = third_row(
        judge_with(
            STADSENERGIE,
            {
                "Geboortedatum": "03-04-1980",
                "Datum signaal": "05-06-2024",
                "Openstaand bedrag": "€ 1.234,50",
                "Telefoonnummer": "06-22334455",
                "Klantnummer": "0012",
            },
        )  # fmt: skip
    )
    assert row["birth_on"] == date(1980, 4, 3)
    assert row["signal_on"] == date(2024, 6, 5)
    assert row["arrears_eur"] == Decimal("1234.50")
    assert row["partner_reference"] == "0012"


def test_a_workbook_without_a_total_row_loses_no_row() -> None:
    rows = STADSENERGIE.good_rows(ROWS)
    assert len(judge(STADSENERGIE, STADSENERGIE.write(rows, total=False)).rows) == ROWS


def test_formulas_count_for_what_they_last_showed() -> None:
    # openpyxl writes a formula without a shown value: an empty cell to whoever does not calculate
    judged = judge_with(STADSENERGIE, {"Openstaand bedrag": "=1+1"})
    assert judged.quarantined["reasons"].tolist() == [("amount_missing",)]


REASONS: list[tuple[PartnerFormat, Row, tuple[str, ...]]] = [
    (WOONBEDRIJF, {"Relatienummer": ""}, ("partner_reference_missing",)),
    (WOONBEDRIJF, {"Naam": " "}, ("surname_missing",)),
    (WOONBEDRIJF, {"Naam": "12345"}, ("surname_invalid",)),
    (WOONBEDRIJF, {"Geboortedatum": "31-02-1980"}, ("birth_on_invalid",)),
    (WOONBEDRIJF, {"Geboortedatum": "1980-02-03"}, ("birth_on_invalid",)),
    (WOONBEDRIJF, {"Huisnummer": "onbekend"}, ("house_number_invalid",)),
    (WOONBEDRIJF, {"Huisnummer": ""}, ("house_number_missing",)),
    (WOONBEDRIJF, {"Postcode": "2712"}, ("postcode_invalid",)),
    (WOONBEDRIJF, {"Postcode": ""}, ("postcode_missing",)),
    (WOONBEDRIJF, {"Achterstand": ""}, ("amount_missing",)),
    (WOONBEDRIJF, {"Achterstand": "1234.56"}, ("amount_invalid",)),
    (WOONBEDRIJF, {"Achterstand": "0,00"}, ("amount_not_positive",)),
    (WOONBEDRIJF, {"Achterstand": "12,50-"}, ("amount_not_positive",)),
    (WOONBEDRIJF, {"Achterstand sinds": ""}, ("arrears_since_on_missing",)),
    (WOONBEDRIJF, {"Signaaldatum": "morgen"}, ("signal_on_invalid",)),
    (WOONBEDRIJF, {"Achterstand sinds": "04-06-2024"}, ("dates_out_of_order",)),
    (WOONBEDRIJF, {"Geboortedatum": "04-06-2024"}, ("dates_out_of_order",)),
    (WOONBEDRIJF, {"Straat": "x" * 200}, ("street_invalid",)),
    (
        WOONBEDRIJF,
        {"Naam": "", "Postcode": "x", "Achterstand": "-1", "Signaaldatum": "", "Huisnummer": "0"},
        ("signal_on_missing", "surname_missing", "postcode_invalid", "house_number_invalid", "amount_not_positive"),
    ),
    (ZORGPLUS, {"arrears_amount": "1.234,56"}, ("amount_invalid",)),
    (ZORGPLUS, {"client_ref": ""}, ("partner_reference_missing",)),
    (STADSENERGIE, {"Adres": "Dorpsstraat"}, ("house_number_invalid",)),
    (STADSENERGIE, {"Adres": None}, ("house_number_missing",)),
    (STADSENERGIE, {"Naam": None}, ("surname_missing",)),
    (STADSENERGIE, {"Eindelevering": "?"}, ("is_crisis_invalid",)),
    (STADSENERGIE, {"Datum einde levering": "weldra"}, ("supply_ends_on_invalid",)),
    (STADSENERGIE, {"Openstaand bedrag": -5.0}, ("amount_not_positive",)),
    (DRINKWATER, {"Postcode en plaats": "Zoetermeer"}, ("postcode_invalid",)),
    (DRINKWATER, {"Postcode en plaats": ""}, ("postcode_missing",)),
    (DRINKWATER, {"Datum": "06-06-2024"}, ("signal_on_invalid",)),
    (DRINKWATER, {"Aanschrijfnaam": ","}, ("surname_invalid",)),
]


@pytest.mark.parametrize(
    ("form", "changes", "reasons"), REASONS, ids=lambda value: getattr(value, "partner", str(value))
)
def test_a_bad_row_is_quarantined_with_all_its_reasons(
    form: PartnerFormat, changes: Row, reasons: tuple[str, ...]
) -> None:
    judged = judge_with(form, changes)
    assert judged.rejection is None
    assert [sorted(found) for found in judged.quarantined["reasons"]] == [sorted(reasons)]
    assert judged.quarantined["line_number"].tolist() == [judged.opened.line_numbers[2]]
    assert len(judged.rows) == ROWS - 1


@pytest.mark.parametrize(
    ("form", "changes", "field", "flag"),
    [
        (ZORGPLUS, {"bsn": "123456789"}, "bsn_key", "bsn_invalid"),
        (ZORGPLUS, {"bsn": "12345"}, "bsn_key", "bsn_invalid"),
        (ZORGPLUS, {"phone": "0612345678"}, "phone_1", "phone_invalid"),
        (ZORGPLUS, {"email": "geen"}, "email", "email_invalid"),
        (ZORGPLUS, {"gender": "?"}, "gender", "gender_invalid"),
        (STADSENERGIE, {"Telefoonnummer": "6.12346E+08"}, "phone_1", "phone_invalid"),
        (DRINKWATER, {"Tel": "0900-1234"}, "phone_1", "phone_invalid"),
    ],
)
def test_an_unusable_detail_is_left_out_and_flagged(form: PartnerFormat, changes: Row, field: str, flag: str) -> None:
    row = third_row(judge_with(form, changes))
    assert row[field] is None
    assert row["flags"] == (flag,)


def test_every_flag_of_a_row_is_kept() -> None:
    row = third_row(judge_with(ZORGPLUS, {"bsn": "1", "phone": "x", "email": "x"}))
    assert sorted(row["flags"]) == ["bsn_invalid", "email_invalid", "phone_invalid"]


def test_two_phone_columns_and_two_numbers_in_one_give_the_first_two() -> None:
    row = third_row(judge_with(WOONBEDRIJF, {"Telefoon": "0793161234/0793161235", "Mobiel": "0622334455"}))
    assert (row["phone_1"], row["phone_2"]) == ("+31793161234", "+31793161235")
    row = third_row(judge_with(WOONBEDRIJF, {"Telefoon": "", "Mobiel": "0622334455"}))
    assert (row["phone_1"], row["phone_2"], row["flags"]) == ("+31622334455", None, ())
    row = third_row(judge_with(WOONBEDRIJF, {"Telefoon": "0622334455", "Mobiel": "06 22 33 44 55"}))
    assert (row["phone_1"], row["phone_2"]) == ("+31622334455", None)
    row = third_row(judge_with(WOONBEDRIJF, {"Telefoon": "0900-1234", "Mobiel": "0622334455"}))
    assert (row["phone_1"], row["phone_2"], row["flags"]) == ("+31622334455", None, ("phone_invalid",))


def test_of_a_reference_that_comes_twice_the_first_good_row_is_kept() -> None:
    rows = WOONBEDRIJF.good_rows(ROWS)
    rows[3]["Relatienummer"] = rows[5]["Relatienummer"] = rows[1]["Relatienummer"]
    judged = judge(WOONBEDRIJF, WOONBEDRIJF.write(rows))
    assert judged.duplicates["reasons"].tolist() == [("reference_duplicate",)] * 2
    assert judged.duplicates["line_number"].tolist() == [5, 7]
    assert (len(judged.rows), len(judged.quarantined)) == (ROWS - 2, 0)


def test_a_bad_row_does_not_take_the_place_of_a_good_one_with_its_reference() -> None:
    rows = WOONBEDRIJF.good_rows(ROWS)
    rows[4]["Relatienummer"] = rows[2]["Relatienummer"]
    rows[2]["Postcode"] = "?"
    judged = judge(WOONBEDRIJF, WOONBEDRIJF.write(rows))
    assert judged.quarantined["reasons"].tolist() == [("postcode_invalid",)]
    assert len(judged.duplicates) == 0
    rows[4]["Achterstand"], rows[2]["Postcode"] = "0", "2712AB"
    judged = judge(WOONBEDRIJF, WOONBEDRIJF.write(rows))
    assert judged.quarantined["reasons"].tolist() == [("amount_not_positive", "reference_duplicate")]


def test_rows_without_a_reference_are_no_duplicates_of_each_other() -> None:
    rows = WOONBEDRIJF.good_rows(40)
    rows[1]["Relatienummer"] = rows[2]["Relatienummer"] = ""
    judged = judge(WOONBEDRIJF, WOONBEDRIJF.write(rows))
    assert judged.quarantined["reasons"].tolist() == [("partner_reference_missing",)] * 2


def test_the_threshold_is_reached_only_above_the_share_of_the_contract() -> None:
    rows = WOONBEDRIJF.good_rows(ROWS)
    for row in rows[:2]:
        row["Postcode"] = "?"
    assert judge(WOONBEDRIJF, WOONBEDRIJF.write(rows)).rejection is None
    rows[2]["Postcode"] = "?"
    judged = judge(WOONBEDRIJF, WOONBEDRIJF.write(rows))
    assert judged.rejection is not None
    assert judged.rejection.code == "file_threshold"
    assert "3 of 20" in judged.rejection.detail
    assert len(judged.rows) == 0
    assert len(judged.quarantined) == 3


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_a_missing_column_refuses_the_file_and_is_named(form: PartnerFormat) -> None:
    rows = form.good_rows(ROWS)
    contract = load_contract(form.partner)
    for column in contract.columns:
        labels = [label for label in rows[0] if label != column.label]
        judged = judge(form, form.write(rows, labels=labels))
        if column.may_be_absent:
            assert [(one.code, one.detail) for one in judged.warnings] == [("column_absent", column.label)]
            assert len(judged.rows) == ROWS
        else:
            assert judged.rejection is not None
            assert judged.rejection.code == "file_header"
            assert column.label in judged.rejection.detail


def test_the_header_of_another_partner_refuses_the_file() -> None:
    judged = judge(WOONBEDRIJF, DRINKWATER.write(DRINKWATER.good_rows(ROWS)))
    assert judged.rejection is not None
    assert judged.rejection.code == "file_header"


def test_a_file_without_a_header_says_nothing_of_its_first_row() -> None:
    data = WOONBEDRIJF.write(WOONBEDRIJF.good_rows(ROWS)).split(b"\r\n", 1)[1]
    judged = judge(WOONBEDRIJF, data)
    assert judged.rejection is not None
    assert judged.rejection.code == "file_header"
    assert "W00000" not in judged.rejection.detail
    assert "Bakker" not in judged.rejection.detail


def test_a_column_that_stands_there_twice_refuses_the_file() -> None:
    data = WOONBEDRIJF.write(WOONBEDRIJF.good_rows(ROWS), labels=[*WOONBEDRIJF.row(0), "Postcode"])
    judged = judge(WOONBEDRIJF, data)
    assert judged.rejection is not None
    assert "Postcode" in judged.rejection.detail


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_an_unknown_column_is_loaded_around_and_reported(form: PartnerFormat) -> None:
    rows = [row | {"Kleur voordeur": "groen"} for row in form.good_rows(ROWS)]
    judged = judge(form, form.write(rows))
    assert [one.code for one in judged.warnings] == ["column_unknown"]
    assert "Kleur voordeur" in judged.warnings[0].detail
    assert len(judged.rows) == ROWS


def test_an_unknown_column_that_looks_like_data_is_not_quoted() -> None:
    rows = [row | {"06-22334455": "x"} for row in WOONBEDRIJF.good_rows(ROWS)]
    assert judge(WOONBEDRIJF, WOONBEDRIJF.write(rows)).warnings[0].detail.endswith("column 17")


def test_columns_in_another_order_and_labels_in_another_case_are_the_same_columns() -> None:
    rows = [{label.upper(): value for label, value in row.items()} for row in ZORGPLUS.good_rows(ROWS)]
    assert len(judge(ZORGPLUS, ZORGPLUS.write(rows, labels=list(reversed(rows[0])))).rows) == ROWS


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
@pytest.mark.parametrize("rows", [None, 0])
def test_an_empty_file_is_a_delivery_of_nothing_with_a_warning(form: PartnerFormat, rows: int | None) -> None:
    data = b"" if rows is None else form.write([], labels=list(form.row(0)))
    judged = judge(form, data)
    assert judged.rejection is None
    assert [one.code for one in judged.warnings] == ["file_empty"]
    assert judged.rows_in_file == 0


UNREADABLE: list[tuple[PartnerFormat, bytes]] = [
    (ZORGPLUS, ZORGPLUS.write([ZORGPLUS.row(0) | {"surname": "Brière"}]).decode().encode("cp1252")),
    (WOONBEDRIJF, b"Relatienummer;\x81\x8d"),
    (WOONBEDRIJF, WOONBEDRIJF.write(WOONBEDRIJF.good_rows(3)).decode("cp1252").encode("utf-16")),
    (WOONBEDRIJF, WOONBEDRIJF.write([WOONBEDRIJF.row(0) | {"Naam": "BriÃ¨re"}]).decode("cp1252").encode()),
    (WOONBEDRIJF, WOONBEDRIJF.write([WOONBEDRIJF.row(0) | {"Naam": "BriÃ¨re"}])),
    (DRINKWATER, DRINKWATER.write([DRINKWATER.row(0) | {"Aanschrijfnaam": "Bri\ufffdre, A."}])),
    (WOONBEDRIJF, WOONBEDRIJF.write(WOONBEDRIJF.good_rows(3)) + b'W9;"Bakker'),
    (STADSENERGIE, b"Klantnummer;Naam"),
    (STADSENERGIE, STADSENERGIE.write(STADSENERGIE.good_rows(3))[:-200]),
    (STADSENERGIE, WOONBEDRIJF.write(WOONBEDRIJF.good_rows(3))),
    (WOONBEDRIJF, STADSENERGIE.write(STADSENERGIE.good_rows(3))),
    (STADSENERGIE, b"PK\x03\x04" + b"\x00" * 400),
]


@pytest.mark.parametrize(
    ("form", "data"), UNREADABLE, ids=[f"{form.partner}-{i}" for i, (form, _) in enumerate(UNREADABLE)]
)
def test_what_cannot_be_opened_is_refused(form: PartnerFormat, data: bytes) -> None:
    judged = judge(form, data)
    assert judged.rejection is not None
    assert judged.rejection.code == "file_unreadable"
    assert judged.rows_in_file == 0


def test_utf8_and_windows_1252_give_the_same_rows_where_both_are_allowed() -> None:
    rows = [row | {"Naam": "Brière"} for row in WOONBEDRIJF.good_rows(ROWS)]
    data = WOONBEDRIJF.write(rows)
    both = [
        judge(WOONBEDRIJF, one)
        for one in (data, data.decode("cp1252").encode(), data.decode("cp1252").encode("utf-8-sig"))
    ]
    assert {tuple(judged.rows["surname"]) for judged in both} == {("Brière",) * ROWS}


def test_a_sheet_with_another_name_is_another_contract() -> None:
    judged = judge(STADSENERGIE, STADSENERGIE.write(STADSENERGIE.good_rows(ROWS), sheet="Blad1"))
    assert judged.rejection is not None
    assert (judged.rejection.code, "Signalen" in judged.rejection.detail) == ("file_header", True)


def _zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def _with_member(data: bytes, name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    return _zipped(members | {name: content})


def test_a_zip_bomb_is_refused_before_it_unpacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MOST_UNPACKED_BYTES", 1024 * 1024)
    bomb = _with_member(STADSENERGIE.write(STADSENERGIE.good_rows(3)), "xl/media/picture.bin", bytes(4 * 1024 * 1024))
    assert len(bomb) < 100_000
    judged = judge(STADSENERGIE, bomb)
    assert judged.rejection is not None
    assert (judged.rejection.code, "unpacks" in judged.rejection.detail) == ("file_unreadable", True)


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(_with_member(STADSENERGIE.write(STADSENERGIE.good_rows(3)), "xl/media/x.bin", bytes(500_000)))
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(b"xl/media/x.bin"))
    struct.pack_into("<I", data, place + 24, 10)  # the size it claims to unpack to
    judged = judge(STADSENERGIE, bytes(data))
    assert judged.rejection is not None
    assert judged.rejection.code == "file_unreadable"


def test_a_sheet_with_one_cell_at_the_end_of_the_world_is_refused() -> None:
    workbook = openpyxl.load_workbook(io.BytesIO(STADSENERGIE.write(STADSENERGIE.good_rows(3))))
    workbook["Signalen"]["XFD1048576"] = "boe"
    content = io.BytesIO()
    workbook.save(content)
    judged = judge(STADSENERGIE, content.getvalue())
    assert judged.rejection is not None
    assert (judged.rejection.code, "1048576 rows" in judged.rejection.detail) == ("file_unreadable", True)


def test_a_file_above_the_contracts_limit_is_refused() -> None:
    limit = load_contract("stadsenergie").format.max_bytes
    judged = judge(STADSENERGIE, bytes(limit + 1))
    assert judged.rejection is not None
    assert (judged.rejection.code, "larger" in judged.rejection.detail) == ("file_unreadable", True)


def test_a_row_with_too_many_or_too_few_values_is_quarantined_as_a_row() -> None:
    lines = WOONBEDRIJF.write(WOONBEDRIJF.good_rows(30)).split(b"\r\n")
    lines[3] = lines[3].replace(b"2712 AB;", b"2712 AB;;", 1)
    lines[5] = lines[5].rsplit(b";", 2)[0]
    lines[7] += b";;"
    judged = judge(WOONBEDRIJF, b"\r\n".join(lines))
    assert judged.quarantined["reasons"].tolist() == [("row_invalid",)] * 2
    assert judged.quarantined["line_number"].tolist() == [4, 6]
    assert len(judged.rows) == 28


def test_line_numbers_are_lines_of_the_file_also_when_a_value_spans_several() -> None:
    rows = ZORGPLUS.good_rows(ROWS)
    rows[1]["city"] = "Zoeter\r\nmeer"
    rows[4]["postcode"] = "?"
    judged = judge(ZORGPLUS, ZORGPLUS.write(rows))
    assert judged.rows.iloc[1]["city"] == "Zoeter meer"
    assert judged.quarantined["line_number"].tolist() == [7]


def test_empty_lines_and_rows_of_separators_are_no_rows() -> None:
    data = WOONBEDRIJF.write(WOONBEDRIJF.good_rows(ROWS)) + b"\r\n\r\n" + b";" * 15 + b"\r\n   \r\n"
    assert judge(WOONBEDRIJF, data).rows_in_file == ROWS


def test_control_characters_in_a_value_quarantine_the_row() -> None:
    judged = judge_with(WOONBEDRIJF, {"Naam": "Bak\x1bker"})
    assert judged.quarantined["reasons"].tolist() == [("surname_invalid",)]


def test_ris_files_are_read_by_their_contracts() -> None:
    header = [column.label for column in load_contract("ris_attempts").columns if column.name != "updated_at"]
    good = ["o1", "a1", "1", "outbound", "+31622334455", "2024-06-12T18:30:00+02:00", "", "true", "no_answer"]
    bad = ["o1", "a2", "x", "sideways", "", "gisteren", "", "maybe", ""]
    lines = [
        ",".join(line) for line in [header, *([good] * 1), *[[*good[:1], f"b{n}", *good[2:]] for n in range(19)], bad]
    ]
    judged = read_delivery(load_contract("ris_attempts"), "ris_attempts_202406_01.csv", "\n".join(lines).encode())
    assert judged.rejection is None
    assert len(judged.rows) == 20
    assert judged.rows.iloc[0]["reached"] is True
    assert judged.rows.iloc[0]["attempt_no"] == 1
    assert sorted(judged.quarantined["reasons"][0]) == [
        "attempt_no_invalid", "direction_invalid", "reached_invalid", "started_at_invalid",
    ]  # fmt: skip
