"""The monthly score of the partners, from what they delivered to the mart: real files through the real ingest and the
real models, and beside them a computation of its own from the rows that were delivered."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from include.exchange.folders import Exchange
from include.ingest import quarantine
from include.ingest.deliveries import ingest_delivery, open_month, record_missing_partners
from include.ingest.quarantine import Selection
from include.months import Month
from include.settings import DBT_PROJECT_FOLDER, Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.fixtures.deliveries import DRINKWATER, WOONBEDRIJF, ZORGPLUS, PartnerFormat, Row

MAY, JUNE = Month(2024, 5), Month(2024, 6)
DUE = date(2024, 6, 8)
FIELDS = {"phone", "birth_on", "email"}


def deliver(form: PartnerFormat, warehouse: Path, rows: list[Row], day: date, month: Month = JUNE) -> None:
    path = form.inbox(form.file_name(month.compact))
    Exchange.from_settings().write(path, form.write(form.in_month(rows, month)))
    moment = datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp()
    os.utime(warehouse / path, (moment, moment))
    ingest_delivery(path, JUNE)


def zorgplus_rows() -> list[Row]:
    """40 rows; two held back, one double, four without a number, two with an unusable one, three too old, five poor."""
    rows = ZORGPLUS.good_rows(40)
    for number in (3, 4):
        rows[number] |= {"postcode": "?"}
    rows[9] |= {"client_ref": rows[8]["client_ref"]}
    for number in (10, 11, 12, 13):
        rows[number] |= {"phone": ""}
    for number in (14, 15):
        rows[number] |= {"phone": "0900-1234"}
    for number in (20, 21, 22):
        rows[number] |= {"arrears_since": "2023-12-01"}
    for number in (30, 31, 32, 33, 34):
        rows[number] |= {"birth_date": "", "email": ""}
    return rows


@pytest.fixture(scope="module")
def marts(warehouse: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """The mart's rows of June by partner."""
    with connect(Role.EXPORTER) as connection:
        connection.execute("insert into ops.closure_ledger values ('2024-05', 1, 'b', 'c', 0, 0, 0, 0, 0, 'hash')")
    open_month(JUNE)
    deliver(ZORGPLUS, warehouse, zorgplus_rows(), DUE - timedelta(days=2))
    late = [row | {"Aansluitnummer": f"late-{number}"} for number, row in enumerate(DRINKWATER.good_rows(6))]
    deliver(DRINKWATER, warehouse, late, DUE - timedelta(days=5), MAY)
    deliver(DRINKWATER, warehouse, DRINKWATER.good_rows(10), DUE + timedelta(days=2))
    bad = [row | {"Postcode": "?"} for row in WOONBEDRIJF.good_rows(8)]
    deliver(WOONBEDRIJF, warehouse, bad, DUE)
    assert record_missing_partners(JUNE) == ["stadsenergie", "woonbedrijf"]
    for stage in ("matched", "enriched", "categorised", "closure", "marts"):
        build_stage(stage, JUNE)
    with connect(Role.BI_READER) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select * from marts.kpi_partner_quality_monthly where signal_month = '2024-06'")
        yield {row["partner"]: row for row in cursor}


def weights() -> dict[str, Fraction]:
    with (DBT_PROJECT_FOLDER / "seeds" / "partner_quality_weights.csv").open(encoding="utf-8") as lines:
        return {row["component"]: Fraction(row["weight"]) for row in csv.DictReader(lines)}


def score(**parts: Fraction) -> Decimal:
    """The weighted mean of the parts that have figures, one decimal."""
    total = sum((weights()[part] * value for part, value in parts.items()), Fraction(0))
    mean = 100 * total / sum(weights()[part] for part in parts)
    return (Decimal(mean.numerator) / Decimal(mean.denominator)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def test_a_partner_that_delivered_is_scored_as_counted_by_hand(marts: dict[str, dict[str, Any]]) -> None:
    row = marts["zorgplus"]
    rows = zorgplus_rows()
    good = [one for number, one in enumerate(rows) if number not in (3, 4, 9)]
    filled = sum(bool(one["birth_date"]) + bool(one["email"]) + (one["phone"] not in ("", "0900-1234")) for one in good)
    with_phone = sum(bool(one["phone"]) for one in good)
    too_old = sum(date(2024, 6, 4) - date.fromisoformat(one["arrears_since"]) > timedelta(days=100) for one in good)
    assert (row["rows_delivered"], row["rows_loaded"], row["rows_quarantined"], row["rows_duplicate"]) == (40, 37, 2, 1)
    assert (row["fields_expected"], row["fields_filled"]) == (3 * 37, filled)
    assert (row["signals_phone_unusable"], row["signals_with_any_phone"]) == (2, with_phone)
    assert row["signals_out_of_window"] == too_old == 3
    assert row["days_before_due"] == 2
    assert row["completeness_share"] == pytest.approx(Decimal(filled) / 111)
    assert row["rejected_share"] == pytest.approx(Decimal(2) / 40)
    assert row["phone_unusable_share"] == pytest.approx(Decimal(2) / with_phone)
    assert row["quality_score"] == score(
        accepted=1 - Fraction(2, 40), completeness=Fraction(filled, 111), in_window=1 - Fraction(3, 37),
        on_time=Fraction(1), unique=1 - Fraction(1, 40), usable_phones=1 - Fraction(2, with_phone),
    )  # fmt: skip


def test_a_partner_is_asked_only_for_what_its_contract_offers_and_its_own_day_counts(
    marts: dict[str, dict[str, Any]],
) -> None:
    row = marts["drinkwater_zh"]
    assert (row["deliveries"], row["deliveries_late"], row["rows_delivered"]) == (2, 1, 16)
    assert (row["fields_expected"], row["fields_filled"]) == (16, 16)  # a telephone number is all its file can have
    assert row["days_before_due"] == -2
    assert row["quality_score"] == score(
        accepted=Fraction(1), completeness=Fraction(1), in_window=1 - Fraction(row["signals_out_of_window"], 16),
        on_time=Fraction(6, 10), unique=Fraction(1), usable_phones=Fraction(1),
    )  # fmt: skip


def test_without_a_delivery_there_is_a_row_and_no_score(marts: dict[str, dict[str, Any]]) -> None:
    missing, refused = marts["stadsenergie"], marts["woonbedrijf"]
    assert (missing["deliveries"], missing["is_missing_on_deadline"], missing["rows_delivered"]) == (0, True, 0)
    assert (missing["quality_score"], missing["rejected_share"]) == (0, None)
    assert (refused["deliveries"], refused["deliveries_rejected"], refused["rows_rejected"]) == (0, 1, 8)
    assert (refused["quality_score"], refused["rejected_share"]) == (0, 1)


def test_a_score_says_nothing_about_a_person(marts: dict[str, dict[str, Any]]) -> None:
    told = repr(marts)
    for row in zorgplus_rows():
        assert str(row["surname"]) not in told
        assert str(row["client_ref"]) not in told


def test_a_discarded_row_stays_a_row_that_was_held_back(marts: dict[str, dict[str, Any]], warehouse: Path) -> None:
    assert quarantine.discard(Selection(partner="zorgplus", lines=(5,)), "M. de Wit", "test") == 1
    build_stage("marts", JUNE)
    with connect(Role.BI_READER) as connection:
        again = connection.execute(
            "select rows_loaded, rows_quarantined, quality_score from marts.kpi_partner_quality_monthly"
            " where signal_month = '2024-06' and partner = 'zorgplus'"
        ).fetchone()
    assert again == (37, 2, marts["zorgplus"]["quality_score"])  # discarded is still held back


def test_the_weights_add_up_to_a_hundred() -> None:
    assert sum(weights().values()) == 100
