"""Who is not to be approached is not picked up, whatever is delivered, and is recognised without being readable."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from include.ingest.suppressions import (
    Ground,
    PersonUnknown,
    calls_to_withdraw,
    described_subject,
    end_suppression,
    subject_of,
    suppress,
    suppressions,
)
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.dbt.landed import Signal, deliver_call_list, land, rows

MARCH, APRIL, MAY = (Month(2024, number) for number in (3, 4, 5))
OBJECTOR = Signal("objector", "van den Berg", birth_on=date(1980, 1, 2), house_number=10, phone="+31611110010")
HOUSEMATE = Signal("housemate", "van den Berg", birth_on=date(1982, 5, 6), house_number=10, phone="+31611110011",
                   initials="C.")  # fmt: skip
STRANGER = Signal("stranger", "Yılmaz-de Vries", birth_on=date(1990, 9, 9), house_number=12, phone="+31611110012")
ORDINARY = Signal("ordinary", "Mulder", birth_on=date(1985, 7, 8), house_number=40, phone="+31611110040")


def build(month: Month) -> None:
    for stage in ("matched", "enriched", "categorised"):
        build_stage(stage, month)


def verdict(reference: str, month: Month) -> tuple[str, str]:
    [found] = rows(
        "select status, status_rule_id from intermediate.int_signals__matched"
        " where partner_reference = %s and signal_month = %s",
        reference, str(month),
    )  # fmt: skip
    return found


def id_of(reference: str, column: str = "call_record_id") -> str:
    [(value,)] = rows(
        f"select distinct {column} from intermediate.int_signals__matched"
        " where partner_reference = %s and signal_month = %s",
        reference, str(MARCH),
    )  # fmt: skip
    return value


@pytest.fixture(scope="module")
def municipality(warehouse: Path) -> Path:
    """March as it came in, with its list handed over; in April and May the same people and some more."""
    land(MARCH, [OBJECTOR, HOUSEMATE, ORDINARY])
    build(MARCH)
    deliver_call_list(MARCH)
    call, case = id_of("objector"), id_of("objector", "case_id")
    with pytest.raises(PersonUnknown, match="holds 2 persons"):
        subject_of(case)
    assert suppress(subject_of(call), Ground.OBJECTION, date(2024, 3, 20), "coordinator") == 1
    assert suppress(subject_of(call), Ground.OBJECTION, date(2024, 3, 20), "coordinator") == 1
    # described on the terminal, never seen before; a deceased one; both known by hashes only
    stranger = described_subject("2712 ab", 12, date(1990, 9, 9), "De Vries")
    assert stranger.person_ids == []
    assert suppress(stranger, Ground.DECEASED, date(2024, 4, 1), "coordinator") == 2
    land(
        APRIL,
        [
            OBJECTOR.again(amount="300.00", surname="Berg", phone=None),
            HOUSEMATE.again(amount="300.00"),
            ORDINARY.again(amount="300.00"),
            STRANGER,
            # water knows no birth dates: the same name on the same address is the same person
            Signal("water", "Yilmaz-de Vries", "drinkwater_zh", house_number=12),
        ],
    )
    build(APRIL)
    land(
        MAY,
        [
            OBJECTOR.again(amount="400.00"),
            Signal("water", "Yilmaz-de Vries", "drinkwater_zh", house_number=12, amount="500.00"),
        ],
    )
    build(MAY)
    return warehouse


def test_an_objection_counts_from_the_month_it_came_in(municipality: Path) -> None:
    refused = ("Niet opgepakt: andere reden", "suppressed_objection")
    assert verdict("objector", APRIL) == refused
    assert verdict("objector", MAY) == refused


def test_others_at_the_address_are_still_helped(municipality: Path) -> None:
    assert verdict("housemate", APRIL) == ("Opgepakt", "picked_up")
    assert verdict("ordinary", APRIL) == ("Opgepakt", "picked_up")


def test_one_half_of_a_double_name_is_enough_and_every_signal_of_the_person_counts(municipality: Path) -> None:
    deceased = ("Inwoner is overleden", "suppressed_deceased")
    assert verdict("stranger", APRIL) == deceased
    assert verdict("water", APRIL) == deceased
    # in May only the signal without a birth date came
    assert verdict("water", MAY) == deceased


def test_what_went_out_before_is_to_be_withdrawn_without_a_rebuild(municipality: Path) -> None:
    assert calls_to_withdraw() == {str(MARCH): 1}
    with connect(Role.EXPORTER) as connection:
        found = connection.execute("select signal_month, call_record_id from intermediate.int_calls__suppressed")
        assert found.fetchall() == [(str(MARCH), id_of("objector"))]


def test_a_described_person_who_is_known_is_found(municipality: Path) -> None:
    found = described_subject("2712AB", 40, date(1985, 7, 8), "Mulder")
    assert found.person_ids == [id_of("ordinary", "person_id")]
    assert described_subject("2712AB", 41, date(1985, 7, 8), "Mulder").person_ids == []
    with pytest.raises(PersonUnknown, match="no letters"):
        described_subject("2712AB", 40, date(1985, 7, 8), "…")
    with pytest.raises(PersonUnknown, match="--describe"):
        subject_of("call_nobody")


def test_nothing_that_can_be_read_is_stored(municipality: Path) -> None:
    [(text,)] = rows("select string_agg(to_jsonb(s)::text, '') from ops.suppressions as s")
    assert "suppressed_" in text
    assert not [secret for secret in ("Berg", "berg", "Vries", "2712", "1980", "1990") if secret in text]


def test_an_ended_suppression_ends_and_earlier_months_keep_it(municipality: Path) -> None:
    end_suppression(1, date(2024, 4, 30), "coordinator")
    assert [(one.suppression_id, one.valid_to) for one in suppressions()] == [(2, None), (1, date(2024, 4, 30))]
    build(MAY)
    assert verdict("objector", MAY) == ("Opgepakt", "picked_up")
    build(APRIL)
    assert verdict("objector", APRIL) == ("Niet opgepakt: andere reden", "suppressed_objection")
    with pytest.raises(PersonUnknown, match="no running suppression"):
        end_suppression(1, date(2024, 5, 31), "coordinator")
