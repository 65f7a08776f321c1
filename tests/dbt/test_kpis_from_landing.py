"""Every KPI of a mixed month, computed a second time from what landed, by other means than the marts' SQL.

The month has every way a signal can go: repeated, unjustified, of elsewhere, in a crisis, above the threshold, twice on
an address, two persons on an address, without a number, refused before; outcomes of every group, attempts outside the
window, a withdrawn record, a rejected closure. Expected numbers come from landing, ops and the seed files in Python.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import psycopg
import pytest
import typer
from psycopg.rows import dict_row
from typer.testing import CliRunner

from include.local import billing_command
from include.local.instance import Instance
from include.months import Month
from include.reporting.billing import Difference, NothingToBill, bill_of, compared
from include.settings import DBT_PROJECT_FOLDER, Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.dbt.landed_months import (
    Attempt,
    Delivery,
    Outcome,
    Signal,
    answer_enrichment,
    deliver_call_list,
    land_deliveries,
    local,
    report_followup,
    report_outcomes,
    send_closures,
)

BEFORE, MONTH = Month(2024, 5), Month(2024, 6)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
REFUSED_BEFORE = (1, 2)
#: The KPI codes of the interfaces page; a KPI that is not here, or is missing in the mart, fails.
KPIS = {
    "signals_received", "signals_loaded", "signals_quarantined", "signals_picked_up", "cases_opened", "cases_multiple",
    "cases_consecutive", "persons_callable_without_enrichment", "enrichment_hits", "call_records_delivered",
    "records_without_outcome", "records_spoken", "records_not_reached", "help_accepted_of_all",
    "help_accepted_of_spoken", "attempts_per_record", "records_under_seven_attempts", "attempts_outside_hours",
    "inbound_callbacks", "cases_direct_over_threshold", "cases_recurring_after_refusal", "cases_closed", "cost_eur",
    "cost_per_callable_record_eur", "cost_per_spoken_eur", "cost_per_accepted_eur", "budget_used",
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- what landed
def signal(house: int, amount: str, *, days: int = 45, phone: bool = True, surname: str = "", **other: Any) -> Signal:
    name = surname or f"Bewoner{house:02d}"
    return Signal(
        partner_reference=f"klant-{house}{surname}",
        house_number=house,
        surname=name,
        birth_on=date(1960, 1, 1) + timedelta(days=100 * house + len(surname)),
        signal_on=date(2024, 6, 3),
        arrears_since_on=date(2024, 6, 3) - timedelta(days=days),
        arrears_eur=Decimal(amount),
        phone_1=f"+3162{1 if surname else 0}000{house:03d}" if phone else None,
        **other,
    )


def earlier(one: Signal, amount: str) -> Signal:
    return replace(one, signal_on=date(2024, 5, 3), arrears_since_on=date(2024, 3, 20), arrears_eur=Decimal(amount))


def month_before() -> list[Delivery]:
    rent = [earlier(signal(house, "100"), "150.00") for house in range(1, 9)]
    return [Delivery("woonbedrijf", "Huur", BEFORE, rent), Delivery("zorgplus", "Zorg", BEFORE, [signal_of_may(9)])]


def signal_of_may(house: int) -> Signal:
    return earlier(signal(house, "100"), "80.00")


def month_itself() -> list[Delivery]:
    rent = [
        *(signal(house, "200.00") for house in range(1, 7)),  # higher than in May: picked up, 1 and 2 refused then
        signal(7, "150.00"),  # not higher: a repeated report
        signal(14, "2500.00"),
        signal(15, "1200.00"),
        signal(16, "2000.00"),  # exactly the threshold is not above it
        *(signal(house, "300.00", phone=False) for house in range(17, 22)),
        *(signal(house, "120.50") for house in range(22, 30)),
        signal(30, "100.00"),
        signal(30, "100.00", surname="Huisgenoot"),
        signal(31, "100.00", postcode="3011AB"),
        signal(32, "100.00", days=10),
        *(signal(house, "99.99") for house in range(34, 50)),
    ]
    care = [
        signal(7, "90.00"),
        signal(15, "1200.00"),
        *(signal(house, "130.00") for house in range(22, 26)),
        signal(33, "100.00", days=150),
        signal(50, "100.00", phone=False),
        signal(31, "100.00", postcode="3011AB"),
    ]
    energy = [signal(13, "700.00", is_crisis=True), signal(51, "100.00"), signal(22, "140.00")]
    return [
        Delivery("woonbedrijf", "Huur", MONTH, rent, rows_quarantined=3, rows_duplicate=1),
        Delivery("zorgplus", "Zorg", MONTH, care, rows_quarantined=1),
        Delivery("stadsenergie", "Energie", MONTH, energy),
    ]


CODES = (
    "no_answer", "needs_no_help", "help_accepted", "voicemail_only", "already_paid", "invalid_number", "wrong_person",
    "solves_it_themselves", "help_accepted", "deceased", "no_answer",
)  # fmt: skip
DAYS = [date(2024, 6, day) for day in (10, 11, 12, 13, 14, 17, 18)]


def outcome(number: int, record: tuple[str, str]) -> Outcome:
    """Codes in turn; here and there too few attempts, an attempt outside the window, a call back."""
    code = CODES[number % len(CODES)]
    unreached = code in ("no_answer", "voicemail_only", "wrong_person")
    days = DAYS[: (7 if number % 3 else 5)] if unreached else DAYS[: 1 + number % 3]
    attempts = [Attempt(local(day, (9, 13, 19)[(number + index) % 3])) for index, day in enumerate(days)]
    if number % 5 == 0:
        attempts.append(Attempt(local(date(2024, 6, 16), 14)))  # a Sunday
    if number % 7 == 0:
        attempts.append(Attempt(local(date(2024, 6, 15), 17, 1)))  # a Saturday, a minute after the window
    if number % 4 == 1:
        attempts.append(Attempt(local(date(2024, 6, 10), 22), direction="inbound", reached=True))
    return Outcome(*record, code, local(date(2024, 6, 19), 12), attempts)


@pytest.fixture(scope="module")
def month(warehouse: Path, server: Instance) -> Iterator[psycopg.Connection]:
    """A warehouse with May and the mixed June, from landing to marts."""
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        build_may(connection)
        build_june(connection)
        yield connection


def build_may(connection: psycopg.Connection) -> None:
    land_deliveries(connection, month_before())
    for stage in ("matched", "enriched", "categorised"):
        build_stage(stage, BEFORE)
    deliver_call_list(connection, BEFORE)
    report_outcomes(
        connection,
        [
            Outcome(
                record,
                case,
                "refuses_contact" if house in REFUSED_BEFORE else "already_paid",
                local(date(2024, 5, 14), 11),
            )
            for record, case, house in connection.execute(
                "select call_record_id, case_id, house_number from outbound.out_certin_call_list"
                " where signal_month = %s",
                (str(BEFORE),),
            ).fetchall()
        ],
    )
    for stage in ("closure", "marts"):
        build_stage(stage, BEFORE)


def build_june(connection: psycopg.Connection) -> None:
    land_deliveries(connection, month_itself())
    build_stage("matched", MONTH)
    answer_enrichment(connection, MONTH)
    build_stage("enriched", MONTH)
    build_stage("categorised", MONTH)
    records = deliver_call_list(connection, MONTH)
    # the last two have no outcome yet; the one before was withdrawn and called all the same
    report_outcomes(connection, [outcome(number, record) for number, record in enumerate(records[:-2])])
    connection.execute(
        "update ops.call_records set withdrawn_in_sequence = 2 where call_record_id = %s", (records[-3][0],)
    )
    accepted = [
        records[number][1] for number in range(len(records) - 3) if CODES[number % len(CODES)] == "help_accepted"
    ]
    for number, case_id in enumerate(dict.fromkeys(accepted)):
        report_followup(connection, case_id, "quick_fix", date(2024, 6, 20), date(2024, 6, 27) if number % 2 else None)
    build_stage("closure", MONTH)
    first = connection.execute(
        "select min(case_id) from outbound.out_ris_closures where signal_month = %s", (str(MONTH),)
    )
    assert send_closures(connection, MONTH, reject=first.fetchone()) > 0
    build_stage("marts", MONTH)


# ---------------------------------------------------------------------------------------------- computed again
@dataclass(frozen=True)
class Fraction:
    numerator: Decimal
    denominator: Decimal | None = None

    @property
    def value(self) -> Decimal | None:
        if self.denominator is None:
            return self.numerator
        return self.numerator / self.denominator if self.denominator else None


def rows(connection: psycopg.Connection, query: str, *parameters: Any) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def address_of(row: dict[str, Any]) -> tuple[str, int]:
    return row["postcode"], row["house_number"]


def is_resident(row: dict[str, Any]) -> bool:
    return 2711 <= int(row["postcode"][:4]) <= 2729


def is_picked_up(row: dict[str, Any], before: Sequence[dict[str, Any]]) -> bool:
    age = (row["signal_on"] - row["arrears_since_on"]).days
    is_repeated = any(
        one["partner"] == row["partner"]
        and one["partner_reference"] == row["partner_reference"]
        and one["arrears_eur"] >= row["arrears_eur"]
        for one in before
    )
    return is_resident(row) and age >= 30 and not (row["sector"] == "Zorg" and age > 100) and not is_repeated


def is_outside_the_window(moment: datetime) -> bool:
    there = moment.astimezone(AMSTERDAM)
    if there.date() in holidays.country_holidays("NL", years=there.year) or there.weekday() == 6:
        return True
    opens, closes = (time(9), time(17)) if there.weekday() == 5 else (time(8, 30), time(21))
    return not opens <= there.time() <= closes


def part_of_day(moment: datetime) -> str:
    hour = moment.astimezone(AMSTERDAM).hour
    return "Ochtend" if hour < 12 else "Middag" if hour < 18 else "Avond"


def seed(name: str) -> list[dict[str, str]]:
    with (DBT_PROJECT_FOLDER / "seeds" / f"{name}.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@dataclass(frozen=True)
class Case:
    """One address with its picked-up signals of the month, as landing tells it."""

    place: tuple[str, int]
    signals: tuple[dict[str, Any], ...]
    routes: frozenset[str]

    @property
    def arrears_eur(self) -> Decimal:
        return sum((row["arrears_eur"] for row in self.signals), Decimal(0))

    def is_in(self, segment: str) -> bool:
        kind, _, value = segment.partition(":")
        return {
            "all": lambda: True,
            "sector": lambda: any(row["sector"] == value for row in self.signals),
            "partner": lambda: any(row["partner"] == value for row in self.signals),
            "arrears_band": lambda: band_of(self.arrears_eur) == value,
            "route": lambda: value in self.routes,
        }[kind]()


def band_of(amount: Decimal) -> str:
    for last, name in ((100, "0-100"), (250, "100-250"), (500, "250-500"), (1000, "500-1000"), (2000, "1000-2000")):
        if amount <= last:
            return name
    return "2000+"


def signal_is_in(row: dict[str, Any], segment: str) -> bool:
    kind, _, value = segment.partition(":")
    return kind == "all" or value == (band_of(row["arrears_eur"]) if kind == "arrears_band" else row[kind])


def signals_of_month(connection: psycopg.Connection, wanted: Month) -> list[dict[str, Any]]:
    return rows(connection, "select * from landing.signals where signal_month = %s", str(wanted))


def person_of(row: dict[str, Any]) -> tuple[tuple[str, int], str]:
    return address_of(row), row["surname"]


def with_own_number(connection: psycopg.Connection) -> set[tuple[tuple[str, int], str]]:
    landed = [*signals_of_month(connection, BEFORE), *signals_of_month(connection, MONTH)]
    return {person_of(row) for row in landed if row["phone_1"]}


def answers(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """The provider's answers, each with the address it was asked for."""
    return rows(
        connection,
        "select results.phone, results.source, results.match_level, requests.postcode, requests.house_number,"
        " requests.surname from landing.enrichment_results as results"
        " join outbound.out_enrichment_requests as requests using (request_id)"
        " where results.signal_month = %s",
        str(MONTH),
    )


def cases_of_month(connection: psycopg.Connection) -> list[Case]:
    before, now = signals_of_month(connection, BEFORE), signals_of_month(connection, MONTH)
    held: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in now:
        if is_picked_up(row, before):
            held[address_of(row)].append(row)
    callable_persons = with_own_number(connection) | {person_of(row) for row in answers(connection) if row["phone"]}
    return [
        Case(place, tuple(signals), frozenset(route_of(signals, person, callable_persons) for person in persons))
        for place, signals in held.items()
        if (persons := {person_of(row) for row in signals})
    ]


def route_of(signals: list[dict[str, Any]], person: Any, callable_persons: set[Any]) -> str:
    if any(row["is_crisis"] for row in signals):
        return "direct_crisis"
    if sum(row["arrears_eur"] for row in signals) > 2000:
        return "direct_over_threshold"
    if person[0][1] in REFUSED_BEFORE:
        return "direct_recurring"
    return "call" if person in callable_persons else "letter"  # nobody without a number has two signals or € 500


def from_deliveries(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    sector_of = {"woonbedrijf": "Huur", "zorgplus": "Zorg", "stadsenergie": "Energie"}
    booked = [
        one
        for one in rows(connection, "select * from ops.deliveries where signal_month = %s", str(MONTH))
        if segment in ("all", f"partner:{one['partner']}", f"sector:{sector_of[one['partner']]}")
    ]
    total = {name: sum(one[name] for one in booked) for name in ("rows_loaded", "rows_quarantined", "rows_duplicate")}
    return {
        "signals_received": Fraction(Decimal(sum(total.values()))),
        "signals_loaded": Fraction(Decimal(total["rows_loaded"])),
        "signals_quarantined": Fraction(Decimal(total["rows_quarantined"])),
    }


def from_signals(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    before, landed = signals_of_month(connection, BEFORE), signals_of_month(connection, MONTH)
    now = [row for row in landed if signal_is_in(row, segment)]
    picked = [row for row in now if is_picked_up(row, before)]
    return {"signals_picked_up": Fraction(Decimal(len(picked)), Decimal(len(now)))}


def from_cases(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    cases = [case for case in cases_of_month(connection) if case.is_in(segment)]
    loaded_at = Counter(address_of(row) for row in signals_of_month(connection, MONTH) if is_resident(row))
    earlier_at = {address_of(row) for row in signals_of_month(connection, BEFORE)}
    persons = {person_of(row) for case in cases for row in case.signals}
    closed = rows(
        connection,
        "select cases.postcode, cases.house_number from ops.closure_items"
        " join intermediate.int_cases as cases using (case_id, signal_month)"
        " where signal_month = %s and state = 'accepted'",
        str(MONTH),
    )
    opened = Decimal(len(cases))
    return {
        "cases_opened": Fraction(opened),
        "cases_multiple": Fraction(Decimal(sum(loaded_at[case.place] >= 2 for case in cases)), opened),
        "cases_consecutive": Fraction(Decimal(sum(case.place in earlier_at for case in cases)), opened),
        "persons_callable_without_enrichment": Fraction(
            Decimal(len(persons & with_own_number(connection))), Decimal(len(persons))
        ),
        "cases_direct_over_threshold": Fraction(Decimal(sum("direct_over_threshold" in c.routes for c in cases))),
        "cases_recurring_after_refusal": Fraction(Decimal(sum("direct_recurring" in c.routes for c in cases))),
        "cases_closed": Fraction(
            Decimal(len({address_of(row) for row in closed} & {case.place for case in cases})), opened
        ),
    }


def from_enrichment(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    kind, _, value = segment.partition(":")
    answered = answers(connection)
    if kind in ("source", "match_level"):
        hits = [row for row in answered if row["phone"] and row[kind] == value]
    else:
        places = {case.place for case in cases_of_month(connection) if case.is_in(segment)}
        answered = [row for row in answered if address_of(row) in places]
        hits = [row for row in answered if row["phone"]]
    return {"enrichment_hits": Fraction(Decimal(len(hits)), Decimal(len(answered)))}


def delivered_records(connection: psycopg.Connection, segment: str) -> set[str]:
    """The records of the segment's cases; all houses of the month with a case lie in one postcode."""
    houses = {case.place[1] for case in cases_of_month(connection) if case.is_in(segment)}
    return {
        row["call_record_id"]
        for row in rows(
            connection,
            "select call_record_id, house_number from ops.call_records"
            " join outbound.out_certin_call_list using (call_record_id, signal_month)"
            " where signal_month = %s and withdrawn_in_sequence is null",
            str(MONTH),
        )
        if row["house_number"] in houses
    }


def from_calls(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    delivered = delivered_records(connection, segment)
    outcomes = [
        row for row in rows(connection, "select * from landing.ris_outcomes") if row["call_record_id"] in delivered
    ]
    ours = {row["outcome_id"] for row in outcomes}
    made = Counter(
        row["outcome_id"]
        for row in rows(connection, "select * from landing.ris_attempts where direction = 'outbound'")
        if row["outcome_id"] in ours
    )
    group = {code["code"]: code["result_group"] for code in seed("result_codes")}
    groups = Counter(group[row["result_code"]] for row in outcomes)
    with_outcome, accepted = Decimal(len(outcomes)), Decimal(groups["positive"])
    spoken = accepted + groups["negative"]
    unreached = [
        row for row in outcomes if group[row["result_code"]] == "not_reached" and row["result_code"] != "invalid_number"
    ]
    return {
        "call_records_delivered": Fraction(Decimal(len(delivered))),
        "records_without_outcome": Fraction(len(delivered) - with_outcome),
        "records_spoken": Fraction(spoken, with_outcome),
        "records_not_reached": Fraction(Decimal(groups["not_reached"]), with_outcome),
        "help_accepted_of_all": Fraction(accepted, with_outcome),
        "help_accepted_of_spoken": Fraction(accepted, spoken),
        "records_under_seven_attempts": Fraction(
            Decimal(sum(made[row["outcome_id"]] < 7 for row in unreached)), Decimal(len(unreached))
        ),
    }


def attempts_of_month(connection: psycopg.Connection, segment: str) -> tuple[list[dict[str, Any]], int]:
    """The segment's attempts, each with its number within the record, and the records they are spread over."""
    kind, _, value = segment.partition(":")
    delivered = delivered_records(connection, "all" if kind in ("part_of_day", "attempt_no") else segment)
    made = [
        row
        for row in rows(
            connection,
            "select attempts.*, call_record_id from landing.ris_attempts as attempts"
            " join landing.ris_outcomes using (outcome_id, updated_at)",
        )
        if row["call_record_id"] in delivered
    ]
    count: Counter[tuple[str, str]] = Counter()
    for row in sorted(made, key=lambda row: row["started_at"]):
        count[row["call_record_id"], row["direction"]] += 1
        row["order"] = count[row["call_record_id"], row["direction"]]
    if kind == "part_of_day":
        made = [row for row in made if part_of_day(row["started_at"]) == value]
    if kind == "attempt_no":
        made = [row for row in made if value == ("8+" if row["order"] > 7 else str(row["order"]))]
    outcomes = rows(connection, "select call_record_id from landing.ris_outcomes")
    return made, len([row for row in outcomes if row["call_record_id"] in delivered])


def from_attempts(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    made, records = attempts_of_month(connection, segment)
    outbound = [row for row in made if row["direction"] == "outbound"]
    return {
        "attempts_per_record": Fraction(Decimal(len(outbound)), Decimal(records)),
        "attempts_outside_hours": Fraction(
            Decimal(sum(is_outside_the_window(row["started_at"]) for row in outbound)), Decimal(len(outbound))
        ),
        "inbound_callbacks": Fraction(Decimal(len(made) - len(outbound))),
    }


def from_costs(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    calls = from_calls(connection, segment)
    [rate], [budget] = seed("rate_card"), seed("budgets")
    in_may = len(rows(connection, "select from ops.call_records where signal_month = %s", str(BEFORE)))
    fixed, record = Decimal(rate["monthly_fixed_eur"]), Decimal(rate["record_eur"])
    cost = calls["call_records_delivered"].numerator * record + fixed
    cost_of_may = in_may * record + fixed + Decimal(rate["one_off_eur"])
    return {
        "cost_eur": Fraction(cost),
        "cost_per_callable_record_eur": Fraction(cost, calls["call_records_delivered"].numerator),
        "cost_per_spoken_eur": Fraction(cost, calls["records_spoken"].numerator),
        "cost_per_accepted_eur": Fraction(cost, calls["help_accepted_of_all"].numerator),
        "budget_used": Fraction(cost_of_may + cost, Decimal(budget["budget_eur"])),
    }


#: kind of segment → what can be cut so
WAYS: dict[str, tuple[Any, ...]] = {
    "all": (from_deliveries, from_signals, from_cases, from_enrichment, from_calls, from_attempts, from_costs),
    "sector": (from_deliveries, from_signals, from_cases, from_enrichment, from_calls, from_attempts),
    "partner": (from_deliveries, from_signals, from_cases, from_enrichment, from_calls, from_attempts),
    "arrears_band": (from_signals, from_cases, from_enrichment, from_calls, from_attempts),
    "route": (from_cases,),
    "part_of_day": (from_attempts,),
    "attempt_no": (from_attempts,),
    "source": (from_enrichment,),
    "match_level": (from_enrichment,),
}
VALUES: dict[str, tuple[str, ...]] = {
    "sector": ("Huur", "Zorg", "Energie"),
    "partner": ("woonbedrijf", "zorgplus", "stadsenergie"),
    "arrears_band": ("0-100", "100-250", "250-500", "500-1000", "1000-2000", "2000+"),
    "route": ("call", "letter", "visit", "direct_crisis", "direct_over_threshold", "direct_recurring"),
    "part_of_day": ("Ochtend", "Middag", "Avond"),
    "attempt_no": ("1", "2", "3", "4", "5", "6", "7", "8+"),
    "source": ("directory", "register"),
    "match_level": ("person", "address"),
}
SEGMENTS = ["all", *(f"{kind}:{value}" for kind, values in VALUES.items() for value in values)]
#: KPIs that would say nothing in a part of the month: a case of one route is always of that route, the budget is one
NOT_CUT = {
    "route": {"persons_callable_without_enrichment", "cases_direct_over_threshold", "cases_recurring_after_refusal"},
    "sector": set(), "partner": {"attempts_outside_hours", "inbound_callbacks"},
    "arrears_band": {"attempts_outside_hours", "inbound_callbacks"}, "attempt_no": {"inbound_callbacks"},
}  # fmt: skip


def computed_again(connection: psycopg.Connection, segment: str) -> dict[str, Fraction]:
    kind = segment.partition(":")[0]
    found = {name: fraction for way in WAYS[kind] for name, fraction in way(connection, segment).items()}
    return {name: fraction for name, fraction in found.items() if name not in NOT_CUT.get(kind, set())}


def published(segment: str) -> dict[str, dict[str, Any]]:
    with connect(Role.BI_READER) as connection:
        return {
            row["kpi"]: row
            for row in rows(
                connection,
                "select * from marts.kpi_monthly where signal_month = %s and segment = %s",
                str(MONTH),
                segment,
            )
        }


@pytest.fixture(scope="module")
def expected(month: psycopg.Connection) -> dict[str, Fraction]:
    return computed_again(month, "all")


# ---------------------------------------------------------------------------------------------- the tests
def test_the_published_kpis_are_those_of_the_interface(month: psycopg.Connection) -> None:
    assert set(published("all")) == KPIS


@pytest.mark.parametrize("name", sorted(KPIS))
def test_a_kpi_is_what_landing_says(expected: dict[str, Fraction], name: str) -> None:
    row, again = published("all")[name], expected[name]

    assert (row["numerator"], row["denominator"]) == (again.numerator, again.denominator)
    assert abs(row["value"] - again.value) < Decimal("1e-9")


def test_the_month_is_mixed(expected: dict[str, Fraction]) -> None:
    """A KPI that is 0 or everything would agree by accident."""
    counts = {name: fraction.numerator for name, fraction in expected.items()}
    shares = {name: fraction.value for name, fraction in expected.items() if fraction.denominator is not None}

    assert all(counts[name] > 0 for name in KPIS), counts
    assert all(value != 1 for value in shares.values()), shares


def test_the_segments_are_those_that_can_be_computed_again(month: psycopg.Connection) -> None:
    with connect(Role.BI_READER) as connection:
        there = rows(connection, "select distinct segment from marts.kpi_monthly where signal_month = %s", str(MONTH))
    assert {row["segment"] for row in there} == set(SEGMENTS)


@pytest.mark.parametrize("segment", SEGMENTS)
def test_every_number_of_a_segment_is_what_landing_says(month: psycopg.Connection, segment: str) -> None:
    again, there = computed_again(month, segment), published(segment)

    assert set(there) == set(again)
    assert {name: (row["numerator"], row["denominator"]) for name, row in there.items()} == {
        name: (fraction.numerator, fraction.denominator) for name, fraction in again.items()
    }
    for name, row in there.items():
        assert (row["value"] is None) == (again[name].value is None)
        assert row["value"] is None or abs(row["value"] - again[name].value) < Decimal("1e-9")


def test_segments_are_not_all_alike(month: psycopg.Connection) -> None:
    """A segment that is empty or everything everywhere would agree by accident."""
    whole = published("all")
    for kind in VALUES:
        parts = [published(f"{kind}:{value}") for value in VALUES[kind]]
        for name in parts[0]:
            counts = [part[name]["denominator"] or part[name]["numerator"] for part in parts]
            numerators = {part[name]["numerator"] for part in parts}
            assert len(numerators) > 1 or len(set(counts)) > 1, f"{name} is the same in every {kind}"
            assert any(numerators) or not whole[name]["numerator"], f"{name} is nowhere in {kind}"


@pytest.mark.parametrize("segment", ["all", "sector:Huur", "sector:Zorg", "sector:Energie"])
def test_acceptance_stands_beside_every_denominator(month: psycopg.Connection, segment: str) -> None:
    delivered = delivered_records(month, segment)
    codes = Counter(
        row["result_code"]
        for row in rows(month, "select * from landing.ris_outcomes")
        if row["call_record_id"] in delivered
    )
    group = {code["code"]: code["result_group"] for code in seed("result_codes")}
    could_not = {"deceased", "already_paid"}  # of the codes of this month
    again = {
        "delivered": len(delivered),
        "with_outcome": codes.total(),
        "spoken": sum(count for code, count in codes.items() if group[code] != "not_reached"),
        "eligible": sum(
            count for code, count in codes.items() if group[code] != "not_reached" and code not in could_not
        ),
    }
    there = rows(
        month,
        "select * from marts.kpi_acceptance_monthly where signal_month = %s and segment = %s order by basis_order",
        str(MONTH),
        segment,
    )

    assert [row["basis"] for row in there] == ["delivered", "with_outcome", "spoken", "eligible"]
    assert {row["basis"]: row["denominator"] for row in there} == again
    assert {row["numerator"] for row in there} == {codes["help_accepted"]}
    assert all(row["is_small"] for row in there)
    for row in there:
        value = Decimal(row["numerator"]) / row["denominator"] if row["denominator"] else None
        assert (row["value"] is None) == (value is None)
        assert value is None or row["lower_bound"] <= row["value"] <= row["upper_bound"]
        assert value is None or abs(row["value"] - value) < Decimal("1e-9")


def test_what_a_source_is_worth_is_what_the_provider_answered(month: psycopg.Connection) -> None:
    answered = answers(month)
    found = Counter((row["source"], row["match_level"]) for row in answered if row["phone"])
    there = rows(month, "select * from marts.kpi_enrichment_monthly where signal_month = %s", str(MONTH))
    looked_up = [row for row in there if row["origin"] == "enrichment"]

    assert {(row["source"], row["match_level"]): row["persons_found"] for row in looked_up} == dict(found)
    assert {row["persons_requested"] for row in looked_up} == {len(answered)}
    assert len(found) == 2
    [own] = [row for row in there if row["origin"] == "partner"]
    assert own["numbers_usable"] >= own["numbers_called"] >= own["numbers_reached"]


def test_reach_by_attempt_is_that_of_the_attempts(month: psycopg.Connection) -> None:
    made = [row for row in attempts_of_month(month, "all")[0] if row["direction"] == "outbound"]
    again = Counter((part_of_day(row["started_at"]), row["order"]) for row in made)
    reached = Counter((part_of_day(row["started_at"]), row["order"]) for row in made if row["reached"])
    there = rows(month, "select * from marts.kpi_reach_by_attempt_monthly where signal_month = %s", str(MONTH))

    assert {(row["part_of_day"], row["attempt_order"]): row["denominator"] for row in there} == dict(again)
    assert {(row["part_of_day"], row["attempt_order"]): row["numerator"] for row in there if row["numerator"]} == dict(
        reached
    )
    assert len(again) > 10


def test_reported_again_after_the_calls_of_may(month: psycopg.Connection) -> None:
    """Thirty days after 14 May are over in June; nothing else is."""
    may, june = signals_of_month(month, BEFORE), signals_of_month(month, MONTH)
    again_at = {person_of(row) for row in june}
    there = rows(
        month, "select * from marts.kpi_resignal_monthly where signal_month = %s and same = 'person'", str(MONTH)
    )
    kinds: dict[str, list[dict[str, Any]]] = {"refused_help": [], "other": []}
    for row in may:
        kinds["refused_help" if row["house_number"] in REFUSED_BEFORE else "other"].append(row)

    assert {(row["outcome_month"], row["horizon_days"]) for row in there} == {(str(BEFORE), 30)}
    assert {row["outcome_kind"]: (row["numerator"], row["denominator"]) for row in there} == {
        kind: (sum(person_of(row) in again_at for row in landed), len(landed)) for kind, landed in kinds.items()
    }
    assert 0 < sum(row["numerator"] for row in there) < sum(row["denominator"] for row in there)


def test_every_proportion_has_its_interval(month: psycopg.Connection) -> None:
    there = rows(
        month,
        "select kpis.*, intervals.lower_bound, intervals.upper_bound, intervals.is_small"
        " from marts.kpi_monthly as kpis left join marts.kpi_intervals_monthly as intervals"
        " using (signal_month, kpi, segment) where kpis.signal_month = %s and kpis.unit = 'share'"
        " and kpis.kpi <> 'budget_used'",
        str(MONTH),
    )
    assert len(there) > 100
    for row in there:
        assert row["is_small"] is (row["denominator"] < 100)
        if row["denominator"]:
            assert 0 <= row["lower_bound"] <= row["value"] <= row["upper_bound"] <= 1, row
            assert row["lower_bound"] < row["upper_bound"]


def test_every_kpi_says_what_it_means(month: psycopg.Connection) -> None:
    there = rows(
        month,
        "select distinct kpis.kpi, kpis.unit, defined.formula, defined.unit as said_unit, defined.source"
        " from marts.kpi_monthly as kpis"
        " left join marts.dim_kpi as defined using (kpi, definition_version) where signal_month = %s",
        str(MONTH),
    )
    assert {row["kpi"] for row in there} == KPIS
    assert all(row["unit"] == row["said_unit"] and row["formula"] and row["source"] for row in there)


def test_the_books_balance_and_name_the_rejected_closure(month: psycopg.Connection) -> None:
    [books] = rows(month, "select * from marts.rpt_closure_accounting where signal_month = %s", str(MONTH))
    rejected = rows(
        month,
        "select state, reason, ddas_result from marts.fct_month_end_closures"
        " where signal_month = %s and ris_state = 'rejected'",
        str(MONTH),
    )

    assert books["cases_unaccounted"] == 0
    assert min(books["cases_closed"], books["cases_open"], books["cases_excluded"]) > 0
    assert rejected == [{"state": "open", "reason": "case_locked", "ddas_result": None}]


def test_partner_quality_adds_up_to_the_month(month: psycopg.Connection) -> None:
    partners = rows(month, "select * from marts.kpi_partner_quality_monthly where signal_month = %s", str(MONTH))
    total = published("all")

    assert {row["partner"] for row in partners} == {"woonbedrijf", "zorgplus", "stadsenergie"}
    assert sum(row["rows_delivered"] for row in partners) == total["signals_received"]["numerator"]
    assert sum(row["signals_picked_up"] for row in partners) == total["signals_picked_up"]["numerator"]
    assert {row["partner"]: row["signals_repeated"] for row in partners}["woonbedrijf"] == 1
    assert sum(row["signals_unjustified"] for row in partners) == 2
    assert sum(row["signals_not_resident"] for row in partners) == 2


def test_calling_quality_adds_up_to_the_month(month: psycopg.Connection) -> None:
    scripts = rows(month, "select * from marts.kpi_calling_quality_monthly where signal_month = %s", str(MONTH))
    total = published("all")

    assert sum(row["records_delivered"] for row in scripts) == total["call_records_delivered"]["numerator"]
    assert sum(row["records_spoken"] for row in scripts) == total["records_spoken"]["numerator"]
    assert sum(row["outbound_attempts"] for row in scripts) == total["attempts_per_record"]["numerator"]
    assert sum(row["attempts_outside_hours"] for row in scripts) == total["attempts_outside_hours"]["numerator"]
    assert sum(row["inbound_callbacks"] for row in scripts) == total["inbound_callbacks"]["numerator"]


def test_calling_quality_is_what_the_attempts_say(month: psycopg.Connection) -> None:
    scripts = rows(month, "select * from marts.kpi_calling_quality_monthly where signal_month = %s", str(MONTH))
    told: Counter[str] = Counter()
    for script in scripts:
        told.update({name: value for name, value in script.items() if isinstance(value, int)})
    made, _ = attempts_of_month(month, "all")
    outbound = [row for row in made if row["direction"] == "outbound"]
    days = [row["started_at"].astimezone(AMSTERDAM).date() for row in outbound]

    assert told["outbound_attempts"] == len(outbound)
    assert told["attempts_on_sundays"] == sum(day.isoweekday() == 7 for day in days) > 0
    assert told["attempts_on_free_days"] == told["attempts_on_sundays"] + told["attempts_on_public_holidays"]
    assert told["numbers_called"] == len({(row["outcome_id"], row["phone"]) for row in outbound}) > 0
    assert told["records_with_callback"] == len({row["outcome_id"] for row in made if row["direction"] == "inbound"})
    assert told["withdrawn_records_called"] == 1
    for script in scripts:
        numbers = script["numbers_called"]
        expected = Decimal(script["outbound_attempts"]) / numbers if numbers else None
        assert script["attempts_per_number"] == (expected and pytest.approx(expected))


def test_what_is_billed_is_what_was_delivered_and_not_withdrawn(month: psycopg.Connection) -> None:
    [rate], [budget] = seed("rate_card"), seed("budgets")
    handed_over = len(rows(month, "select from ops.call_records where signal_month = %s", str(MONTH)))
    cost = (handed_over - 1) * Decimal(rate["record_eur"]) + Decimal(rate["monthly_fixed_eur"])
    bill = bill_of(MONTH)

    assert (bill.records_handed_over, bill.records_withdrawn, bill.withdrawn_records_called) == (handed_over, 1, 1)
    assert (bill.records_billable, bill.cost_eur, bill.one_off_eur) == (handed_over - 1, cost, 0)
    assert (bill.budget_eur, bill.is_example_rate) == (Decimal(budget["budget_eur"]), True)
    assert bill.budget_used == from_costs(month, "all")["budget_used"].value
    assert compared(bill, handed_over - 1, cost).agrees
    assert compared(bill, handed_over, cost + Decimal(rate["record_eur"])) == Difference(1, Decimal(rate["record_eur"]))
    with pytest.raises(NothingToBill, match="2023-01"):
        bill_of(Month(2023, 1))


def test_the_command_sets_an_invoice_beside_the_bill(
    month: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(billing_command, "running_instance", lambda: None)
    command = typer.Typer()
    command.command()(billing_command.billing)
    bill = bill_of(MONTH)

    def shown(*options: str) -> tuple[int, str]:
        answer = CliRunner().invoke(command, [str(MONTH), *options])
        return answer.exit_code, answer.output

    code, text = shown()
    assert (code, "example, not the real tariff" in text, "€ 18,500.00" in text) == (0, True, True)
    assert "1 withdrawn record(s) were called all the same" in text
    assert shown("--invoiced-records", str(bill.records_billable), "--invoiced-eur", str(bill.cost_eur))[0] == 0
    code, text = shown("--invoiced-records", str(bill.records_handed_over))
    assert (code, "The invoice has +1 record(s)." in text) == (billing_command.DIFFERS, True)
    assert shown("--invoiced-eur", "veel")[0] == 2


def test_no_name_number_or_street_reaches_the_marts(month: psycopg.Connection) -> None:
    landed = rows(month, "select surname, phone_1, postcode, partner_reference from landing.signals")
    secrets = sorted({str(value) for row in landed for value in row.values() if value})
    tables = [
        row["table_name"]
        for row in rows(month, "select table_name from information_schema.tables where table_schema = 'marts'")
    ]
    assert len(tables) >= 16
    assert len(secrets) > 100
    for table in tables:
        [row] = rows(
            month,
            f"select count(*) as rows, count(*) filter (where exists (select from unnest(%s::text[]) as secret"
            f" where position(secret in mart::text) > 0)) as leaking from marts.{table} as mart",
            secrets,
        )
        assert row["leaking"] == 0, f"marts.{table} holds personal data"


def test_every_rule_of_closure_and_kpis_passes_its_unit_tests(month: psycopg.Connection) -> None:
    """dbt's unit tests read types and seeds from a built warehouse, so they run here."""
    from dbt.cli.main import dbtRunner

    folder = str(DBT_PROJECT_FOLDER)
    places = ("models/intermediate/closures", "models/marts", "models/outbound/_feedback_closures_ddas__unit_tests.yml")
    answer = dbtRunner().invoke(
        ["test", "--project-dir", folder, "--profiles-dir", folder, "--log-level", "none", "--log-level-file", "none"]
        + ["--select", *(f"test_type:unit,path:{place}" for place in places)]
    )

    assert len(answer.result.results) >= 14
    failed = {result.node.name: result.message for result in answer.result.results if result.status != "pass"}
    assert not failed, "\n".join(f"{name}: {message}" for name, message in failed.items())
