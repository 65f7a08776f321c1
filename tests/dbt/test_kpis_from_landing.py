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
from psycopg.rows import dict_row

from include.local.instance import Instance
from include.months import Month
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
        build_stage("foundation")
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
    for number, case_id in enumerate(accepted):
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


def from_deliveries(connection: psycopg.Connection) -> dict[str, Fraction]:
    booked = rows(connection, "select * from ops.deliveries where signal_month = %s", str(MONTH))
    total = {name: sum(one[name] for one in booked) for name in ("rows_loaded", "rows_quarantined", "rows_duplicate")}
    return {
        "signals_received": Fraction(Decimal(sum(total.values()))),
        "signals_loaded": Fraction(Decimal(total["rows_loaded"])),
        "signals_quarantined": Fraction(Decimal(total["rows_quarantined"])),
    }


def from_signals(connection: psycopg.Connection) -> dict[str, Fraction]:
    before = rows(connection, "select * from landing.signals where signal_month = %s", str(BEFORE))
    now = rows(connection, "select * from landing.signals where signal_month = %s", str(MONTH))
    picked = [row for row in now if is_picked_up(row, before)]
    cases: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in picked:
        cases[address_of(row)].append(row)
    loaded_at = Counter(address_of(row) for row in now if is_resident(row))
    earlier_at = {address_of(row) for row in before}
    persons = {(address_of(row), row["surname"]) for row in picked}
    with_number = {(address_of(row), row["surname"]) for row in [*before, *now] if row["phone_1"]}
    crisis = {place for place, held in cases.items() if any(row["is_crisis"] for row in held)}
    over = {place for place, held in cases.items() if sum(row["arrears_eur"] for row in held) > 2000} - crisis
    refused = {place for place in cases if place[1] in REFUSED_BEFORE} - crisis - over
    found = rows(
        connection,
        "select request_id from landing.enrichment_results where signal_month = %s and phone is not null",
        str(MONTH),
    )
    closed = rows(
        connection, "select case_id from ops.closure_items where signal_month = %s and state = 'accepted'", str(MONTH)
    )
    opened = Decimal(len(cases))
    return {
        "signals_picked_up": Fraction(Decimal(len(picked)), Decimal(len(now))),
        "cases_opened": Fraction(opened),
        "cases_multiple": Fraction(Decimal(sum(loaded_at[place] >= 2 for place in cases)), opened),
        "cases_consecutive": Fraction(Decimal(len(earlier_at & set(cases))), opened),
        "persons_callable_without_enrichment": Fraction(Decimal(len(persons & with_number)), Decimal(len(persons))),
        "enrichment_hits": Fraction(Decimal(len(found)), Decimal(len(persons - with_number))),
        "cases_direct_over_threshold": Fraction(Decimal(len(over))),
        "cases_recurring_after_refusal": Fraction(Decimal(len(refused))),
        "cases_closed": Fraction(Decimal(len(closed)), opened),
    }


def from_calls(connection: psycopg.Connection) -> dict[str, Fraction]:
    delivered = {
        row["call_record_id"]
        for row in rows(
            connection,
            "select call_record_id from ops.call_records where signal_month = %s and withdrawn_in_sequence is null",
            str(MONTH),
        )
    }
    outcomes = [
        row for row in rows(connection, "select * from landing.ris_outcomes") if row["call_record_id"] in delivered
    ]
    ours = {row["outcome_id"] for row in outcomes}
    attempts = [row for row in rows(connection, "select * from landing.ris_attempts") if row["outcome_id"] in ours]
    outbound = [row for row in attempts if row["direction"] == "outbound"]
    made = Counter(row["outcome_id"] for row in outbound)
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
        "attempts_per_record": Fraction(Decimal(len(outbound)), with_outcome),
        "records_under_seven_attempts": Fraction(
            Decimal(sum(made[row["outcome_id"]] < 7 for row in unreached)), Decimal(len(unreached))
        ),
        "attempts_outside_hours": Fraction(
            Decimal(sum(is_outside_the_window(row["started_at"]) for row in outbound)), Decimal(len(outbound))
        ),
        "inbound_callbacks": Fraction(Decimal(len(attempts) - len(outbound))),
    }


def from_costs(connection: psycopg.Connection, calls: dict[str, Fraction]) -> dict[str, Fraction]:
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
    calls = from_calls(month)
    return from_deliveries(month) | from_signals(month) | calls | from_costs(month, calls)


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


def test_parts_of_the_day_are_those_of_the_attempts(month: psycopg.Connection) -> None:
    attempts = rows(
        month,
        "select attempts.started_at, attempts.direction from landing.ris_attempts as attempts"
        " join landing.ris_outcomes using (outcome_id, updated_at)"
        " join ops.call_records using (call_record_id)"
        " where signal_month = %s and withdrawn_in_sequence is null",
        str(MONTH),
    )
    for part in ("Ochtend", "Middag", "Avond"):
        there = [row for row in attempts if part_of_day(row["started_at"]) == part]
        outbound = [row for row in there if row["direction"] == "outbound"]
        row = published(f"part_of_day:{part}")

        assert row["attempts_outside_hours"]["denominator"] == len(outbound) > 0
        assert row["attempts_outside_hours"]["numerator"] == sum(
            is_outside_the_window(one["started_at"]) for one in outbound
        )
        assert row["inbound_callbacks"]["numerator"] == len(there) - len(outbound)


def test_a_case_counts_in_every_sector_it_holds(month: psycopg.Connection) -> None:
    before = rows(month, "select * from landing.signals where signal_month = %s", str(BEFORE))
    now = rows(month, "select * from landing.signals where signal_month = %s", str(MONTH))
    for sector in ("Huur", "Zorg", "Energie"):
        loaded = [row for row in now if row["sector"] == sector]
        picked = [row for row in loaded if is_picked_up(row, before)]
        row = published(f"sector:{sector}")

        assert (row["signals_picked_up"]["numerator"], row["signals_picked_up"]["denominator"]) == (
            len(picked),
            len(loaded),
        )
        assert row["cases_opened"]["numerator"] == len({address_of(one) for one in picked}) > 0


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
    verdicts = {result.node.name: result.status for result in answer.result.results}

    assert len(verdicts) >= 14
    assert set(verdicts.values()) == {"pass"}, verdicts
