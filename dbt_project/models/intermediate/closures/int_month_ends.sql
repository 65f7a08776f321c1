-- When a month can be closed: on the first working day after it (no weekend, no public holiday).
{{ config(materialized='table', tags=['foundation']) }}

with months as (
    select first_day::date as starts_on, (first_day + interval '1 month')::date as next_starts_on
    from generate_series(
        (select date_trunc('year', min(holiday_on)) from {{ ref('public_holidays') }}),
        -- the last month's closing day lies in a year without holidays listed
        (select date_trunc('year', max(holiday_on)) + interval '10 months' from {{ ref('public_holidays') }}),
        interval '1 month'
    ) as series (first_day)
),

working_days as (
    select day::date as working_day
    from generate_series(
        (select min(starts_on) from months), (select max(next_starts_on) from months) + 15, interval '1 day'
    ) as series (day)
    where extract(isodow from day) < 6
        and not exists (select 1 from {{ ref('public_holidays') }} as holidays where holidays.holiday_on = day::date)
)

select
    to_char(months.starts_on, 'YYYY-MM') as signal_month,
    months.starts_on,
    months.next_starts_on - 1 as ends_on,
    (count(*) filter (where working_days.working_day < months.next_starts_on))::integer as working_days,
    min(working_days.working_day) filter (where working_days.working_day >= months.next_starts_on) as closes_on
from months
inner join working_days
    on working_days.working_day >= months.starts_on and working_days.working_day < months.next_starts_on + 15
group by months.starts_on, months.next_starts_on
