"""The tables an outgoing list is read from, small and made by hand, with the columns dbt gives them.

Each test file of the outgoing side owns its rows this way; that the real models have these columns is tested where a
whole month runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from include.contracts.registry import load_contract
from include.settings import Role
from include.warehouse.connection import connect

_TYPES = {
    "string": "text", "integer": "integer", "number": "numeric(12, 2)", "date": "date", "boolean": "boolean",
    "timestamp": "timestamptz", "time": "time",
}  # fmt: skip

_OTHER_COLUMNS = {
    "out_partner_feedback": "signal_month text, partner text, partner_reference text, status text, status_on date",
    "out_ris_closures": "signal_month text, case_id text, ddas_result text, reason text, closed_on date",
    "out_ddas_signals": "signal_month text, signal_id text, is_crisis boolean, is_warm_handover boolean, "
    "amount_eur integer, "
    "arrears_since_on date, signal_on date, status text, partner_type text, postcode text, house_number text, "
    "house_number_addition text, birth_on date, gender text",
    "out_ddas_cases": "signal_month text, case_id text, result text, matched_on date, matching_starts_on date, "
    "matching_ends_on date, picked_up_on date, signal_ids text[]",
    "out_ddas_attempts": "signal_month text, case_id text, contact_kind text, is_reached boolean, attempted_on date, "
    "part_of_day text",
}

_BY_CONTRACT = {
    "out_certin_call_list": ("certin_call_list", "call_list"),
    "out_enrichment_requests": ("enrichment_request", "requests"),
    "out_kwadraad_direct": ("kwadraad_worklist", "direct"),
    "out_kwadraad_warm": ("kwadraad_worklist", "warm"),
    "out_kwadraad_without_number": ("kwadraad_worklist", "without_number"),
    "out_kwadraad_review": ("kwadraad_worklist", "review"),
}


def create_outbound_tables() -> None:
    """All of them, empty, owned by the role dbt has."""
    with connect(Role.TRANSFORMER) as connection:
        connection.execute(
            "create table if not exists intermediate.int_calls__suppressed (signal_month text, call_record_id text);"
            "grant select on intermediate.int_calls__suppressed to vs_exporter"
        )
        for name, columns in _OTHER_COLUMNS.items():
            connection.execute(f"create table if not exists outbound.{name} ({columns})")
        for name, (contract, table) in _BY_CONTRACT.items():
            columns = ", ".join(
                f"{column.name} {_TYPES[column.logical_type]}"
                for column in load_contract(contract).table_named(table).columns
            )
            # a column no contract names: it must never go out
            connection.execute(
                f"create table if not exists outbound.{name} (signal_month text, {columns}, bsn_key text)"
            )


def fill(table: str, month: str, rows: Iterable[dict[str, object]]) -> None:
    """The month's rows of one outgoing table are these and no others."""
    with connect(Role.TRANSFORMER) as connection:
        connection.execute(f"delete from outbound.{table} where signal_month = %s", (month,))
        for row in rows:
            row = {"signal_month": month, **row}
            connection.execute(
                f"insert into outbound.{table} ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})",
                list(row.values()),
            )


def call_row(number: int, **changes: object) -> dict[str, object]:
    """One fictitious row of the call list."""
    return {
        "call_record_id": f"call_{number:020d}",
        "case_id": f"case_{number:020d}",
        "phone_1": f"+316{number % 100_000_000:08d}",
        "phone_2": None,
        "initials": "A.B.",
        "name_prefix": "van der",
        "surname": f"Testpersoon{number}",
        "house_number": number,
        "sectors": "Huur|Zorg",
        "call_from": "2024-06-10",
        "call_until": "2024-06-30",
        "max_attempts": 7,
        "script_version": "2024-2",
        "bsn_key": "never goes out",
    } | changes
