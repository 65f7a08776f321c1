"""The pilot's dashboard, reproduced: 2,689 call records with outcomes in the counts of the pilot report, through the
real dbt stages on a real PostgreSQL. That report gave a share without its denominator; here each has one.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from include.local.instance import Instance
from include.months import Month
from include.reporting.monthly_report import render_report
from include.settings import DBT_PROJECT_FOLDER, Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from include.warehouse.fingerprints import month_fingerprint
from tests.dbt.landed_months import (
    Attempt,
    Delivery,
    Outcome,
    Signal,
    deliver_call_list,
    land_deliveries,
    local,
    report_outcomes,
)

MONTH = Month(2024, 4)
RECORDS = 2689
ADDRESSES_PER_POSTCODE = 300
#: Working days of the month after the first day of calling.
CALLING_DAYS = [date(2024, 4, day) for day in (10, 11, 12, 15, 16, 17, 18)]
PARTNERS = {"woonbedrijf": "Huur", "zorgplus": "Zorg", "stadsenergie": "Energie", "drinkwater_zh": "Water"}


def dashboard_counts() -> dict[str, int]:
    """The report's seventeen lines by result code; the labels are lost, so line order is code order."""
    with (Path(__file__).parents[1] / "fixtures" / "pilot-dashboard.csv").open(encoding="utf-8") as lines:
        counted = [(line["group"], int(line["count"])) for line in csv.DictReader(lines)]
    with (DBT_PROJECT_FOLDER / "seeds" / "result_codes.csv").open(encoding="utf-8") as codes:
        known = [(code["result_group"], code["code"]) for code in csv.DictReader(codes)]
    assert [group for group, _ in counted] == [group for group, _ in known]
    return {code: count for (_, code), (_, count) in zip(known, counted, strict=True)}


def result_of_each_record() -> list[str]:
    return [code for code, count in dashboard_counts().items() for _ in range(count)]


def signals_of(partner: str) -> list[Signal]:
    """Every household one signal with a number of its own, so that each becomes one case and one call record."""
    offset = list(PARTNERS).index(partner)
    return [
        Signal(
            partner_reference=f"klant-{number}",
            postcode=f"27{11 + number // ADDRESSES_PER_POSTCODE}AB",
            house_number=1 + number % ADDRESSES_PER_POSTCODE,
            surname=f"Familie{number}",
            birth_on=date(1950, 1, 1) + timedelta(days=7 * number),
            signal_on=date(2024, 4, 3),
            arrears_since_on=date(2024, 2, 20),
            arrears_eur=Decimal(100 + number % 900),
            phone_1=f"+316{20000000 + number}",
        )
        for number in range(RECORDS)
        if number % len(PARTNERS) == offset
    ]


def outcome_of(call_record_id: str, case_id: str, code: str, group: str) -> Outcome:
    """Seven attempts in the call window when nobody was reached on a number that exists, otherwise one."""
    days = CALLING_DAYS if group == "not_reached" and code != "invalid_number" else CALLING_DAYS[:1]
    spoken = group != "not_reached"
    attempts = [Attempt(local(day, 10), reached=spoken and day == days[-1]) for day in days]
    return Outcome(call_record_id, case_id, code, local(days[-1], 11), attempts)


@pytest.fixture(scope="module")
def pilot(warehouse: Path, server: Instance) -> Iterator[psycopg.Connection]:
    """A warehouse with the pilot's month, from landed signals to marts."""
    groups = group_of_code()
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        land_deliveries(
            connection, [Delivery(partner, sector, MONTH, signals_of(partner)) for partner, sector in PARTNERS.items()]
        )
        for stage in ("matched", "enriched", "categorised"):
            build_stage(stage, MONTH)
        records = deliver_call_list(connection, MONTH)
        assert len(records) == RECORDS
        report_outcomes(
            connection,
            [
                outcome_of(call_record_id, case_id, code, groups[code])
                for (call_record_id, case_id), code in zip(records, result_of_each_record(), strict=True)
            ],
        )
        build_stage("closure", MONTH)
        build_stage("marts", MONTH)
        yield connection


def group_of_code() -> dict[str, str]:
    with (DBT_PROJECT_FOLDER / "seeds" / "result_codes.csv").open(encoding="utf-8") as codes:
        return {code["code"]: code["result_group"] for code in csv.DictReader(codes)}


def kpi(name: str) -> tuple[Decimal, Decimal | None, Decimal]:
    """Numerator, denominator and value over everybody, as a BI tool reads them."""
    with connect(Role.BI_READER) as connection:
        row = connection.execute(
            "select numerator, denominator, value from marts.kpi_monthly"
            " where signal_month = %s and segment = 'all' and kpi = %s",
            (str(MONTH), name),
        ).fetchone()
    assert row is not None, f"{name} is no KPI of {MONTH}"
    return row


def test_the_dashboard_of_the_pilot_comes_back_line_by_line(pilot: psycopg.Connection) -> None:
    lines = pilot.execute(
        "select result_code, records from marts.kpi_pilot_dashboard where period = %s", (str(MONTH),)
    ).fetchall()

    assert dict(lines) == dashboard_counts()
    assert len(lines) == 17


def test_the_groups_are_1624_840_and_225_of_2689(pilot: psycopg.Connection) -> None:
    groups = dict(
        pilot.execute(
            "select result_group, sum(records) from marts.kpi_pilot_dashboard where period = %s group by 1",
            (str(MONTH),),
        ).fetchall()
    )

    assert groups == {"negative": 1624, "not_reached": 840, "positive": 225}
    assert sum(groups.values()) == RECORDS


@pytest.mark.parametrize(
    ("name", "numerator", "denominator", "percentage"),
    [
        ("records_spoken", 1849, 2689, "68.8"),
        ("records_not_reached", 840, 2689, "31.2"),
        ("help_accepted_of_spoken", 225, 1849, "12.2"),
        ("help_accepted_of_all", 225, 2689, "8.4"),
    ],
)
def test_each_share_has_its_denominator(
    pilot: psycopg.Connection, name: str, numerator: int, denominator: int, percentage: str
) -> None:
    counted, over, value = kpi(name)

    assert (counted, over) == (numerator, denominator)
    assert f"{value * 100:.1f}" == percentage


def test_the_same_225_over_every_denominator(pilot: psycopg.Connection) -> None:
    """The report's "about 20 %" is none of its shares; the narrowest denominator comes near, if labels are right."""
    with connect(Role.BI_READER) as connection:
        shares = connection.execute(
            "select basis, numerator, denominator, round(value * 100, 1)::text, round(lower_bound * 100, 1)::text,"
            " round(upper_bound * 100, 1)::text from marts.kpi_acceptance_monthly"
            " where signal_month = %s and segment = 'all' order by basis_order",
            (str(MONTH),),
        ).fetchall()

    assert shares == [
        ("delivered", 225, 2689, "8.4", "7.4", "9.5"),
        ("with_outcome", 225, 2689, "8.4", "7.4", "9.5"),
        ("spoken", 225, 1849, "12.2", "10.8", "13.7"),
        ("eligible", 225, 1116, "20.2", "17.9", "22.6"),
    ]


def test_the_report_says_it_with_denominators_and_says_it_again(pilot: psycopg.Connection) -> None:
    page = render_report(MONTH)
    text = " ".join(re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " ").split())

    for line in (
        "Gesproken 68,8 % 1.849 van 2.689",
        "Niet bereikt 31,2 % 840 van 2.689",
        "Hulp geaccepteerd van wie gesproken is 12,2 % 225 van 1.849 tussen 10,8 % en 13,7 %",
        "Hulp geaccepteerd van alle records met een resultaat 8,4 % 225 van 2.689 tussen 7,4 % en 9,5 %",
        "Gesproken, geen hulp 1.624 60,4 %",
        "belrecords waarbij hulp is geaccepteerd ÷ belrecords waarbij is gesproken",
    ):
        assert line in text, line
    assert render_report(MONTH) == page


def test_every_record_is_accounted_for(pilot: psycopg.Connection) -> None:
    assert kpi("call_records_delivered")[0] == RECORDS
    assert kpi("records_without_outcome")[0] == 0
    assert kpi("cases_opened")[0] == RECORDS
    assert kpi("records_under_seven_attempts")[:2] == (0, 840 - dashboard_counts()["invalid_number"])
    assert kpi("attempts_outside_hours")[0] == 0


def test_reach_times_acceptance_is_yield(pilot: psycopg.Connection) -> None:
    reach, acceptance = kpi("records_spoken")[2], kpi("help_accepted_of_spoken")[2]

    assert abs(reach * acceptance - kpi("help_accepted_of_all")[2]) < Decimal("1e-9")


def test_the_books_of_the_closure_balance(pilot: psycopg.Connection) -> None:
    opened, closed, still_open, excluded = pilot.execute(
        "select cases_opened, cases_closed, cases_open, cases_excluded from marts.rpt_closure_accounting"
        " where signal_month = %s",
        (str(MONTH),),
    ).fetchone()
    proposed = dict(
        pilot.execute(
            "select reason, count(*) from intermediate.int_closures__proposed where signal_month = %s group by 1",
            (str(MONTH),),
        ).fetchall()
    )

    assert proposed == {"open_followup": 225, "negative_outcome": 1624, "not_reached": 840}
    # nothing was sent to RIS yet: what is to be closed is open until RIS has accepted it
    assert (opened, closed, still_open, excluded) == (RECORDS, 0, 1624 + 840, 225)


def test_the_same_month_again_gives_the_same_fingerprint(pilot: psycopg.Connection) -> None:
    before = month_fingerprint(MONTH)

    build_stage("closure", MONTH)
    build_stage("marts", MONTH)

    assert month_fingerprint(MONTH) == before
    assert month_fingerprint(MONTH.previous) != before


def test_a_single_changed_outcome_changes_the_fingerprint(pilot: psycopg.Connection) -> None:
    before = month_fingerprint(MONTH)
    pilot.execute(
        "update marts.fct_outcomes set result_code = 'deceased' where (signal_month, call_record_id) ="
        " (select signal_month, min(call_record_id) from marts.fct_outcomes where result_code = 'no_answer' group by 1)"
    )
    changed = month_fingerprint(MONTH)
    build_stage("marts", MONTH)

    assert changed != before
    assert month_fingerprint(MONTH) == before
