"""What lies in landing before dbt begins, written as the loader and the exporter write it.

Small on purpose: a test names what matters to it, the rest has one ordinary value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SECTORS = {"woonbedrijf": "Huur", "zorgplus": "Zorg", "stadsenergie": "Energie", "drinkwater_zh": "Water"}


@dataclass(frozen=True)
class Signal:
    """One canonical signal; arrears are forty days old unless said otherwise."""

    reference: str
    surname: str
    partner: str = "woonbedrijf"
    amount: str = "200.00"
    initials: str | None = "A."
    birth_on: date | None = None
    postcode: str = "2712AB"
    house_number: int = 1
    letter: str | None = None
    addition: str | None = None
    phone: str | None = None
    bsn_key: str | None = None
    is_crisis: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def again(self, **changes: Any) -> Signal:
        """The same signal with other values."""
        return replace(self, **changes)


def land(month: Month, signals: Iterable[Signal], sequence: int = 1) -> None:
    """Deliver `signals`: one loaded delivery per partner, the first received on the fifth, each next a day later."""
    by_partner: dict[str, list[Signal]] = {}
    for signal in signals:
        by_partner.setdefault(signal.partner, []).append(signal)
    with connect(Role.LOADER) as connection:
        for partner, rows in by_partner.items():
            delivery = f"dlv_{partner}_{month}_{sequence}"
            connection.execute(
                "insert into ops.deliveries (delivery_id, contract, partner, file_name, sha256, signal_month, sequence,"
                " status, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate, received_at)"
                " values (%s, %s, %s, %s, %s, %s, %s, 'loaded', %s, %s, 0, 0, %s)",
                (
                    delivery, partner, partner, f"{delivery}.csv", delivery, str(month), sequence, len(rows), len(rows),
                    datetime(month.year, month.number, 4 + sequence, 9, tzinfo=AMSTERDAM),
                ),
            )  # fmt: skip
            for line, signal in enumerate(rows, start=1):
                _land_row(connection, month, delivery, line, signal)


def _land_row(connection: Any, month: Month, delivery: str, line: int, signal: Signal) -> None:
    signal_on = month.first_day + timedelta(days=2)
    values = {
        "delivery_id": delivery, "line_number": line, "contract_version": "1.0.0",
        "partner": signal.partner, "sector": SECTORS[signal.partner], "partner_reference": signal.reference,
        "signal_month": str(month), "signal_on": signal_on, "arrears_since_on": signal_on - timedelta(days=40),
        "arrears_eur": Decimal(signal.amount), "is_crisis": signal.is_crisis,
        "initials": signal.initials, "surname": signal.surname, "birth_on": signal.birth_on,
        "street": "Dorpsstraat", "postcode": signal.postcode, "house_number": signal.house_number,
        "house_letter": signal.letter, "house_number_addition": signal.addition, "city": "Zoetermeer",
        "phone_1": signal.phone, "bsn_key": signal.bsn_key,
    } | dict(signal.extra)  # fmt: skip
    key = f"{signal.partner}|{signal.reference}|{month}"
    connection.execute(
        f"insert into landing.signals (signal_id, {', '.join(values)})"
        f" values (ops.keyed_id('signal', %s), {', '.join(['%s'] * len(values))})",
        (key, *values.values()),
    )


def deliver_call_list(month: Month) -> None:
    """Put the month's call list in the ledger, as the exporter does."""
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.call_records (call_record_id, case_id, signal_month, sequence, file_name, content_sha256,"
            " script_version) select call_record_id, case_id, signal_month, 1, 'list', 'hash', script_version"
            " from outbound.out_certin_call_list where signal_month = %s on conflict do nothing",
            (str(month),),
        )


def answer(call_record_id: str, case_id: str, result_code: str, month: Month, phone: str | None = None) -> None:
    """RIS tells the outcome of a call record on the fifteenth, with one attempt when a number is given."""
    at = datetime(month.year, month.number, 15, 14, 0, tzinfo=AMSTERDAM)
    outcome = f"out_{call_record_id}"
    with connect(Role.LOADER) as connection:
        connection.execute(
            "insert into landing.ris_outcomes (outcome_id, updated_at, call_record_id, case_id, result_code, result_at,"
            " script_version, source) values (%s, %s, %s, %s, %s, %s, 'script-1', 'api')",
            (outcome, at, call_record_id, case_id, result_code, at),
        )
        if phone:
            connection.execute(
                "insert into landing.ris_attempts (outcome_id, updated_at, attempt_id, attempt_no, direction, phone,"
                " started_at, reached, attempt_result) values (%s, %s, %s, 1, 'outbound', %s, %s, true, %s)",
                (outcome, at, f"att_{call_record_id}", phone, at, result_code),
            )


def find_number(month: Month, request_id: str, phone: str) -> None:
    """The enrichment provider finds `phone` for the person asked for."""
    with connect(Role.LOADER) as connection:
        connection.execute(
            "insert into landing.enrichment_results (delivery_id, line_number, signal_month, request_id, phone, source,"
            " match_level, matched_on, confidence) values (%s, 1, %s, %s, %s, 'book', 'person', %s, 0.9)",
            (f"dlv_{request_id}", str(month), request_id, phone, date(2024, 1, 1)),
        )


def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What the transformer sees."""
    with connect(Role.TRANSFORMER) as connection:
        return connection.execute(query, parameters).fetchall()


def everything_built(month: Month) -> dict[str, list[str]]:
    """Every row of the month in every table and view of intermediate and outbound, as text, in order."""
    key = str(month)
    tables = rows(
        "select table_schema, table_name from information_schema.columns"
        " where table_schema in ('intermediate', 'outbound') and column_name = 'signal_month' order by 1, 2"
    )
    return {
        f"{schema}.{table}": [
            text
            for (text,) in rows(f'select t::text from {schema}."{table}" as t where signal_month = %s order by 1', key)
        ]
        for schema, table in tables
    }
