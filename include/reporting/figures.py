"""Every number of the monthly report, read from `marts` as `bi_reader`: what BI may not see, the report cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

MONTHS_IN_TREND = 12
TREND = ("records_spoken", "help_accepted_of_spoken", "cases_closed")


@dataclass(frozen=True)
class Kpi:
    """One KPI in one segment; `denominator` is None for a plain count, the bounds for what is no part of a whole."""

    kpi: str
    segment: str
    numerator: Decimal | None
    denominator: Decimal | None
    value: Decimal | None
    unit: str
    definition_version: str
    lower_bound: Decimal | None
    upper_bound: Decimal | None
    is_small: bool


@dataclass(frozen=True)
class Acceptance:
    """Help accepted over one denominator."""

    label_nl: str
    numerator: int
    denominator: int
    value: Decimal | None
    lower_bound: Decimal | None
    upper_bound: Decimal | None


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
    signals: int
    signals_usable: int
    signals_picked_up: int
    signals_without_phone: int
    deliveries_late: int
    is_missing_on_deadline: bool
    quality_score: Decimal | None


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
class Reach:
    """The attempts that were the first, second, … of their record in one part of the day."""

    part_of_day: str
    attempt_order: int
    numerator: int
    denominator: int


@dataclass(frozen=True)
class Source:
    """What a source of phone numbers was worth."""

    origin: str
    source: str
    match_level: str
    persons_requested: int | None
    persons_found: int | None
    numbers_called: int
    numbers_reached: int
    numbers_wrong_person: int


@dataclass(frozen=True)
class Resignal:
    """Who was reported again after one kind of outcome, over all months whose days are over."""

    outcome_kind: str
    horizon_days: int
    numerator: int
    denominator: int


@dataclass(frozen=True)
class Reference:
    """What was before the pilot, or a national figure."""

    kind: str
    kpi: str
    label_nl: str
    low_value: Decimal
    high_value: Decimal
    is_comparable: bool
    remark_nl: str | None
    valid_from: date
    citation: str


@dataclass(frozen=True)
class TrendPoint:
    """One KPI in one month up to this one."""

    signal_month: str
    kpi: str
    numerator: Decimal
    value: Decimal | None
    definition_version: str


@dataclass(frozen=True)
class Definition:
    """What a KPI means."""

    kpi: str
    label_nl: str
    formula_nl: str
    definition_version: str


@dataclass(frozen=True)
class Figures:
    """All the report says about a month."""

    kpis: Mapping[str, Kpi]
    before: Mapping[str, Kpi]
    segments: tuple[Kpi, ...]
    acceptance: tuple[Acceptance, ...]
    results: tuple[Result, ...]
    accounting: Mapping[str, Any] | None
    closures: tuple[Closure, ...]
    partners: tuple[Partner, ...]
    calling: tuple[Calling, ...]
    calling_before: tuple[str, ...]
    #: (outbound attempts, result group, records)
    attempts_per_record: tuple[tuple[int, str, int], ...]
    reach: tuple[Reach, ...]
    sources: tuple[Source, ...]
    resignals: tuple[Resignal, ...]
    references: tuple[Reference, ...]
    trend: tuple[TrendPoint, ...]
    definitions: tuple[Definition, ...]
    costs: Mapping[str, Any] | None


def read_figures(month: Month) -> Figures:
    """One snapshot of the month; empty where marts hold nothing."""
    with connect(Role.BI_READER) as connection:
        connection.execute("set transaction isolation level repeatable read")
        ask = _Asking(connection, month)
        return Figures(
            kpis={kpi.kpi: kpi for kpi in ask.rows(Kpi, _KPIS, segments="^all$")},
            before={kpi.kpi: kpi for kpi in ask.rows(Kpi, _KPIS, segments="^all$", month=str(month.previous))},
            segments=ask.rows(Kpi, _KPIS, segments="^(sector|arrears_band):"),
            acceptance=ask.rows(Acceptance, _ACCEPTANCE),
            results=ask.rows(Result, _RESULTS),
            accounting=ask.one("select * from marts.rpt_closure_accounting where signal_month = %(month)s"),
            closures=ask.rows(Closure, _CLOSURES),
            partners=ask.rows(Partner, _PARTNERS),
            calling=ask.rows(Calling, _CALLING),
            calling_before=tuple(
                script.script_version for script in ask.rows(Calling, _CALLING, month=str(month.previous))
            ),
            attempts_per_record=ask.tuples(_ATTEMPTS),
            reach=ask.rows(Reach, _REACH),
            sources=ask.rows(Source, _SOURCES),
            resignals=ask.rows(Resignal, _RESIGNALS),
            references=ask.rows(Reference, _REFERENCES),
            trend=ask.rows(
                TrendPoint, _TREND, since=str(month.plus(1 - MONTHS_IN_TREND)), kpis=[*TREND, "help_accepted_of_all"]
            ),
            definitions=ask.rows(Definition, _DEFINITIONS),
            costs=ask.one("select * from marts.kpi_cost_monthly where signal_month = %(month)s"),
        )


@dataclass(frozen=True)
class _Asking:
    """Questions about one month in one transaction."""

    connection: psycopg.Connection
    month: Month

    def rows(self, kind: type[Any], query: str, **more: Any) -> tuple[Any, ...]:
        with self.connection.cursor(row_factory=class_row(kind)) as cursor:
            return tuple(cursor.execute(query, {"month": str(self.month)} | more).fetchall())

    def one(self, query: str) -> Mapping[str, Any] | None:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, {"month": str(self.month)}).fetchone()

    def tuples(self, query: str) -> tuple[Any, ...]:
        return tuple(self.connection.execute(query, {"month": str(self.month)}).fetchall())


_KPIS = """
select
    kpis.kpi, kpis.segment, kpis.numerator, kpis.denominator, kpis.value, kpis.unit, kpis.definition_version,
    intervals.lower_bound, intervals.upper_bound, coalesce(intervals.is_small, false) as is_small
from marts.kpi_monthly as kpis
left join marts.kpi_intervals_monthly as intervals
    on intervals.signal_month = kpis.signal_month and intervals.kpi = kpis.kpi and intervals.segment = kpis.segment
where kpis.signal_month = %(month)s and kpis.segment ~ %(segments)s
order by kpis.segment, kpis.kpi
"""

_ACCEPTANCE = """
select label_nl, numerator, denominator, value, lower_bound, upper_bound
from marts.kpi_acceptance_monthly where signal_month = %(month)s and segment = 'all' order by basis_order
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
    quality.rows_loaded, quality.rows_quarantined, quality.rows_duplicate, quality.signals, quality.signals_usable,
    quality.signals_picked_up, quality.signals_without_phone, quality.deliveries_late, quality.is_missing_on_deadline,
    quality.quality_score
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

_REACH = """
select part_of_day, attempt_order, numerator, denominator
from marts.kpi_reach_by_attempt_monthly where signal_month = %(month)s
order by array_position(array['Ochtend', 'Middag', 'Avond'], part_of_day), attempt_order
"""

_SOURCES = """
select
    origin, source, match_level, persons_requested, persons_found, numbers_called, numbers_reached, numbers_wrong_person
from marts.kpi_enrichment_monthly where signal_month = %(month)s
order by origin desc, source, match_level
"""

_RESIGNALS = """
select outcome_kind, horizon_days, sum(numerator)::integer as numerator, sum(denominator)::integer as denominator
from marts.kpi_resignal_monthly where signal_month <= %(month)s and same = 'person'
group by 1, 2
order by array_position(array['help_accepted', 'refused_help', 'not_reached', 'other'], outcome_kind), horizon_days
"""

# a national figure stands in a report once its year has begun
_REFERENCES = """
select kind, kpi, label_nl, low_value, high_value, is_comparable, remark_nl, valid_from, citation
from marts.dim_reference_line where valid_from <= to_date(%(month)s, 'YYYY-MM')
order by kind, kpi, valid_from desc, label_nl
"""

_TREND = """
select signal_month, kpi, numerator, value, definition_version
from marts.kpi_monthly
where signal_month between %(since)s and %(month)s and segment = 'all' and kpi = any(%(kpis)s)
order by signal_month, array_position(%(kpis)s, kpi)
"""

_DEFINITIONS = """
select defined.kpi, defined.label_nl, defined.formula_nl, defined.definition_version
from marts.dim_kpi as defined
where exists (
    select 1 from marts.kpi_monthly as kpis
    where kpis.signal_month = %(month)s and kpis.kpi = defined.kpi
        and kpis.definition_version = defined.definition_version
)
order by defined.kpi_order
"""
