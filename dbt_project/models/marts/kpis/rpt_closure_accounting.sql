-- The books of the month's closure: opened = closed + open + excluded, in cases and in euros.
-- Opened is counted from the cases, the rest from the closures, so that a case that got lost shows.
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
        coalesce(sum(arrears_eur) filter (where state = 'closed'), 0) as arrears_closed_eur,
        coalesce(sum(arrears_eur) filter (where state = 'open'), 0) as arrears_open_eur,
        coalesce(sum(arrears_eur) filter (where state = 'excluded'), 0) as arrears_excluded_eur
    from {{ ref('fct_month_end_closures') }}
    where signal_month = {{ month() }}
)

select
    {{ month() }}::text as signal_month,
    opened.cases_opened,
    stood.cases_closed,
    stood.cases_open,
    stood.cases_excluded,
    opened.cases_opened - stood.cases_closed - stood.cases_open - stood.cases_excluded as cases_unaccounted,
    opened.arrears_opened_eur,
    stood.arrears_closed_eur,
    stood.arrears_open_eur,
    stood.arrears_excluded_eur
from opened
cross join stood
