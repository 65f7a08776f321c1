"""Enrichment requests, the work list and partner feedback: once per content, readable, and never a formula."""

from __future__ import annotations

import csv
import io
import itertools
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from include.contracts.registry import load_contract
from include.months import Month
from include.outbound.enrichment_request import request_enrichment
from include.outbound.kwadraad_worklist import deliver_worklist
from include.outbound.partner_feedback import deliver_feedback
from include.outbound.workbook import Sheet, render_workbook
from include.settings import Role
from include.warehouse.connection import connect
from tests.integration.outbound_tables import create_outbound_tables, fill

_numbers = itertools.count()


@pytest.fixture(scope="module")
def exchange(warehouse: Path) -> Path:
    create_outbound_tables()
    return warehouse


@pytest.fixture
def month(exchange: Path) -> Month:
    return Month(2001, 1).plus(next(_numbers))


def rows_of(file: Path, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")), delimiter=delimiter))


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


# -- enrichment -------------------------------------------------------------------------------------------------------


def asked(month: Month, *numbers: int) -> None:
    fill(
        "out_enrichment_requests", str(month),
        [
            {"request_id": f"request_{month}_{number}", "initials": "A.", "surname": "Test", "birth_date": "1980-02-01",
             "postcode": "2712AB", "house_number": number, "bsn_key": "never goes out"}
            for number in numbers
        ],
    )  # fmt: skip


def test_a_number_is_asked_once(month: Month, exchange: Path) -> None:
    outbox = exchange / "outbox" / "enrichment"
    asked(month, 1, 2)
    assert request_enrichment(month).rows == 2
    before = snapshot(outbox)
    assert request_enrichment(month).sequence is None
    assert snapshot(outbox) == before
    asked(month, 1, 2, 3)
    assert request_enrichment(month).sequence == 2
    first, second = sorted(outbox.glob(f"enrichment_request_{month.compact}_*.csv"))
    assert [row["house_number"] for row in rows_of(first)] == ["1", "2"]
    assert [row["house_number"] for row in rows_of(second)] == ["3"]
    assert first.read_text(encoding="utf-8").splitlines()[0] == (
        "request_id,initials,name_prefix,surname,birth_date,postcode,house_number,house_letter,house_number_addition"
    )
    with connect(Role.EXPORTER) as connection:
        rows = connection.execute(
            "select sequence, count(*) from ops.enrichment_requests where signal_month = %s group by 1 order by 1",
            (str(month),),
        ).fetchall()
    assert rows == [(1, 2), (2, 1)]


def test_nothing_to_ask_is_no_file(month: Month, exchange: Path) -> None:
    asked(month)
    assert request_enrichment(month).sequence is None
    assert not list((exchange / "outbox" / "enrichment").glob(f"*{month.compact}*"))


# -- work list --------------------------------------------------------------------------------------------------------

PERSON: dict[str, Any] = {
    "case_id": "case_0123456789abcdef0123", "initials": "J.P.", "name_prefix": "van den", "surname": "Berg",
    "birth_on": date(1980, 2, 1), "street": "Dorpsstraat", "house_number": 12, "house_letter": "A",
    "postcode": "2712AB", "city": "Zoetermeer", "sectors": "Huur|Zorg", "signals": 2, "arrears_eur": Decimal("2450.75"),
}  # fmt: skip


def fill_worklist(month: Month, **warm: Any) -> None:
    direct = PERSON | {
        "route": "direct_crisis",
        "reason": "Crisissignaal",
        "phone_1": "+31612345678",
        "is_crisis": True,
    }
    fill("out_kwadraad_direct", str(month), [direct, direct | {"case_id": "case_2", "is_crisis": False}])
    fill(
        "out_kwadraad_warm", str(month),
        [
            PERSON
            | {
                "phone_1": "+31612345678", "accepted_at": datetime(2024, 6, 12, 12, 30, tzinfo=UTC),
                "callback_part_of_day": "Avond", "callback_from": time(18), "callback_until": time(20, 30),
                "callback_on": date(2024, 6, 14), "situation_summary": '=HYPERLINK("http://example.nl";"klik")',
            }
            | warm
        ],
    )  # fmt: skip
    fill("out_kwadraad_without_number", str(month), [PERSON | {"route": "visit", "reason": "-Geen nummer"}])
    fill("out_kwadraad_review", str(month), [])


def worklists(exchange: Path, month: Month) -> list[Path]:
    return sorted((exchange / "outbox" / "kwadraad").glob(f"kwadraad_worklist_{month.compact}_*.xlsx"))


def test_the_work_list_opens_with_its_sheets_headings_dates_and_amounts(month: Month, exchange: Path) -> None:
    fill_worklist(month)
    assert deliver_worklist(month).rows == 4
    (file,) = worklists(exchange, month)
    book = load_workbook(file)
    assert book.sheetnames == ["Direct", "Warm", "Zonder nummer", "Beoordelen"]
    for page, table in zip(book.worksheets, load_contract("kwadraad_worklist").tables, strict=True):
        headings = [cell.value for cell in page[1]]
        assert headings == [column.label for column in table.columns]
        assert page.freeze_panes == "A2"
        assert page.auto_filter.ref.startswith("A1:")
        assert all(cell.data_type != "f" for row in page.iter_rows() for cell in row)
    direct, warm = book["Direct"], book["Warm"]
    place = {cell.value: cell.column for cell in direct[1]}
    assert direct.cell(2, place["Geboortedatum"]).is_date
    assert direct.cell(2, place["Geboortedatum"]).value == datetime(1980, 2, 1)  # noqa: DTZ001 - a cell has no zone
    assert direct.cell(2, place["Achterstand"]).value == 2450.75
    assert "€" in direct.cell(2, place["Achterstand"]).number_format
    assert [direct.cell(line, place["Crisis"]).value for line in (2, 3)] == ["Ja", "Nee"]
    assert direct.cell(2, place["Telefoon 1"]).value == "+31612345678"
    place = {cell.value: cell.column for cell in warm[1]}
    assert warm.cell(2, place["Hulp geaccepteerd op"]).value == datetime(2024, 6, 12, 14, 30)  # noqa: DTZ001
    assert warm.cell(2, place["Voorkeur van"]).value == time(18)
    summary = warm.cell(2, place["Samenvatting"])
    assert summary.value.startswith("=HYPERLINK")
    assert (summary.data_type, bool(summary.quotePrefix)) == ("s", True)


def test_no_sheet_holds_a_formula_in_its_xml(month: Month, exchange: Path) -> None:
    fill_worklist(month, situation_summary="+31 bellen", surname="@Berg", initials="\t=A1", name_prefix="-van")
    deliver_worklist(month)
    with zipfile.ZipFile(worklists(exchange, month)[0]) as archive:
        pages = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/")]
    assert len(pages) == 4
    assert not [page for page in pages if b"<f>" in page or b"<f " in page]


def test_the_same_work_list_is_no_new_file_and_another_is_the_next(month: Month, exchange: Path) -> None:
    fill_worklist(month)
    deliver_worklist(month)
    before = snapshot(exchange / "outbox" / "kwadraad")
    assert deliver_worklist(month).sequence is None
    assert snapshot(exchange / "outbox" / "kwadraad") == before
    fill_worklist(month, callback_part_of_day="Ochtend")
    assert deliver_worklist(month).sequence == 2
    assert len(worklists(exchange, month)) == 2
    fill_worklist(month)
    assert deliver_worklist(month).sequence == 3, "what it says changed back: that is news as well"


def test_the_same_rows_make_the_same_bytes() -> None:
    contract = load_contract("kwadraad_worklist")
    table = contract.table_named("warm")
    row = [PERSON.get(column.name, "tekst\x07 met een bel") for column in table.columns]
    at = datetime(2024, 6, 9, 9, tzinfo=UTC)
    first, second = (render_workbook(contract, [Sheet(table, [row, row])], "titel", at) for _ in range(2))
    assert first == second
    assert b"2024-06-09T09:00:00Z" in zipfile.ZipFile(io.BytesIO(first)).read("docProps/core.xml")


# -- feedback ---------------------------------------------------------------------------------------------------------


def said(month: Month, status: str) -> None:
    fill(
        "out_partner_feedback", str(month),
        [
            {"partner": "zorgplus", "partner_reference": "Z-1", "status": status, "status_on": "2024-06-09"},
            {"partner": "zorgplus", "partner_reference": "=Z-2", "status": "Opgepakt", "status_on": "2024-06-09"},
            {"partner": "woonbedrijf", "partner_reference": "W-1", "status": "Opgepakt", "status_on": "2024-06-09"},
        ],
    )  # fmt: skip


def test_each_partner_hears_about_its_own_signals(month: Month, exchange: Path) -> None:
    said(month, "Opgepakt")
    summary = deliver_feedback(month)
    assert (summary.partners, summary.files, summary.rows) == (2, 2, 3)
    file = exchange / "outbox" / "partners" / "zorgplus" / f"feedback_zorgplus_{month.compact}.csv"
    assert file.read_text(encoding="utf-8").splitlines() == [
        "partner_reference,status,status_on", "'=Z-2,Opgepakt,2024-06-09", "Z-1,Opgepakt,2024-06-09",
    ]  # fmt: skip
    assert len(rows_of(exchange / "outbox/partners/woonbedrijf" / f"feedback_woonbedrijf_{month.compact}.csv")) == 1


def test_only_the_partner_with_news_gets_a_file_again(month: Month, exchange: Path) -> None:
    said(month, "Opgepakt")
    deliver_feedback(month)
    assert deliver_feedback(month).files == 0
    said(month, "Inwoner al bekend bij schuldhulpverlening")
    assert deliver_feedback(month).files == 1
    with connect(Role.EXPORTER) as connection:
        rows = connection.execute(
            "select recipient, max(sequence), bool_and(state = 'delivered') from ops.exchange_ledger "
            "where contract = 'partner_feedback' and signal_month = %s group by 1 order by 1",
            (str(month),),
        ).fetchall()
    assert rows == [("woonbedrijf", 1, True), ("zorgplus", 2, True)]
