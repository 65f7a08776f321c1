"""The DDAS delivery is valid against the published schema, or it does not leave."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.months import Month
from include.outbound.ddas import (
    SCHEMA,
    DdasNotValid,
    check_delivered,
    check_open_month,
    deliver_ddas,
    require_valid,
)
from include.settings import Role
from include.warehouse.connection import connect
from tests.integration.outbound_tables import create_outbound_tables, fill

MONTH = Month(2024, 6)
SIGNAL: dict[str, Any] = {
    "signal_id": "signal_1", "is_crisis": False, "is_warm_handover": False, "amount_eur": 451,
    "arrears_since_on": date(2024, 4, 1), "signal_on": date(2024, 6, 3), "status": "Opgepakt", "partner_type": "Huur",
    "postcode": "2712AB", "house_number": "12", "house_number_addition": "A3", "birth_on": date(1980, 2, 1),
    "gender": "Vrouw",
}  # fmt: skip
CASE: dict[str, Any] = {
    "case_id": "case_1", "result": "Definitief geen contact kunnen krijgen", "matched_on": date(2024, 6, 9),
    "matching_starts_on": date(2024, 6, 1), "matching_ends_on": date(2024, 6, 30), "picked_up_on": date(2024, 6, 9),
    "signal_ids": ["signal_1"],
}  # fmt: skip
ATTEMPT: dict[str, Any] = {
    "case_id": "case_1", "contact_kind": "Telefoon", "is_reached": False, "attempted_on": date(2024, 6, 10),
    "part_of_day": "Middag",
}  # fmt: skip


@pytest.fixture
def outbox(warehouse: Path) -> Path:
    create_outbound_tables()
    month = str(MONTH)
    other = SIGNAL | {"signal_id": "signal_2", "house_number_addition": None, "birth_on": None, "gender": "Leeg",
                      "status": "Niet opgepakt: herhaalde melding"}  # fmt: skip
    fill("out_ddas_signals", month, [SIGNAL, other, SIGNAL | {"signal_id": "signal_3"}])
    fill("out_ddas_cases", month, [CASE, CASE | {"case_id": "case_2", "result": None, "signal_ids": ["signal_3"]}])
    fill("out_ddas_attempts", month, [ATTEMPT, ATTEMPT | {"is_reached": True, "part_of_day": "Avond"}])
    return warehouse / "outbox" / "cbs"


def delivered(outbox: Path) -> dict[str, Any]:
    return json.loads((outbox / "ddas_vroegsignalering_202406.json").read_text(encoding="utf-8"))


def test_the_delivery_is_valid_and_says_what_the_month_was(outbox: Path) -> None:
    assert deliver_ddas(MONTH).rows == 3
    document = delivered(outbox)
    require_valid(document)
    assert document["startdatumLevering"] == "2024-06-01"
    assert document["einddatumLevering"] == "2024-06-30"
    assert datetime.fromisoformat(document["aanleverdatumEnTijd"]).tzinfo is not None
    (levering,) = document["leveringen"]
    assert levering["gemeentecode"] == "0637"
    first, second, _ = levering["vroegsignalen"]
    assert first["bedrag"] == 451
    assert set(first["client"]) == {
        "geslachtsaanduiding",
        "geboortedatum",
        "postcode",
        "huisnummer",
        "huisnummertoevoeging",
    }
    assert set(second["client"]) == {"geslachtsaanduiding", "postcode", "huisnummer"}
    closed, open_case = levering["vroegsignaalzaken"]
    assert closed["resultaat"] == "Definitief geen contact kunnen krijgen"
    assert "resultaat" not in open_case
    assert [one["dagdeel"] for one in closed["contactpogingen"]] == ["Avond", "Middag"]
    assert set(closed["contactpogingen"][0]) == {"soort", "bereikt", "datum", "dagdeel"}


def test_a_delivery_that_contradicts_itself_does_not_leave(outbox: Path) -> None:
    deliver_ddas(MONTH)
    before = delivered(outbox)
    fill("out_ddas_cases", str(MONTH), [CASE | {"picked_up_on": date(2024, 6, 2)}])
    with pytest.raises(DdasNotValid, match="case_dates_in_order") as stopped:
        deliver_ddas(MONTH)
    assert "status_and_result_agree" in str(stopped.value), "signal_3 is picked up, and no case holds it any more"
    assert delivered(outbox) == before


def test_what_was_delivered_can_be_checked_again_and_an_open_month_beforehand(outbox: Path) -> None:
    deliver_ddas(MONTH)
    checked = check_delivered(MONTH)
    assert (checked.signals, checked.cases, checked.cases_with_result, checked.attempts) == (3, 2, 1, 2)
    assert checked.rules >= 12
    # of the closed case, which was not reached, one attempt says that somebody was
    assert [warning.split(":")[0] for warning in checked.warnings] == ["not_reached_had_no_contact"]
    fill("out_ddas_attempts", str(MONTH), [])
    assert check_open_month(MONTH).attempts == 0
    assert check_delivered(MONTH) == checked, "checking an open month delivers nothing"


def test_no_number_no_name_and_no_bsn_is_told(outbox: Path) -> None:
    deliver_ddas(MONTH)
    text = json.dumps(delivered(outbox))
    assert "+31" not in text
    assert "burgerservicenummer" not in text
    assert "call_" not in text


def test_the_same_month_again_is_the_same_file(outbox: Path) -> None:
    deliver_ddas(MONTH)
    file = outbox / "ddas_vroegsignalering_202406.json"
    before = file.read_bytes(), file.stat().st_mtime_ns
    assert deliver_ddas(MONTH).sequence is None
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    counter = delivered(outbox)["leveringen"][0]["teller"]
    fill("out_ddas_attempts", str(MONTH), [ATTEMPT])
    assert deliver_ddas(MONTH).sequence == counter + 1
    assert delivered(outbox)["leveringen"][0]["teller"] == counter + 1


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("out_ddas_signals", {"status": "Klaar"}),
        ("out_ddas_signals", {"partner_type": "Kabel"}),
        ("out_ddas_signals", {"postcode": None}),
        ("out_ddas_signals", {"gender": "V"}),
        ("out_ddas_cases", {"result": "Opgelost"}),
        ("out_ddas_cases", {"signal_ids": []}),
        ("out_ddas_attempts", {"part_of_day": "Nacht"}),
    ],
)
def test_a_delivery_that_is_not_valid_does_not_leave(outbox: Path, table: str, changes: dict[str, Any]) -> None:
    deliver_ddas(MONTH)
    before = delivered(outbox)
    row = {"out_ddas_signals": SIGNAL, "out_ddas_cases": CASE, "out_ddas_attempts": ATTEMPT}[table]
    fill(table, str(MONTH), [row | changes])
    with pytest.raises(DdasNotValid, match="DDAS v1.2") as stopped:
        deliver_ddas(MONTH)
    assert "2712AB" not in str(stopped.value)
    assert delivered(outbox) == before


@pytest.mark.parametrize("moment", ["2024-07-01", "2024-07-01T09:00:00", "gisteren"])
def test_a_moment_must_be_a_moment_with_a_zone(moment: str) -> None:
    document = {
        "aanleverdatumEnTijd": moment, "codeGegevensleverancier": "0637", "startdatumLevering": "2024-06-01",
        "einddatumLevering": "2024-06-30",
    }  # fmt: skip
    with pytest.raises(DdasNotValid):
        require_valid(document)
    require_valid(document | {"aanleverdatumEnTijd": "2024-07-01T09:00:00+02:00"})


@pytest.mark.parametrize("day", ["01-06-2024", "2024-02-30"])
def test_a_day_must_be_a_day(day: str) -> None:
    with pytest.raises(DdasNotValid, match="startdatumLevering"):
        require_valid(
            {
                "aanleverdatumEnTijd": "2024-07-01T09:00:00+02:00", "codeGegevensleverancier": "0637",
                "startdatumLevering": day, "einddatumLevering": "2024-06-30",
            }
        )  # fmt: skip


def test_bsn_and_address_together_are_refused_by_the_schema_we_check_with() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["title"] == "Uitwisselmodel"
    signal = {"ID": "1", "signaalpartner": {"type": "Huur"},
              "client": {"burgerservicenummer": "123456782", "postcode": "2712AB", "huisnummer": "1"}}  # fmt: skip
    document = {
        "aanleverdatumEnTijd": "2024-07-01T09:00:00+02:00", "codeGegevensleverancier": "0637",
        "startdatumLevering": "2024-06-01", "einddatumLevering": "2024-06-30",
        "leveringen": [{"teller": 1, "gemeentecode": "0637", "aanleverendeOrganisatie": {"naam": "Gemeente"},
                        "vroegsignalen": [signal]}],
    }  # fmt: skip
    with pytest.raises(DdasNotValid, match="client"):
        require_valid(document)


def test_the_exporter_cannot_read_what_ddas_must_not_hold(outbox: Path) -> None:
    with connect(Role.EXPORTER) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from landing.raw_rows")
