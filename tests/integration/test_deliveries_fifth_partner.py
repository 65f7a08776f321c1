"""A fifth partner, shaped like none of the four, is one contract file: nothing else knows it."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from include.exchange.folders import Exchange
from include.ingest.deliveries import find_deliveries, ingest_delivery, open_month, partners_awaited
from include.months import Month
from include.settings import CONTRACTS_FOLDER, Role
from include.warehouse.connection import connect
from tests.fixtures.deliveries import ZORGPLUS

JUNE = Month.parse("2024-06")
DELIVERY = (
    "Gemeentelijke Belastingen Voorbeeldstad\n"
    "PersoonOmschrijving|Woonadres|PC|Tel nr|Bedrag open|Vervallen op|Peildatum|Dossier\n"
    "Graaf, A. de|Hoofdweg 7 bis|2715 GH|06-22334455 / 079-3161234|1.250,00|20240301|20240604|D-1\n"
    "Smit, B.|Hoofdweg|2715 GH||12,00|20240301|20240604|D-2\n"
    "Vos, C. van der|Zijpad 3 A|2715 GH|0900-1234|€ 75,-|20240301|20240604|D-3\n"
    "Vos, C. van der|Zijpad 3 A|2715 GH||75|20240301|20240604|D-3\n"
)


def fifth_contract() -> str:
    """A contract as somebody would write it: one of ours, with its own header, fields and ways of writing."""
    document = yaml.safe_load((CONTRACTS_FOLDER / "inbound" / "drinkwater_zh-v1.odcs.yaml").read_text(encoding="utf-8"))
    options = {entry["property"]: entry["value"] for entry in document["customProperties"]} | {
        "partner": "belastingen", "partnerName": "Gemeentelijke Belastingen", "sector": "Belastingen",
        "folder": "inbox/belastingen", "fileName": "belastingen_<YYYYMM>[_<seq>].txt", "delimiter": "|", "titleRows": 1,
        "quarantineThreshold": 0.5,
    }  # fmt: skip
    columns = [
        ("dossier", "Dossier", {"fills": "partner_reference", "reader": "text"}),
        ("naam", "PersoonOmschrijving", {"reader": "person_name", "pattern": "Berg, J.P. van den"}),
        ("adres", "Woonadres", {"reader": "address_line"}),
        ("pc", "PC", {"fills": "postcode", "reader": "postcode"}),
        ("tel", "Tel nr", {"reader": "phone"}),
        ("bedrag", "Bedrag open", {"fills": "arrears_eur", "reader": "amount", "notation": "nl"}),
        ("vervallen", "Vervallen op", {"fills": "arrears_since_on", "reader": "date", "formats": ["jjjjmmdd"]}),
        ("peildatum", "Peildatum", {"fills": "signal_on", "reader": "date", "formats": ["jjjjmmdd"]}),
    ]
    document |= {
        "id": "belastingen-v1",
        "name": "Signals of Gemeentelijke Belastingen",
        "customProperties": [{"property": name, "value": value} for name, value in options.items()],
    }
    document["schema"][0]["properties"] = [
        {
            "name": name, "physicalName": label, "logicalType": "string", "classification": "confidential",
            "description": label,
            "customProperties": [{"property": key, "value": value} for key, value in readers.items()],
        }
        for name, label, readers in columns
    ]  # fmt: skip
    document["slaProperties"] = [entry | ({"value": 5} if entry["property"] == "deliveryDay" else {})
                                 for entry in document["slaProperties"]]  # fmt: skip
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


@pytest.fixture
def five_partners(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "contracts"
    shutil.copytree(CONTRACTS_FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "inbound" / "belastingen-v1.odcs.yaml").write_text(fifth_contract(), encoding="utf-8")
    monkeypatch.setenv("VS_CONTRACTS", str(folder))
    return warehouse


def test_the_contract_of_the_fifth_partner_is_valid(five_partners: Path, tmp_path: Path) -> None:
    from datacontract.data_contract import DataContract

    path = tmp_path / "contracts" / "inbound" / "belastingen-v1.odcs.yaml"
    assert DataContract(data_contract_file=str(path)).lint().result.value == "passed"


def test_the_fifth_partner_delivers_beside_the_others(five_partners: Path) -> None:
    open_month(JUNE)
    assert "belastingen" in partners_awaited(JUNE)
    exchange = Exchange.from_settings()
    exchange.write("inbox/belastingen/belastingen_202406.txt", DELIVERY.encode())
    exchange.write(ZORGPLUS.inbox(), ZORGPLUS.write(ZORGPLUS.good_rows(5)))
    taken = {summary.partner: summary for path in find_deliveries(JUNE) if (summary := ingest_delivery(path, JUNE))}
    assert taken["zorgplus"].rows_loaded == 5
    fifth = taken["belastingen"]
    assert (fifth.status, fifth.rows_in_file, fifth.rows_loaded, fifth.rows_quarantined, fifth.rows_duplicate) == (
        "loaded", 4, 2, 1, 1,
    )  # fmt: skip
    with connect(Role.LOADER) as connection:
        signals = connection.execute(
            "select sector, partner_reference, initials, name_prefix, surname, street, house_number, house_letter, "
            "house_number_addition, postcode, phone_1, phone_2, arrears_eur, arrears_since_on, signal_on, flags "
            "from landing.signals where partner = 'belastingen' order by line_number"
        ).fetchall()
        partner = connection.execute("select sector, delivery_day from ops.partners where partner = 'belastingen'")
        assert partner.fetchone() == ("Belastingen", 5)
        held = connection.execute(
            "select line_number, reasons from landing.quarantined_rows where partner = 'belastingen' order by 1"
        ).fetchall()
    assert signals == [
        ("Belastingen", "D-1", "A.", "de", "Graaf", "Hoofdweg", 7, None, "bis", "2715GH", "+31622334455",
         "+31793161234", Decimal("1250.00"), date(2024, 3, 1), date(2024, 6, 4), []),
        ("Belastingen", "D-3", "C.", "van der", "Vos", "Zijpad", 3, "A", None, "2715GH", None, None,
         Decimal("75.00"), date(2024, 3, 1), date(2024, 6, 4), ["phone_invalid"]),
    ]  # fmt: skip
    assert held == [(4, ["house_number_invalid"]), (6, ["reference_duplicate"])]


def test_without_its_contract_the_same_file_is_of_an_unknown_partner(warehouse: Path) -> None:
    Exchange.from_settings().write("inbox/belastingen/belastingen_202407.txt", DELIVERY.encode())
    july = Month.parse("2024-07")
    assert find_deliveries(july) == ["inbox/belastingen/belastingen_202407.txt"]
    assert ingest_delivery("inbox/belastingen/belastingen_202407.txt", july).reason_code == "file_name"
