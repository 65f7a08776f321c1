-- The numbers partners gave for a person: this month's signals first, then the same person's earlier signals within the
-- months persons are recognised over. A number that turned out to be somebody else's, or no number at all, is never used
-- for that person again.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}]) }}

with persons as (
    select case_id, person_id from {{ ref('int_case_persons') }} where signal_month = {{ month() }}
),

lookback as (
    select to_char({{ month_start() }} - make_interval(months => max(threshold)::integer), 'YYYY-MM') as first_month
    from {{ ref('match_rules') }} as match_rules
    where rule_id = 'lookback_months' and {{ in_force('match_rules', month_start()) }}
),

numbers as (
    select
        persons.case_id, persons.person_id, given.phone, signals.signal_month, signals.signal_on,
        given.position, signals.signal_id
    from persons
    inner join {{ ref('int_signals__matched') }} as signals on signals.person_id = persons.person_id
    cross join lateral (values (1, signals.phone_1), (2, signals.phone_2)) as given (position, phone)
    where
        given.phone is not null
        and signals.signal_month <= {{ month() }}
        and signals.signal_month >= (select first_month from lookback)
)

select distinct on (numbers.case_id, numbers.person_id, numbers.phone)
    {{ month() }}::text as signal_month,
    numbers.case_id,
    numbers.person_id,
    numbers.phone,
    case when numbers.signal_month = {{ month() }} then 'own' else 'earlier' end as source,
    numbers.signal_on as matched_on,
    numbers.position
from numbers
left join {{ ref('int_phones__unusable') }} as unusable
    on unusable.signal_month = {{ month() }}
    and unusable.person_id = numbers.person_id
    and unusable.phone = numbers.phone
where unusable.phone is null
order by
    numbers.case_id, numbers.person_id, numbers.phone,
    numbers.signal_month desc, numbers.position, numbers.signal_on desc, numbers.signal_id
