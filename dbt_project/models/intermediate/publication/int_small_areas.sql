-- What there is to publish below the municipality, before small numbers are taken out: tables of areas (PC4) by category,
-- every combination, also the empty ones. Only in the last month of a publication period, so that periods never overlap: of
-- two overlapping tables the difference can be taken.
{{ config(tags=["marts"], indexes=[{"columns": ["signal_month"]}]) }}

with period as (
    select
        to_char({{ month_start() }} - make_interval(months => rules.threshold::integer - 1), 'YYYY-MM') as first_month
    from {{ ref('small_number_rules') }} as rules
    where rules.rule_id = 'publication_months'
        and {{ in_force('rules', month_start()) }}
        and extract(month from {{ month_start() }})::integer % rules.threshold::integer = 0
),

areas as (
    select pc4::text as area
    from {{ ref('municipality_postcodes') }} as postcodes
    cross join lateral generate_series(postcodes.pc4_from, postcodes.pc4_until) as numbers (pc4)
    where {{ in_force('postcodes', month_start()) }}
),

signals as (
    select left(signals.postcode, 4) as area, signals.sector as category, count(*) as counted
    from {{ ref('int_signals__matched') }} as signals
    inner join period on signals.signal_month between period.first_month and {{ month() }}
    where signals.is_resident
    group by 1, 2
),

-- one way a case: the most telling result of its calls, or that nobody called
case_results as (
    select
        left(cases.postcode, 4) as area,
        case
            when bool_or(outcomes.result_group = 'positive') then 'help_accepted'
            when bool_or(outcomes.result_group = 'negative') then 'spoken'
            when count(outcomes.call_record_id) > 0 then 'not_reached'
            else 'not_called'
        end as category
    from {{ ref('int_cases') }} as cases
    inner join period on cases.signal_month between period.first_month and {{ month() }}
    left join {{ ref('int_call_outcomes') }} as outcomes
        on outcomes.case_id = cases.case_id and outcomes.signal_month = cases.signal_month and not outcomes.is_withdrawn
    group by cases.signal_month, cases.case_id, left(cases.postcode, 4)
),

counted as (
    select 'signals' as subject, area, category, counted from signals
    union all
    select 'cases', area, category, count(*) from case_results group by area, category
),

combinations as (
    select 'signals' as subject, areas.area, windows.sector as category
    from areas
    cross join (
        select windows.sector from {{ ref('arrears_windows') }} as windows where {{ in_force('windows', month_start()) }}
        union
        select category from signals
    ) as windows
    union all
    select 'cases', areas.area, results.category
    from areas
    cross join (values ('help_accepted'), ('spoken'), ('not_reached'), ('not_called')) as results (category)
)

select
    {{ month() }}::text as signal_month,
    combinations.subject,
    combinations.area,
    combinations.category,
    coalesce(counted.counted, 0)::integer as counted
from combinations
cross join period
left join counted
    on counted.subject = combinations.subject
    and counted.area = combinations.area
    and counted.category = combinations.category
