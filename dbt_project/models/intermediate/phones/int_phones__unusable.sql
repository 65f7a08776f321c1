-- Numbers that earlier calls showed to be somebody else's, or no number, per person of this month. When the caller said of
-- which attempt, that number; else every number dialled for that outcome: rather a letter than a stranger on the phone.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}]) }}

with persons as (
    select person_id, person_id as known_as from {{ ref('int_case_persons') }} where signal_month = {{ month() }}
    union
    select moves.person_id, moves.earlier_person_id
    from {{ ref('int_person_moves') }} as moves
    inner join {{ ref('int_case_persons') }} as case_persons
        on case_persons.person_id = moves.person_id and case_persons.signal_month = {{ month() }}
    where moves.signal_month <= {{ month() }}
),

dialled as (
    select
        persons.person_id, attempts.phone, outcomes.outcome_id, consequences.result_code,
        bool_or(attempts.attempt_result = consequences.result_code) as is_named,
        bool_or(bool_or(attempts.attempt_result = consequences.result_code)) over (
            partition by persons.person_id, outcomes.outcome_id
        ) as is_any_named
    from persons
    inner join {{ ref('int_signals__matched') }} as earlier
        on earlier.person_id = persons.known_as and earlier.signal_month < {{ month() }}
    inner join {{ ref('stg_ris_outcomes') }} as outcomes on outcomes.call_record_id = earlier.call_record_id
    inner join {{ ref('outcome_consequences') }} as consequences
        on consequences.result_code = outcomes.result_code
        and consequences.consequence = 'number_unusable'
        and {{ in_force('consequences', month_start()) }}
    inner join {{ ref('stg_ris_attempts') }} as attempts on attempts.outcome_id = outcomes.outcome_id
    where
        attempts.phone is not null
        and attempts.direction = 'outbound'
        and {{ local_time('outcomes.result_at') }}::date < {{ month_start() }}
    group by persons.person_id, attempts.phone, outcomes.outcome_id, consequences.result_code
)

select distinct {{ month() }}::text as signal_month, person_id, phone
from dialled
where is_named or not coalesce(is_any_named, false)
