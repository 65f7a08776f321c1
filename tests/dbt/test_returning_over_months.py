"""Nobody disappears in a closure: who refused, was not reached or had a quick fix is found by the next signal.

Also here, because it needs the same two months: escalation is a list of candidates about whom a person decides.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import psycopg
import pytest
from openpyxl import load_workbook

from include.months import Month
from include.outbound.escalations import NotDecided, Recipient, candidates, decide, is_switched_on
from include.outbound.kwadraad_worklist import deliver_open_worklists, deliver_worklist
from include.settings import Role
from include.warehouse.closure_ledger import close_month
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.dbt.landed import Signal, answer, deliver_call_list, land, rows

MARCH, APRIL = Month(2024, 3), Month(2024, 4)

REFUSER = Signal("refuser", "Jansen", birth_on=date(1970, 5, 6), house_number=20, phone="+31611110020")
UNREACHED = Signal("unreached", "Mulder", birth_on=date(1985, 7, 8), house_number=40, phone="+31611110040")
FIXED = Signal("fixed", "Bakker", birth_on=date(1975, 2, 3), house_number=30, phone="+31611110030")
PAID = Signal("paid", "Visser", birth_on=date(1991, 9, 9), house_number=60, phone="+31611110060")
WAITING = Signal("waiting", "Smit", birth_on=date(1988, 4, 4), house_number=80, phone="+31611110080")
GONE = Signal("gone", "de Vries", birth_on=date(1990, 9, 9), house_number=70, phone="+31611110070")


def build(month: Month) -> None:
    for stage in ("matched", "enriched", "categorised"):
        build_stage(stage, month)


def ids(reference: str, month: Month) -> tuple[str, str]:
    [found] = rows(
        "select call_record_id, case_id from intermediate.int_signals__matched"
        " where partner_reference = %s and signal_month = %s",
        reference, str(month),
    )  # fmt: skip
    return found


def called_in_vain(call_record_id: str, month: Month) -> None:
    with connect(Role.LOADER) as connection:
        connection.execute(
            "insert into landing.ris_attempts (outcome_id, updated_at, attempt_id, attempt_no, direction, phone,"
            " started_at, reached, attempt_result) select outcome_id, updated_at, 'att_' || number, number, 'outbound',"
            " '+31611110040', updated_at - make_interval(days => 7 - number), false, 'no_answer'"
            " from landing.ris_outcomes cross join generate_series(1, 7) as number where call_record_id = %s",
            (call_record_id,),
        )


def wants_to_be_called(call_record_id: str) -> None:
    with connect(Role.ADMIN) as connection:
        connection.execute(
            "update landing.ris_outcomes set callback_part_of_day = 'Avond', callback_from = '18:30',"
            " callback_until = '20:00', callback_on = '2024-03-19', situation_summary = 'Baan kwijt'"
            " where call_record_id = %s",
            (call_record_id,),
        )


def followed_up(case_id: str, kind: str, month: Month) -> None:
    with connect(Role.LOADER) as connection:
        connection.execute(
            "insert into landing.ris_followups (followup_id, updated_at, case_id, kind, started_on, ended_on, source)"
            " values (%s, %s, %s, %s, %s, %s, 'api')",
            (
                f"fu_{case_id}", month.last_day, case_id, kind, month.first_day + timedelta(days=17),
                month.first_day + timedelta(days=24),
            ),
        )  # fmt: skip


def close(month: Month) -> None:
    build_stage("closure", month)
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state)"
            " values ('batch', %s, 1, 'coordinator', 0, 'acknowledged')",
            (str(month),),
        )
        connection.execute(
            "insert into ops.closure_items (batch_id, case_id, signal_month, ddas_result, reason, closed_on, state)"
            " select 'batch', case_id, signal_month, ddas_result, reason, closed_on, 'accepted'"
            " from outbound.out_ris_closures where signal_month = %s",
            (str(month),),
        )
    build_stage("marts", month)


@pytest.fixture(scope="module")
def two_months(warehouse: Path) -> Path:
    land(MARCH, [REFUSER, UNREACHED, FIXED, PAID, GONE, WAITING])
    build(MARCH)
    deliver_call_list(MARCH)
    for reference, code in (
        ("refuser", "refuses_contact"), ("unreached", "no_answer"), ("fixed", "help_accepted"),
        ("paid", "already_paid"), ("gone", "refuses_contact"), ("waiting", "help_accepted"),
    ):  # fmt: skip
        answer(*ids(reference, MARCH), code, MARCH)
    called_in_vain(ids("unreached", MARCH)[0], MARCH)
    wants_to_be_called(ids("waiting", MARCH)[0])
    followed_up(ids("fixed", MARCH)[1], "quick_fix", MARCH)
    close(MARCH)

    land(
        APRIL,
        [
            REFUSER.again(amount="450.00"),
            UNREACHED.again(amount="250.00"),
            FIXED.again(amount="300.00"),
            FIXED.again(reference="fixed-water", partner="drinkwater_zh", amount="80.00"),
            PAID.again(amount="260.00"),
        ],
    )
    build(APRIL)
    build_stage("marts", APRIL)
    return warehouse


def switch(rule_id: str, on: bool) -> None:
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("update staging.route_rules set is_enabled = %s where rule_id = %s", (on, rule_id))
    build(APRIL)
    build_stage("marts", APRIL)


def returning() -> dict[str, dict]:
    names = (
        "ended_as", "days_since_end", "is_same_partner", "is_quick_fix_relapse", "route", "is_consecutive",
        "earlier_signal_month",
    )  # fmt: skip
    found = rows(
        f"select signals.partner_reference, {', '.join(f'returned.{name}' for name in names)}"
        " from marts.rpt_returning_signals as returned"
        " inner join intermediate.int_signals__matched as signals using (signal_month, signal_id)"
        " where returned.signal_month = %s",
        str(APRIL),
    )
    return {reference: dict(zip(names, values, strict=True)) for reference, *values in found}


def test_the_books_count_and_list_whom_the_closure_would_make_disappear(two_months: Path) -> None:
    [books] = rows(
        "select cases_opened, cases_closed, cases_closed_refused, cases_closed_not_reached"
        " from marts.rpt_closure_accounting where signal_month = %s",
        str(MARCH),
    )
    assert books == (6, 5, 2, 1)
    listed = rows(
        "select case_id, ground, recurring_until_on, consecutive_until_month from marts.rpt_closed_without_help"
        " where signal_month = %s",
        str(MARCH),
    )
    assert set(listed) == {
        (ids("refuser", MARCH)[1], "refused", date(2024, 9, 15), "2024-09"),
        (ids("gone", MARCH)[1], "refused", date(2024, 9, 15), "2024-09"),
        # the rule that sends who was not reached to Kwadraad is off: the address counts as consecutive all the same
        (ids("unreached", MARCH)[1], "not_reached", None, "2024-09"),
    }


def test_the_next_signal_finds_who_refused_and_who_was_not_reached(two_months: Path) -> None:
    found = returning()
    assert found["refuser"] == {
        "ended_as": "refused", "days_since_end": 1, "is_same_partner": True, "is_quick_fix_relapse": False,
        "route": "direct_recurring", "is_consecutive": True, "earlier_signal_month": "2024-03",
    }  # fmt: skip
    assert (found["unreached"]["ended_as"], found["unreached"]["route"]) == ("not_reached", "call")
    assert found["unreached"]["is_consecutive"]
    assert found["paid"]["ended_as"] == "closed_otherwise"
    assert "gone" not in found, "without a new signal nobody is found, and nobody is approached"
    on_the_list = rows("select surname from outbound.out_kwadraad_direct where signal_month = %s", str(APRIL))
    assert on_the_list == [("Jansen",)], "the name stands on Kwadraad's list, not in marts"


def test_a_quick_fix_that_did_not_hold_is_visible(two_months: Path) -> None:
    found = returning()
    assert found["fixed"]["ended_as"] == "quick_fix"
    assert found["fixed"]["days_since_end"] == 9  # ended on 25 March, signalled on 3 April
    assert found["fixed"]["is_quick_fix_relapse"]
    # the same address, another partner: new arrears, not a fix that failed
    assert found["fixed-water"]["ended_as"] == "quick_fix"
    assert not found["fixed-water"]["is_quick_fix_relapse"]


def warm_sheet(exchange: Path, sequence: int, *headings_wanted: str) -> list[tuple]:
    file = exchange / "outbox" / "kwadraad" / f"kwadraad_worklist_{MARCH.compact}_{sequence:02d}.xlsx"
    [headings, *people] = load_workbook(file)["Warm"].iter_rows(values_only=True)
    wanted = headings_wanted or ("Dagen wachtend", "Opvolging gestart op", "Opvolging beëindigd op")
    places = [headings.index(heading) for heading in ("Achternaam", *wanted)]
    return [tuple(person[place] for place in places) for person in people]


def test_the_warm_sheet_says_how_long_somebody_waits_and_since_when_somebody_helps(two_months: Path) -> None:
    helped = ("Bakker", 3, datetime(2024, 3, 18), datetime(2024, 3, 25))  # noqa: DTZ001 - a cell has no zone
    assert deliver_worklist(MARCH, date(2024, 3, 20)).sequence == 1
    # who waits stands first; accepted on 15 March
    assert warm_sheet(two_months, 1) == [("Smit", 5, None, None), helped]
    preferences = ("Voorkeur dagdeel", "Voorkeur van", "Voorkeur tot", "Voorkeur datum", "Samenvatting")
    assert warm_sheet(two_months, 1, *preferences) == [
        ("Smit", "Avond", time(18, 30), time(20, 0), datetime(2024, 3, 19), "Baan kwijt"),  # noqa: DTZ001
        ("Bakker", None, None, None, None, None),
    ]
    assert deliver_worklist(MARCH, date(2024, 3, 20)).sequence is None, "the same day again is no news"
    assert [one.sequence for one in deliver_open_worklists(date(2024, 3, 27))] == [2]
    assert warm_sheet(two_months, 2) == [("Smit", 12, None, None), helped]
    assert deliver_open_worklists(date(2024, 3, 28), except_for=[str(MARCH)]) == []
    # without a day: up to the last answer of RIS, which came on the fifteenth
    assert deliver_worklist(MARCH).sequence == 3
    assert warm_sheet(two_months, 3) == [("Smit", 0, None, None), helped]


def test_the_municipality_may_send_who_was_not_reached_to_kwadraad(two_months: Path) -> None:
    switch("direct_recurring_not_reached", on=True)
    try:
        assert returning()["unreached"]["route"] == "direct_recurring"
    finally:
        switch("direct_recurring_not_reached", on=False)


def test_there_are_no_escalation_candidates_until_the_rule_is_switched_on(two_months: Path) -> None:
    assert not is_switched_on(APRIL)
    assert candidates() == []
    with pytest.raises(NotDecided, match="no escalation candidate"):
        decide(ids("refuser", APRIL)[0], Recipient.CRISISTEAM, "vital_interest", "coordinator")


def test_a_person_decides_about_a_candidate_and_the_decision_stays(two_months: Path) -> None:
    switch("escalation_candidate", on=True)
    assert is_switched_on(APRIL)
    call_record_id, case_id = ids("refuser", APRIL)
    [candidate] = candidates(APRIL)
    assert (candidate.call_record_id, candidate.case_id, candidate.decision) == (call_record_id, case_id, None)
    assert candidate.arrears_eur > candidate.refused_arrears_eur
    on_sheet = "select count(*) from outbound.out_kwadraad_review where signal_month = %s and subject = 'escalation'"
    assert rows(on_sheet, str(APRIL)) == [(1,)]

    with pytest.raises(NotDecided, match="grounds that do: care_necessary, consent, vital_interest"):
        decide(call_record_id, Recipient.MELDPUNT_BEZORGD, "not_necessary", "coordinator")
    decided = decide(call_record_id, None, "not_proportionate", "coordinator")
    assert (decided.decision, decided.recipient, decided.ground) == ("no_referral", None, "not_proportionate")
    assert rows(on_sheet, str(APRIL)) == [(0,)], "who is decided about is not asked about again"

    later = decide(call_record_id, Recipient.MELDPUNT_BEZORGD, "care_necessary", "quality officer")
    assert (later.decision, later.recipient) == ("refer", "meldpunt_bezorgd")
    kept = rows("select decision, ground, decided_by from ops.escalation_decisions order by decision_id")
    assert kept == [
        ("no_referral", "not_proportionate", "coordinator"), ("refer", "care_necessary", "quality officer"),
    ]  # fmt: skip
    with connect(Role.ADMIN) as connection, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute("delete from ops.escalation_decisions")


def test_who_waits_is_reminded_of_after_the_month_is_closed(two_months: Path) -> None:
    last = deliver_worklist(MARCH, date(2024, 3, 29)).sequence or 0
    close_month(MARCH, "batch", "coordinator")
    days = [deliver_open_worklists(date(2024, 4, day)) for day in (2, 3)]
    assert [[one.sequence for one in lists] for lists in days] == [[last + 1], [last + 2]]
    assert [person[:2] for person in warm_sheet(two_months, last + 2)] == [("Smit", 19), ("Bakker", 3)]
    assert [one.sequence for one in deliver_open_worklists(None)] == [None], "without a day there is nothing new"

    followed_up(ids("waiting", MARCH)[1], "referral_financial", MARCH)
    assert deliver_open_worklists(date(2024, 4, 4)) == []
    assert deliver_worklist(MARCH, date(2024, 4, 4)).sequence is None, "nobody waits any more: the closed list stays"
