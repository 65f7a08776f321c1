-- The calendar of signal months; its range is that of the public holidays we know.
{{ config(materialized='table') }}

select
    signal_month,
    starts_on,
    ends_on,
    extract(year from starts_on)::integer as calendar_year,
    extract(quarter from starts_on)::integer as calendar_quarter,
    extract(month from starts_on)::integer as month_number,
    (array[
        'januari', 'februari', 'maart', 'april', 'mei', 'juni', 'juli', 'augustus', 'september', 'oktober', 'november',
        'december'
    ])[extract(month from starts_on)::integer] || ' ' || to_char(starts_on, 'YYYY') as label_nl,
    working_days,
    closes_on
from {{ ref('int_month_ends') }}
