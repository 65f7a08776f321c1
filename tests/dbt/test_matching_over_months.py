"""Four months of one small municipality: who is recognised, what is picked up, and which way everybody goes.

The months are built in order, as they run; afterwards everything is built again, and from nothing,
and must be the same.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.dbt.landed import Signal, answer, deliver_call_list, everything_built, find_number, land, rows

FEBRUARY, MARCH, APRIL, MAY, JUNE = (Month(2024, number) for number in (2, 3, 4, 5, 6))
BUILT = [MARCH, APRIL, MAY, JUNE]

REPEATER = Signal("repeater", "van den Berg", birth_on=date(1980, 1, 2), house_number=10, phone="+31611110010")
REFUSER = Signal(
    "refuser", "Jansen", "zorgplus", initials="J.P.", birth_on=date(1970, 5, 6), house_number=20, phone="+31611110020"
)
MOVER = Signal("mover", "Bakker", initials="B.C.", birth_on=date(1975, 2, 3), house_number=30, phone="+31611110030")
WRONG_NUMBER = Signal("wrong", "Mulder", birth_on=date(1985, 7, 8), house_number=40, phone="+31611110040")
SPELLED = Signal("spelled", "de Vries", birth_on=date(1990, 9, 9), house_number=12, letter="A", addition="3")
GIVEN_ONCE = Signal("given", "Visser", birth_on=date(1991, 9, 9), house_number=60, phone="+31611110060")


def build(month: Month) -> None:
    for stage in ("matched", "enriched", "categorised"):
        build_stage(stage, month)


def outcome(reference: str, code: str, month: Month, phone: str | None = None) -> None:
    [(call_record_id, case_id)] = rows(
        "select call_record_id, case_id from intermediate.int_signals__matched"
        " where partner_reference = %s and signal_month = %s",
        reference, str(month),
    )  # fmt: skip
    answer(call_record_id, case_id, code, month, phone)


@pytest.fixture(scope="module")
def municipality(warehouse: Path) -> Path:
    land(MARCH, [REPEATER, REFUSER, MOVER, WRONG_NUMBER, GIVEN_ONCE])
    build(MARCH)
    deliver_call_list(MARCH)
    outcome("refuser", "refuses_contact", MARCH)
    outcome("mover", "needs_no_help", MARCH)
    outcome("wrong", "wrong_person", MARCH, phone="+31611110040")

    land(
        APRIL,
        [
            REPEATER,
            Signal("water", "Jansen", "drinkwater_zh", initials="J.P.", house_number=20),
            WRONG_NUMBER.again(amount="250.00"),
            GIVEN_ONCE.again(amount="250.00", phone=None),
        ],
    )
    build(APRIL)
    deliver_call_list(APRIL)

    land(
        MAY,
        [
            REPEATER.again(amount="200.01"),
            MOVER.again(house_number=31, reference="mover-new"),
            SPELLED,
            SPELLED.again(reference="e", partner="stadsenergie", surname="Vries", letter=None, addition="a-3"),
            Signal("w", "Vries", "drinkwater_zh", addition="A 3", house_number=12),
            *[Signal(f"split{n}", name, house_number=50) for n, name in enumerate(
                ["Aydin", "Bos", "Claassen", "Dekker", "Evers"], start=1)],
            Signal("shared1", "Koster", house_number=70, phone="+31611110070", amount="900.00"),
            Signal("shared2", "Post", house_number=71, phone="+31611110070"),
            Signal("rich", "Smit", house_number=72, phone="+31611110072", amount="1500.00"),
            Signal("rich2", "Smit", "stadsenergie", house_number=72, amount="500.01"),
            Signal("crisis", "Kuipers", "stadsenergie", house_number=73, phone="+31611110073", is_crisis=True),
            Signal("elsewhere", "Peters", postcode="2801AB", phone="+31611110074"),
        ],
    )  # fmt: skip
    build(MAY)
    [(request_id,)] = rows(
        "select request_id from outbound.out_enrichment_requests where signal_month = '2024-05' and surname = 'Bos'"
    )
    find_number(MAY, request_id, "+31611110099")
    build(MAY)
    deliver_call_list(MAY)
    land(JUNE, [REPEATER.again(amount="300.00"), Signal("new", "Hendriks", house_number=80)])
    build(JUNE)
    return warehouse


def signal(reference: str, month: Month, columns: str) -> tuple[Any, ...]:
    [found] = rows(
        f"select {columns} from intermediate.int_signals__matched where partner_reference = %s and signal_month = %s",
        reference, str(month),
    )  # fmt: skip
    return found


def route(reference: str, month: Month) -> tuple[Any, ...]:
    [found] = rows(
        "select routes.route, routes.rule_id, routes.phone_1 from intermediate.int_routes as routes"
        " inner join intermediate.int_signals__matched as signals"
        " on signals.person_id = routes.person_id and signals.signal_month = routes.signal_month"
        " where signals.partner_reference = %s and signals.signal_month = %s",
        reference, str(month),
    )  # fmt: skip
    return found


def case(reference: str, month: Month, columns: str) -> tuple[Any, ...]:
    [found] = rows(
        f"select {columns} from intermediate.int_cases where case_id = %s", *signal(reference, month, "case_id")
    )
    return found


def called(columns: str, month: Month) -> list[tuple[Any, ...]]:
    return rows(f"select {columns} from outbound.out_certin_call_list where signal_month = %s", str(month))


def test_a_signal_that_returns_is_picked_up_only_when_higher(municipality: Path) -> None:
    assert signal("repeater", MARCH, "status_rule_id") == ("picked_up",)
    assert signal("repeater", APRIL, "status, status_rule_id, case_id") == (
        "Niet opgepakt: herhaalde melding", "repeat_not_higher", None,
    )  # fmt: skip
    assert signal("repeater", APRIL, "repeats_signal_id") == signal("repeater", MARCH, "signal_id")
    assert signal("repeater", MAY, "status_rule_id") == ("picked_up",)
    assert route("repeater", APRIL) == ("not_picked_up", "not_picked_up", None)


def test_a_person_keeps_the_id_of_the_signal_that_introduced_them(municipality: Path) -> None:
    persons = {signal("repeater", month, "person_id") for month in BUILT}
    assert len(persons) == 1
    [(expected,)] = rows("select ops.keyed_id('person', %s)", *signal("repeater", MARCH, "signal_id"))
    assert persons == {(expected,)}
    assert signal("repeater", MARCH, "match_tier, match_score") == ("new", None)
    tier, evidence, score = signal("repeater", MAY, "match_tier, match_evidence, match_score")
    assert tier == "birth_date"
    assert "birth=same" in evidence
    assert "Berg" not in evidence
    assert score > 0.9


def test_after_a_refusal_a_new_signal_goes_to_kwadraad(municipality: Path) -> None:
    assert signal("refuser", MARCH, "person_id") == signal("water", APRIL, "person_id")
    assert signal("water", APRIL, "match_tier") == ("name",)
    assert route("refuser", MARCH) == ("call", "call", "+31611110020")
    assert route("water", APRIL) == ("direct_recurring", "direct_recurring", "+31611110020")
    assert case("water", APRIL, "is_consecutive, is_multiple") == (True, False)
    [direct] = rows(
        "select surname, reason, refused_on from outbound.out_kwadraad_direct where signal_month = '2024-04'"
    )
    assert direct == ("Jansen", "Weigerde eerder hulp en heeft een nieuw signaal", date(2024, 3, 15))


def test_a_mover_is_remembered_but_stays_another_case(municipality: Path) -> None:
    assert signal("mover", MARCH, "person_id") != signal("mover-new", MAY, "person_id")
    assert case("mover-new", MAY, "is_consecutive") == (False,)
    assert route("mover-new", MAY)[:2] == ("direct_recurring", "direct_recurring")


def test_spellings_of_an_address_make_one_case_and_one_person(municipality: Path) -> None:
    references = ["spelled", "e", "w"]
    assert len({signal(reference, MAY, "case_id, person_id") for reference in references}) == 1
    assert case("spelled", MAY, "signals, signals_at_address, persons, arrears_eur::text") == (3, 3, 1, "600.00")
    assert case("spelled", MAY, "is_multiple, is_multiple_creditors") == (True, True)
    # no number, several signals on the address
    assert route("spelled", MAY) == ("visit", "visit_multiple", None)


def test_an_address_of_many_surnames_is_a_case_per_person(municipality: Path) -> None:
    cases = {signal(f"split{number}", MAY, "case_id") for number in range(1, 6)}
    assert len(cases) == 5
    assert case("split1", MAY, "is_address_split, is_multiple, persons") == (True, False, 1)


def test_a_shared_number_is_called_once(municipality: Path) -> None:
    assert route("shared1", MAY) == ("call", "call", "+31611110070")
    assert route("shared2", MAY) == ("letter", "letter", None)
    for month in BUILT:
        numbers = [
            number
            for pair in called("phone_1, phone_2", month)
            for number in pair
            if number
        ]
        assert len(numbers) == len(set(numbers))


def test_high_arrears_and_crisis_go_to_kwadraad(municipality: Path) -> None:
    # 1500.00 + 500.01 on one address: the case is over the threshold, no single signal is
    assert route("rich", MAY)[:2] == ("direct_over_threshold", "direct_over_threshold")
    assert route("crisis", MAY)[:2] == ("direct_crisis", "direct_crisis")
    listed = {name for (name,) in called("surname", MAY)}
    assert listed
    assert listed.isdisjoint({"Smit", "Kuipers", "Peters"})


def test_who_lives_elsewhere_is_not_picked_up(municipality: Path) -> None:
    assert signal("elsewhere", MAY, "status, case_id") == ("Persoon is geen inwoner (meer) in de gemeente", None)
    assert route("elsewhere", MAY)[0] == "not_picked_up"


def test_a_wrong_number_is_not_called_again_and_an_earlier_one_is_known(municipality: Path) -> None:
    assert route("wrong", MARCH) == ("call", "call", "+31611110040")
    assert route("wrong", APRIL) == ("letter", "letter", None)
    assert route("given", APRIL) == ("call", "call", "+31611110060")
    asked = rows("select surname from outbound.out_enrichment_requests where signal_month = '2024-04' order by 1")
    assert asked == [("Mulder",)]


def test_a_found_number_is_called_and_says_where_it_came_from(municipality: Path) -> None:
    assert route("split2", MAY) == ("call", "call", "+31611110099")
    assert rows(
        "select source, match_level, is_own, preference from intermediate.int_phones where phone = '+31611110099'"
    ) == [("book", "person", False, 1)]
    # who was asked for does not change by the answer
    assert ("Bos",) in rows("select surname from outbound.out_enrichment_requests where signal_month = '2024-05'")


def test_the_call_list_says_when_and_how_to_call(municipality: Path) -> None:
    # the tenth of March 2024 is a Sunday
    how = "call_from, call_until, max_attempts, script_version"
    assert set(called(how, MARCH)) == {(date(2024, 3, 11), date(2024, 3, 31), 7, "script-1")}
    assert set(called(how, JUNE)) == {(date(2024, 6, 10), date(2024, 6, 30), 7, "script-2")}


def test_every_person_has_one_route_and_every_picked_up_signal_one_case(municipality: Path) -> None:
    [(signals, cased, persons, routed)] = rows(
        "select count(*), count(*) filter (where (status = 'Opgepakt') = (case_id is not null)),"
        " count(distinct (signal_month, person_id)), (select count(*) from intermediate.int_routes)"
        " from intermediate.int_signals__matched"
    )
    assert signals >= 25
    assert signals == cased
    assert persons == routed
    [(landed,)] = rows("select count(distinct (signal_month, signal_id)) from landing.signals")
    assert signals == landed


def kept(month: Month) -> dict[str, list[str]]:
    """What a month keeps for good; what is proposed for its closure follows the outcomes that came in since."""
    return {table: built for table, built in everything_built(month).items() if "closure" not in table}


def test_building_again_and_from_nothing_gives_the_same_rows(municipality: Path) -> None:
    before = {month: kept(month) for month in BUILT}
    assert len(before[MAY]["intermediate.int_signals__matched"]) == 16
    assert len(before[MAY]) >= 18

    build(MAY)
    assert kept(MAY) == before[MAY]
    assert kept(JUNE) == before[JUNE]

    tables = rows("select tablename from pg_tables where schemaname = 'intermediate'")
    with connect(Role.TRANSFORMER) as connection:
        for (table,) in tables:
            connection.execute(f'drop table intermediate."{table}" cascade')
    build_stage("foundation")
    for month in BUILT:
        build(month)
    for month in BUILT:
        assert kept(month) == before[month], month


def test_a_correction_replaces_and_a_withdrawn_delivery_leaves_nothing(municipality: Path) -> None:
    land(FEBRUARY, [Signal("a", "Prins", amount="100.00", house_number=90)])
    build(FEBRUARY)
    person = signal("a", FEBRUARY, "person_id, arrears_eur::text")
    assert person[1] == "100.00"
    corrected = [Signal("a", "Prins", amount="120.00", house_number=90), Signal("b", "Prins", house_number=91)]
    land(FEBRUARY, corrected, sequence=2)
    build(FEBRUARY)
    assert signal("a", FEBRUARY, "person_id, arrears_eur::text") == (person[0], "120.00")

    with connect(Role.LOADER) as connection:
        connection.execute("update ops.deliveries set status = 'rejected' where signal_month = '2024-02'")
    build(FEBRUARY)
    left = {table for table, built in everything_built(FEBRUARY).items() if built}
    assert left == {"intermediate.int_month_ends"}, "only the calendar still knows this month"
