-- The books of the month's closure: opened = closed + open + excluded, in cases and in euros.
-- Opened is counted from the cases, the rest from the closures, so that a case that got lost shows. Marts hold the newest
-- version of a closed month; every version it was closed in stands in closed.rpt_closure_accounting.
with opened as (
    select count(*)::integer as cases_opened, coalesce(sum(arrears_eur), 0) as arrears_opened_eur
    from {{ ref('fct_cases') }}
    where signal_month = {{ month() }}
),

stood as (
    select
        (count(*) filter (where state = 'closed'))::integer as cases_closed,
        (count(*) filter (where state = 'open'))::integer as cases_open,
        (count(*) filter (where state = 'excluded'))::integer as cases_excluded,
        (count(*) filter (where is_reopened))::integer as cases_reopened,
        coalesce(sum(arrears_eur) filter (where state = 'closed'), 0) as arrears_closed_eur,
        coalesce(sum(arrears_eur) filter (where state = 'open'), 0) as arrears_open_eur,
        coalesce(sum(arrears_eur) filter (where state = 'excluded'), 0) as arrears_excluded_eur
    from {{ ref('fct_month_end_closures') }}
    where signal_month = {{ month() }}
),

-- the collective closure would make these disappear: they are counted here, listed there, and found by a next signal
without_help as (
    select
        (count(*) filter (where ground = 'refused'))::integer as cases_closed_refused,
        (count(*) filter (where ground = 'not_reached'))::integer as cases_closed_not_reached
    from {{ ref('rpt_closed_without_help') }}
    where signal_month = {{ month() }}
)

select
    {{ month() }}::text as signal_month,
    opened.cases_opened,
    stood.cases_closed,
    stood.cases_open,
    stood.cases_excluded,
    opened.cases_opened - stood.cases_closed - stood.cases_open - stood.cases_excluded as cases_unaccounted,
    stood.cases_reopened,
    without_help.cases_closed_refused,
    without_help.cases_closed_not_reached,
    opened.arrears_opened_eur,
    stood.arrears_closed_eur,
    stood.arrears_open_eur,
    stood.arrears_excluded_eur
from opened
cross join stood
cross join without_help
