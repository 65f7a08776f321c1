"""Every number of the monthly report, read from `marts` as `bi_reader`: what BI may not see, the report cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

MONTHS_IN_TREND = 12
TREND = ("records_spoken", "help_accepted_of_spoken", "cases_closed")


@dataclass(frozen=True)
class Kpi:
    """One row of kpi_monthly; `denominator` is None for a plain count."""

    kpi: str
    numerator: Decimal | None
    denominator: Decimal | None
    value: Decimal | None
    unit: str
    definition_version: int


@dataclass(frozen=True)
class Result:
    """Records with one result."""

    result_group: str
    label: str
    records: int


@dataclass(frozen=True)
class Closure:
    """Cases in one state for one reason, with their arrears."""

    state: str
    reason: str
    cases: int
    arrears_eur: Decimal


@dataclass(frozen=True)
class Partner:
    """How one partner delivered."""

    partner_name: str
    sector: str
    rows_delivered: int
    rows_loaded: int
    rows_quarantined: int
    rows_duplicate: int
    signals_picked_up: int
    is_missing_on_deadline: bool


@dataclass(frozen=True)
class Calling:
    """What was called with one version of the script."""

    script_version: str
    records_delivered: int
    records_with_outcome: int
    records_spoken: int
    records_help_accepted: int
    outbound_attempts: int
    attempts_outside_hours: int
    attempts_on_free_days: int
    numbers_over_maximum_attempts: int
    not_reached_valid_number: int
    not_reached_under_maximum_attempts: int
    not_reached_one_part_of_day: int


@dataclass(frozen=True)
class Figures:
    """All the report says about a month."""

    kpis: Mapping[str, Kpi]
    results: tuple[Result, ...]
    accounting: Mapping[str, Any] | None
    closures: tuple[Closure, ...]
    partners: tuple[Partner, ...]
    calling: tuple[Calling, ...]
    #: (outbound attempts, result group, records)
    attempts_per_record: tuple[tuple[int, str, int], ...]
    #: (part of the day, reached, attempts)
    parts_of_day: tuple[tuple[str, bool, int], ...]
    #: (month, kpi, value), the oldest first
    trend: tuple[tuple[str, str, Decimal], ...]
    is_example_rate: bool


def read_figures(month: Month) -> Figures:
    """One snapshot of the month; empty where marts hold nothing."""
    with connect(Role.BI_READER) as connection:
        connection.execute("set transaction isolation level repeatable read")
        return Figures(
            kpis={kpi.kpi: kpi for kpi in _rows(connection, Kpi, _KPIS, month)},
            results=_rows(connection, Result, _RESULTS, month),
            accounting=_accounting(connection, month),
            closures=_rows(connection, Closure, _CLOSURES, month),
            partners=_rows(connection, Partner, _PARTNERS, month),
            calling=_rows(connection, Calling, _CALLING, month),
            attempts_per_record=tuple(connection.execute(_ATTEMPTS, _key(month)).fetchall()),
            parts_of_day=tuple(connection.execute(_PARTS_OF_DAY, _key(month)).fetchall()),
            trend=tuple(
                connection.execute(
                    _TREND, {"month": str(month), "since": str(month.plus(1 - MONTHS_IN_TREND)), "kpis": list(TREND)}
                ).fetchall()
            ),
            is_example_rate=connection.execute(_EXAMPLE, _key(month)).fetchone()[0],
        )


def _rows(connection: psycopg.Connection, kind: type, query: str, month: Month) -> tuple[Any, ...]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(query, _key(month)).fetchall())


def _accounting(connection: psycopg.Connection, month: Month) -> Mapping[str, Any] | None:
    from psycopg.rows import dict_row

    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select * from marts.rpt_closure_accounting where signal_month = %(month)s", _key(month)
        ).fetchone()


def _key(month: Month) -> dict[str, str]:
    return {"month": str(month)}


_KPIS = """
select kpi, numerator, denominator, value, unit, definition_version
from marts.kpi_monthly where signal_month = %(month)s and segment = 'all' order by kpi
"""

_RESULTS = """
select board.result_group, coalesce(results.label_nl, board.result_code) as label, board.records
from marts.kpi_pilot_dashboard as board
left join marts.dim_result as results on results.result_code = board.result_code
where board.period = %(month)s
order by
    array_position(array['positive', 'negative', 'not_reached'], board.result_group),
    board.records desc, board.result_code
"""

_CLOSURES = """
select state, reason, count(*)::integer as cases, coalesce(sum(arrears_eur), 0) as arrears_eur
from marts.fct_month_end_closures where signal_month = %(month)s
group by state, reason
order by array_position(array['closed', 'open', 'excluded'], state), cases desc, reason
"""

_PARTNERS = """
select
    coalesce(partners.partner_name, quality.partner) as partner_name, quality.sector, quality.rows_delivered,
    quality.rows_loaded, quality.rows_quarantined, quality.rows_duplicate, quality.signals_picked_up,
    quality.is_missing_on_deadline
from marts.kpi_partner_quality_monthly as quality
left join marts.dim_partner as partners on partners.partner = quality.partner
where quality.signal_month = %(month)s order by quality.partner
"""

_CALLING = """
select
    script_version, records_delivered, records_with_outcome, records_spoken, records_help_accepted, outbound_attempts,
    attempts_outside_hours, attempts_on_free_days, numbers_over_maximum_attempts, not_reached_valid_number,
    not_reached_under_maximum_attempts, not_reached_one_part_of_day
from marts.kpi_calling_quality_monthly where signal_month = %(month)s order by script_version
"""

_ATTEMPTS = """
select outbound_attempts, result_group, count(*)::integer
from marts.fct_outcomes where signal_month = %(month)s and not is_withdrawn and result_group is not null
group by 1, 2 order by 1, 2
"""

_PARTS_OF_DAY = """
select part_of_day, is_reached, count(*)::integer
from marts.fct_contact_attempts where signal_month = %(month)s and direction = 'outbound' and not is_withdrawn
group by 1, 2 order by array_position(array['Ochtend', 'Middag', 'Avond'], part_of_day), 2
"""

_TREND = """
select signal_month, kpi, value
from marts.kpi_monthly
where signal_month between %(since)s and %(month)s and segment = 'all' and kpi = any(%(kpis)s) and value is not null
order by signal_month, array_position(%(kpis)s, kpi)
"""

_EXAMPLE = """
select coalesce(bool_or(is_example_rate), false) from marts.kpi_cost_monthly where signal_month = %(month)s
"""
