"""Two versions of a partner's contract side by side, and a contract file that is broken: whose month goes on, how."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.exchange.folders import Exchange
from include.ingest.booking import DeliverySummary
from include.ingest.deliveries import (
    delivery_deadline,
    find_deliveries,
    ingest_delivery,
    open_month,
    partners_awaited,
    record_missing_partners,
)
from include.months import Month
from include.orchestration.waits import deliveries_complete
from include.settings import CONTRACTS_FOLDER, Role
from include.warehouse.connection import connect
from tests.fixtures.deliveries import WOONBEDRIJF, ZORGPLUS, Row, csv_bytes

Document = dict[str, Any]
_months = itertools.chain(Month.parse_range("2024-01..2031-12"))
LAST_OLD = "2024-12"


@pytest.fixture
def month(warehouse: Path) -> Iterator[Month]:
    yield next(_months)
    for file in warehouse.glob("inbox/*/*"):
        file.unlink()


@pytest.fixture
def inbound(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the contracts to change; the folder of the incoming ones."""
    folder = tmp_path / "contracts"
    shutil.copytree(CONTRACTS_FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setenv("VS_CONTRACTS", str(folder))
    return folder / "inbound"


def version_1(inbound: Path) -> Document:
    return yaml.safe_load((inbound / "zorgplus-v1.odcs.yaml").read_text(encoding="utf-8"))


def version_2(inbound: Path) -> Document:
    """The amount has another label, and a new column says whether the insurer called."""
    document = version_1(inbound)
    document |= {"id": "zorgplus-v2", "version": "2.0.0"}
    for column in document["schema"][0]["properties"]:
        if column["name"] == "arrears_amount":
            column["physicalName"] = "premium_arrears"
    document["schema"][0]["properties"].append({
        "name": "called", "logicalType": "string", "classification": "confidential", "required": True,
        "description": "Whether the insurer called.", "customProperties": [{"property": "fills", "value": []}],
    })  # fmt: skip
    return document


def valid(document: Document, **months: str) -> Document:
    return document | {
        "customProperties": document["customProperties"]
        + [{"property": name, "value": month} for name, month in months.items()]
    }


def write(inbound: Path, document: Document) -> None:
    path = inbound / f"{document['id']}.odcs.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")


def old_rows(month: Month, count: int = 3) -> list[Row]:
    rows = ZORGPLUS.in_month(ZORGPLUS.good_rows(count), month)
    return [row | {"client_ref": f"{month.compact}-{row['client_ref']}"} for row in rows]


def new_rows(month: Month, count: int = 3) -> list[Row]:
    return [
        {{"arrears_amount": "premium_arrears"}.get(label, label): value for label, value in row.items()}
        | {"called": "yes"}
        for row in old_rows(month, count)
    ]


def deliver(month: Month, rows: list[Row], sequence: str = "") -> DeliverySummary:
    path = ZORGPLUS.inbox(ZORGPLUS.file_name(month.compact, sequence))
    Exchange.from_settings().write(path, csv_bytes(rows, delimiter=",", encoding="utf-8"))
    assert find_deliveries(month) == [path]
    return ingest_delivery(path, month)


def amounts(month: Month) -> list[tuple[Any, ...]]:
    with connect(Role.LOADER) as connection:
        return connection.execute(
            "select d.contract, s.contract_version, d.contract_version, count(*), sum(s.arrears_eur) "
            "from landing.signals as s join ops.deliveries as d using (delivery_id) "
            "where s.signal_month = %s group by 1, 2, 3 order by 1",
            (str(month),),
        ).fetchall()


# -- versions ----------------------------------------------------------------------------------------------------------


def test_files_of_both_shapes_are_each_read_by_their_own_version(month: Month, inbound: Path) -> None:
    write(inbound, version_2(inbound))
    open_month(month)
    first = deliver(month, old_rows(month, 2))
    second = deliver(month, new_rows(month, 3), "_02")
    assert (first.contract, first.status, second.contract, second.status) == (
        "zorgplus-v1", "loaded", "zorgplus-v2", "loaded",
    )  # fmt: skip
    stored = amounts(month)
    assert [row[:4] for row in stored] == [("zorgplus-v1", "1.0.0", "1.0.0", 2), ("zorgplus-v2", "2.0.0", "2.0.0", 3)]
    assert all(row[4] > 0 for row in stored)


def test_an_old_month_is_corrected_in_the_old_shape_and_a_new_one_comes_in_the_new(inbound: Path, month: Month) -> None:
    old, new = Month.parse(LAST_OLD), Month.parse(LAST_OLD).next
    first, second = version_1(inbound), version_2(inbound)
    write(inbound, valid(first, validTo=str(old)))
    write(inbound, valid(second, validFrom=str(new)))
    open_month(new)
    assert deliver(new, new_rows(new)).contract == "zorgplus-v2"
    assert deliver(old, old_rows(old)).contract == "zorgplus-v1"
    refused = deliver(new, old_rows(new), "_02")
    assert (refused.contract, refused.reason_code) == ("zorgplus-v2", "file_header")
    assert refused.reason_detail == "missing columns: premium_arrears, called (zorgplus-v2)"
    assert deliver(old, new_rows(old), "_02").reason_code == "file_header"
    open_month(old)
    with connect(Role.LOADER) as connection:
        known = connection.execute("select contract_version from ops.partners where partner = 'zorgplus'").fetchone()
    assert known == ("2.0.0",)


def test_a_file_of_neither_shape_is_refused_and_told_what_each_lacks(month: Month, inbound: Path) -> None:
    write(inbound, version_2(inbound))
    rows = [{label: value for label, value in row.items() if label != "surname"} for row in old_rows(month)]
    refused = deliver(month, rows)
    assert (refused.contract, refused.reason_code) == ("zorgplus-v2", "file_header")
    assert refused.reason_detail == (
        "missing columns: surname, premium_arrears, called (zorgplus-v2); nor is it zorgplus-v1: missing surname"
    )
    assert deliver(month, old_rows(month), "_02").status == "loaded"


def test_a_month_before_every_version_is_refused_and_told_which_there_are(month: Month, inbound: Path) -> None:
    write(inbound, valid(version_1(inbound), validFrom="2032-01"))
    refused = deliver(month, old_rows(month))
    assert refused.reason_code == "file_name"
    assert "zorgplus-v1 (2032-01 to now)" in (refused.reason_detail or "")
    assert "zorgplus" not in partners_awaited(month)
    assert record_missing_partners(month) == ["drinkwater_zh", "stadsenergie", "woonbedrijf"]


def test_the_same_columns_in_both_versions_are_read_by_the_newest(month: Month, inbound: Path) -> None:
    write(inbound, version_1(inbound) | {"id": "zorgplus-v2", "version": "2.0.0"})
    assert deliver(month, old_rows(month)).contract == "zorgplus-v2"


# -- a broken contract -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["schema: [", "an unknown reader"])
def test_a_broken_contract_keeps_nobody_else_waiting(broken: str, month: Month, inbound: Path) -> None:
    file = inbound / "zorgplus-v1.odcs.yaml"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace("value: postcode}", "value: postcod}") if "reader" in broken else broken, "utf-8")
    open_month(month)
    exchange = Exchange.from_settings()
    waiting = ZORGPLUS.inbox(ZORGPLUS.file_name(month.compact))
    exchange.write(waiting, csv_bytes(old_rows(month), delimiter=",", encoding="utf-8"))
    rows = WOONBEDRIJF.in_month(WOONBEDRIJF.good_rows(4), month)
    rows = [row | {"Relatienummer": f"{month.compact}-{row['Relatienummer']}"} for row in rows]
    other = WOONBEDRIJF.inbox(WOONBEDRIJF.file_name(month.compact))
    exchange.write(other, WOONBEDRIJF.write(rows))

    assert find_deliveries(month) == [other]
    assert ingest_delivery(other, month).rows_loaded == 4
    assert "zorgplus" in partners_awaited(month)
    assert str(delivery_deadline(month)).startswith(f"{month}-08")
    assert "zorgplus-v1.odcs.yaml" in deliveries_complete(month).message
    assert "zorgplus" in record_missing_partners(month)
    assert exchange.exists(waiting)
    with connect(Role.LOADER) as connection:
        told = connection.execute(
            "select contract_file, partner, problems from ops.contract_problems where signal_month = %s", (str(month),)
        ).fetchall()
    assert [row[:2] for row in told] == [("zorgplus-v1.odcs.yaml", "zorgplus")]
    assert told[0][2]

    file.write_text(whole, encoding="utf-8")
    assert find_deliveries(month) == [waiting]
    assert ingest_delivery(waiting, month).rows_loaded == 3
    assert record_missing_partners(month) == ["drinkwater_zh", "stadsenergie"]
    with connect(Role.LOADER) as connection:
        assert (
            connection.execute("select from ops.contract_problems where signal_month = %s", (str(month),)).rowcount == 0
        )


def test_a_new_version_that_is_broken_leaves_the_old_one_at_work(month: Month, inbound: Path) -> None:
    (inbound / "zorgplus-v2.odcs.yaml").write_text("exchange: partner_delivery: 2", encoding="utf-8")
    open_month(month)
    assert deliver(month, old_rows(month)).contract == "zorgplus-v1"
    with connect(Role.LOADER) as connection:
        told = connection.execute(
            "select contract_file from ops.contract_problems where signal_month = %s", (str(month),)
        ).fetchall()
    assert told == [("zorgplus-v2.odcs.yaml",)]


def test_while_an_incoming_contract_is_unreadable_files_nobody_claims_stay(month: Month, inbound: Path) -> None:
    (inbound / "ris_outcomes-v1.odcs.yaml").write_text("a: [", encoding="utf-8")
    exchange = Exchange.from_settings()
    exchange.write("inbox/ris/ris_outcomes_202406_01.csv", b"x")
    exchange.write("inbox/somebody/a.csv", b"x")
    assert find_deliveries(month) == []
    shutil.copy(CONTRACTS_FOLDER / "inbound" / "ris_outcomes-v1.odcs.yaml", inbound)
    assert find_deliveries(month) == ["inbox/somebody/a.csv"]
