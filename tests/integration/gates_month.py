"""A small month in the warehouse for the gates: landed rows made here, everything after them built by dbt itself.

Forty addresses, two partners; on every fourth address both. Known persons: one crisis, two above the threshold, one
outside the municipality, sixteen without a number (the provider finds half), outcomes of every group.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from include.months import Month
from include.warehouse.dbt import build_stage

MONTH = Month(2024, 6)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ADDRESSES = 40
OUTCOMES = ("no_answer", "needs_no_help", "voicemail_only", "help_accepted", "already_paid", "invalid_number")
SURNAMES = ("Jansen", "Bakker", "Visser", "Smit", "Meijer", "Mulder", "Dekker", "Brouwer", "Dijkstra", "Peeters")


def build_month(connection: psycopg.Connection) -> None:
    """Everything up to and including the marts of a month that is about to be frozen; `connection` is a superuser's."""
    land_signals(connection)
    build_stage("matched", MONTH)
    answer_enrichment(connection)
    build_stage("enriched", MONTH)
    build_stage("categorised", MONTH)
    deliver_call_list(connection)
    report_outcomes(connection)
    build_stage("closure", MONTH)
    acknowledge_closures(connection)
    build_stage("marts", MONTH)


def land_signals(connection: psycopg.Connection) -> None:
    """Deliveries with their books, and the signals they brought."""
    rows: dict[str, list[dict[str, object]]] = {"zorgplus": [], "woonbedrijf": []}
    for number in range(1, ADDRESSES + 1):
        partners = ["zorgplus", "woonbedrijf"] if number % 4 == 0 else [("zorgplus", "woonbedrijf")[number % 2]]
        for partner in partners:
            rows[partner].append(_signal(number, partner))
    connection.execute("insert into ops.months (signal_month) values (%s)", (str(MONTH),))
    for partner, sector in (("zorgplus", "Zorg"), ("woonbedrijf", "Huur")):
        connection.execute(
            "insert into ops.partners (partner, partner_name, sector, delivery_day, contract_version)"
            " values (%s, %s, %s, 8, '1.0.0')",
            (partner, partner.title(), sector),
        )
        loaded = rows[partner]
        connection.execute(
            "insert into ops.deliveries (delivery_id, contract, contract_version, partner, file_name, sha256,"
            " signal_month, sequence, status, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate)"
            " values (%s, %s, '1.0.0', %s, %s, %s, %s, 1, 'loaded', %s, %s, 1, 0)",
            (
                f"dlv_{partner}", partner, partner, f"{partner}_{MONTH.compact}.csv", partner, str(MONTH),
                len(loaded) + 1, len(loaded),
            ),
        )  # fmt: skip
        connection.execute(
            "insert into landing.quarantined_rows (delivery_id, line_number, partner, signal_month, contract_version,"
            " reasons, raw) values (%s, 900, %s, %s, '1.0.0', '{postcode_invalid}', '{}')",
            (f"dlv_{partner}", partner, str(MONTH)),
        )
        for line, signal in enumerate(loaded, start=2):
            columns = {
                "delivery_id": f"dlv_{partner}", "line_number": line, "contract_version": "1.0.0", "partner": partner,
                "sector": sector, "signal_month": str(MONTH), **signal,
            }  # fmt: skip
            names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
            connection.execute(
                f"insert into landing.signals (signal_id, {names})"
                f" values (ops.keyed_id('signal', %s), {places})",
                (f"{partner}|{signal['partner_reference']}|{MONTH}", *columns.values()),
            )
        connection.execute(
            "insert into landing.raw_blocks (delivery_id, first_line, last_line, signal_month, labels, lines)"
            " values (%s, 2, %s, %s, '{}', '')",
            (f"dlv_{partner}", len(loaded) + 1, str(MONTH)),
        )


def _signal(number: int, partner: str) -> dict[str, object]:
    return {
        "partner_reference": f"ref-{number}",
        "signal_on": date(2024, 6, 3),
        "arrears_since_on": date(2024, 4, 20),
        "arrears_eur": 2500 if number in (7, 8) else 100 + number,
        "is_crisis": number == 5,
        "initials": "A.B.",
        "surname": SURNAMES[number % len(SURNAMES)],
        "birth_on": date(1970, 1, 1) + timedelta(days=number * 37),
        "postcode": "3011AB" if number == 3 else "2712AB",
        "house_number": number,
        "city": "Zoetermeer",
        "phone_1": None if number % 5 in (1, 2) else f"+3161200{number:04d}",
    }


def answer_enrichment(connection: psycopg.Connection) -> None:
    """The provider finds every other number it was asked for."""
    connection.execute(
        "insert into ops.enrichment_requests (request_id, signal_month, sequence)"
        " select request_id, signal_month, 1 from outbound.out_enrichment_requests where signal_month = %s",
        (str(MONTH),),
    )
    connection.execute(
        """
        insert into ops.deliveries (delivery_id, contract, partner, file_name, sha256, signal_month, sequence, status,
            rows_in_file, rows_loaded, rows_quarantined, rows_duplicate)
        select 'dlv_enrichment', 'enrichment_result-v1', null, 'enrichment_result_202406_01.csv', 'e',
            '2024-06', 1, 'loaded', count(*), count(*), 0, 0
        from ops.enrichment_requests
        """
    )
    connection.execute(
        """
        insert into landing.enrichment_results (delivery_id, line_number, signal_month, request_id, phone, source,
            match_level, matched_on, confidence)
        select 'dlv_enrichment', row_number() over (order by request_id), signal_month, request_id,
            case when row_number() over (order by request_id) %% 2 = 0
                then '+3179300' || lpad((row_number() over (order by request_id))::text, 4, '0') end,
            'directory', 'person', date '2024-06-09', 0.9
        from ops.enrichment_requests where signal_month = %s
        """,
        (str(MONTH),),
    )


def deliver_call_list(connection: psycopg.Connection) -> None:
    """The whole list went out."""
    connection.execute(
        "insert into ops.call_records (call_record_id, case_id, signal_month, sequence, file_name, content_sha256,"
        " script_version) select call_record_id, case_id, signal_month, 1, 'certin_call_list_202406_01.csv', 'x',"
        " script_version from outbound.out_certin_call_list where signal_month = %s",
        (str(MONTH),),
    )


def report_outcomes(connection: psycopg.Connection) -> None:
    """One outcome a record, in turn of every kind, after seven attempts in the call window (accepted: after one)."""
    records = connection.execute("select call_record_id, case_id from ops.call_records order by 1").fetchall()
    days = [MONTH.first_day + timedelta(days=offset) for offset in (9, 10, 11, 12, 13, 16, 17)]
    for number, (call_record_id, case_id) in enumerate(records):
        code = OUTCOMES[number % len(OUTCOMES)]
        moments = [datetime(day.year, day.month, day.day, 11, number % 60, tzinfo=AMSTERDAM) for day in days]
        moments = moments[: 1 if code in ("help_accepted", "invalid_number") else 7]
        updated_at = moments[-1] + timedelta(hours=1)
        connection.execute(
            "insert into landing.ris_outcomes (outcome_id, updated_at, call_record_id, case_id, result_code, result_at,"
            " script_version, source) values (%s, %s, %s, %s, %s, %s, 'script-2', 'api')",
            (f"out-{number}", updated_at, call_record_id, case_id, code, moments[-1] + timedelta(minutes=5)),
        )
        for attempt_no, moment in enumerate(moments, start=1):
            connection.execute(
                "insert into landing.ris_attempts (outcome_id, updated_at, attempt_id, attempt_no, direction, phone,"
                " started_at, ended_at, reached) values (%s, %s, %s, %s, 'outbound', '+31612000001', %s, %s, %s)",
                (
                    f"out-{number}", updated_at, f"out-{number}-{attempt_no}", attempt_no, moment,
                    moment + timedelta(minutes=2), attempt_no == len(moments),
                ),
            )  # fmt: skip
        if code == "help_accepted":
            connection.execute(
                "insert into landing.ris_followups (followup_id, updated_at, case_id, kind, started_on, ended_on,"
                " source) values (%s, %s, %s, 'quick_fix', '2024-06-20', %s, 'api')",
                (f"fol-{number}", updated_at, case_id, date(2024, 6, 25) if number % 12 == 3 else None),
            )


def acknowledge_closures(connection: psycopg.Connection) -> None:
    """RIS accepted the batch."""
    connection.execute(
        "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state)"
        " select 'batch', %s, 1, 'coordinator', count(*), 'acknowledged' from outbound.out_ris_closures"
        " where signal_month = %s",
        (str(MONTH), str(MONTH)),
    )
    connection.execute(
        "insert into ops.closure_items (batch_id, case_id, signal_month, ddas_result, reason, closed_on, state)"
        " select 'batch', case_id, signal_month, ddas_result, reason, closed_on, 'accepted'"
        " from outbound.out_ris_closures where signal_month = %s",
        (str(MONTH),),
    )
