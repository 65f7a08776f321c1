"""What partners, the enrichment provider, Certin and RIS brought, written into landing and ops as the platform does.

Rows are made here; everything computed from them is computed by the real dbt stages. Connections are a superuser's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg

from include.months import Month

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True)
class Signal:
    """One row a partner delivered and ingest accepted."""

    partner_reference: str
    house_number: int
    surname: str
    birth_on: date | None
    signal_on: date
    arrears_since_on: date
    arrears_eur: Decimal
    phone_1: str | None = None
    postcode: str = "2712AB"
    is_crisis: bool = False
    initials: str = "A."
    city: str = "Zoetermeer"


@dataclass(frozen=True)
class Delivery:
    """One file of a partner, with the rows that were quarantined or duplicates beside the loaded ones."""

    partner: str
    sector: str
    month: Month
    signals: Sequence[Signal]
    rows_quarantined: int = 0
    rows_duplicate: int = 0

    @property
    def delivery_id(self) -> str:
        return f"dlv_{self.partner}_{self.month.compact}"


@dataclass(frozen=True)
class Attempt:
    """One contact attempt; `started_at` is Dutch local time."""

    started_at: datetime
    direction: str = "outbound"
    reached: bool = False
    phone: str = "+31612345678"


@dataclass(frozen=True)
class Outcome:
    """What came of a call record."""

    call_record_id: str
    case_id: str
    result_code: str
    result_at: datetime
    attempts: Sequence[Attempt] = field(default_factory=tuple)
    callback_part_of_day: str | None = None


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=AMSTERDAM)


def land_deliveries(connection: psycopg.Connection, deliveries: Iterable[Delivery]) -> None:
    """Book the deliveries and land their signals."""
    with connection.transaction(), connection.cursor() as cursor:
        for delivery in deliveries:
            cursor.execute(
                "insert into ops.months (signal_month) values (%s) on conflict do nothing", (str(delivery.month),)
            )
            cursor.execute(
                "insert into ops.partners (partner, partner_name, sector, delivery_day, contract_version)"
                " values (%s, %s, %s, 8, '1.0.0') on conflict do nothing",
                (delivery.partner, delivery.partner.title(), delivery.sector),
            )
            loaded = len(delivery.signals)
            cursor.execute(
                "insert into ops.deliveries (delivery_id, contract, contract_version, partner, file_name, sha256,"
                " signal_month, sequence, status, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate)"
                " values (%s, %s, '1.0.0', %s, %s, %s, %s, 1, 'loaded', %s, %s, %s, %s)",
                (
                    delivery.delivery_id, delivery.partner, delivery.partner,
                    f"{delivery.partner}_{delivery.month.compact}.csv", delivery.delivery_id, str(delivery.month),
                    loaded + delivery.rows_quarantined + delivery.rows_duplicate, loaded, delivery.rows_quarantined,
                    delivery.rows_duplicate,
                ),
            )  # fmt: skip
            rows = [
                {
                    "delivery_id": delivery.delivery_id, "line_number": line, "contract_version": "1.0.0",
                    "partner": delivery.partner, "sector": delivery.sector, "signal_month": str(delivery.month),
                } | asdict(signal)
                for line, signal in enumerate(delivery.signals, start=2)
            ]  # fmt: skip
            names = list(rows[0])
            places = ", ".join(f"%({name})s" for name in names)
            cursor.executemany(
                f"insert into landing.signals (signal_id, {', '.join(names)}) values (ops.keyed_id('signal',"
                f" %(partner)s || '|' || %(partner_reference)s || '|' || %(signal_month)s), {places})",
                rows,
            )


def answer_enrichment(connection: psycopg.Connection, month: Month, every: int = 2) -> None:
    """Everything asked for was requested; the provider finds every second number, half of them by address only."""
    connection.execute(
        "insert into ops.enrichment_requests (request_id, signal_month, sequence)"
        " select request_id, signal_month, 1 from outbound.out_enrichment_requests where signal_month = %s",
        (str(month),),
    )
    connection.execute(
        """
        insert into landing.enrichment_results
            (delivery_id, line_number, signal_month, request_id, phone, source, match_level, matched_on, confidence)
        select
            'dlv_enrichment_' || signal_month, number, signal_month, request_id,
            case when number %% %(every)s = 0 then '+3179300' || lpad(number::text, 4, '0') end,
            case when number %% %(every_other)s = 0 then 'register' else 'directory' end,
            case when number %% %(every_other)s = 0 then 'address' else 'person' end,
            %(matched_on)s, 0.9
        from (select *, row_number() over (order by request_id) as number from ops.enrichment_requests) as requests
        where signal_month = %(month)s
        """,
        {
            "every": every, "every_other": 2 * every, "matched_on": month.first_day + timedelta(days=8),
            "month": str(month),
        },
    )  # fmt: skip


def deliver_call_list(connection: psycopg.Connection, month: Month) -> list[tuple[str, str]]:
    """The whole list goes to Certin, as the exporter books it; returns (call_record_id, case_id), ordered."""
    connection.execute(
        "insert into ops.call_records"
        " (call_record_id, case_id, signal_month, sequence, file_name, content_sha256, script_version)"
        " select call_record_id, case_id, signal_month, 1, %s, 'content', script_version"
        " from outbound.out_certin_call_list where signal_month = %s",
        (f"certin_call_list_{month.compact}_01.csv", str(month)),
    )
    return connection.execute(
        "select call_record_id, case_id from ops.call_records where signal_month = %s order by call_record_id",
        (str(month),),
    ).fetchall()


def report_outcomes(connection: psycopg.Connection, outcomes: Sequence[Outcome]) -> None:
    """What RIS told, newest version only."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into landing.ris_outcomes (outcome_id, updated_at, call_record_id, case_id, result_code, result_at,"
            " script_version, callback_part_of_day, source) values (%s, %s, %s, %s, %s, %s, 'script-1', %s, 'api')",
            [
                (
                    f"outcome-{one.call_record_id}", one.result_at, one.call_record_id, one.case_id, one.result_code,
                    one.result_at, one.callback_part_of_day,
                )
                for one in outcomes
            ],
        )  # fmt: skip
        cursor.executemany(
            "insert into landing.ris_attempts (outcome_id, updated_at, attempt_id, attempt_no, direction, phone,"
            " started_at, ended_at, reached) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    f"outcome-{one.call_record_id}", one.result_at, f"attempt-{one.call_record_id}-{number}", number,
                    attempt.direction, attempt.phone, attempt.started_at,
                    attempt.started_at + timedelta(minutes=2), attempt.reached,
                )
                for one in outcomes
                for number, attempt in enumerate(one.attempts, start=1)
            ],
        )  # fmt: skip


def report_followup(
    connection: psycopg.Connection, case_id: str, kind: str, started_on: date, ended_on: date | None
) -> None:
    connection.execute(
        "insert into landing.ris_followups (followup_id, updated_at, case_id, kind, started_on, ended_on, source)"
        " values (%s, %s, %s, %s, %s, %s, 'api')",
        (f"followup-{case_id}-{kind}", local(started_on, 9), case_id, kind, started_on, ended_on),
    )


def send_closures(connection: psycopg.Connection, month: Month, reject: Sequence[str] = ()) -> int:
    """The proposed batch goes to RIS, which accepts all but the cases in `reject`; returns how many it accepted."""
    batch = f"batch-{month}"
    connection.execute(
        "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state)"
        " select %s, %s, 1, 'coordinator', count(*), 'acknowledged' from outbound.out_ris_closures"
        " where signal_month = %s",
        (batch, str(month), str(month)),
    )
    connection.execute(
        "insert into ops.closure_items"
        " (batch_id, case_id, signal_month, ddas_result, reason, closed_on, state, rejection_reason)"
        " select %s, case_id, signal_month, ddas_result, reason, closed_on,"
        " case when case_id = any(%s) then 'rejected' else 'accepted' end,"
        " case when case_id = any(%s) then 'case_locked' end"
        " from outbound.out_ris_closures where signal_month = %s",
        (batch, list(reject), list(reject), str(month)),
    )
    return connection.execute(
        "select count(*) from ops.closure_items where batch_id = %s and state = 'accepted'", (batch,)
    ).fetchone()[0]
