-- The pilot's dashboard: records with an outcome per group and code, also the codes nobody got.
{{ config(month_column='period') }}

with outcomes as (
    select result_code, count(*)::integer as records
    from {{ ref('fct_outcomes') }}
    where signal_month = {{ month() }} and not is_withdrawn
    group by result_code
)

select
    {{ month() }}::text as period,
    codes.result_group,
    codes.code as result_code,
    coalesce(outcomes.records, 0) as records
from {{ ref('result_codes') }} as codes
left join outcomes on outcomes.result_code = codes.code
where {{ in_force('codes', month_start()) }}
