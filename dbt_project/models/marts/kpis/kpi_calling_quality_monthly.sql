-- What the caller did, per script: contract (hours, attempts, spread over the day) beside result. Withdrawn records count
-- nowhere.
with records as (
    select
        records.call_record_id,
        coalesce(outcomes.script_version, records.script_version) as script_version,
        outcomes.call_record_id is not null as has_outcome,
        outcomes.result_group,
        outcomes.is_spoken,
        outcomes.is_help_accepted,
        outcomes.is_invalid_number,
        outcomes.outbound_attempts,
        outcomes.inbound_attempts
    from {{ ref('stg_call_records') }} as records
    left join {{ ref('fct_outcomes') }} as outcomes
        on outcomes.call_record_id = records.call_record_id and outcomes.signal_month = records.signal_month
    where records.signal_month = {{ month() }} and not records.is_withdrawn
),

call_rules as (
    select rules.max_attempts
    from {{ ref('call_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
),

numbers as (
    select call_record_id, number_no, count(*) as attempts
    from {{ ref('fct_contact_attempts') }}
    where signal_month = {{ month() }} and direction = 'outbound'
    group by call_record_id, number_no
),

numbers_over as (
    select numbers.call_record_id, count(*) as numbers_over_maximum
    from numbers
    cross join call_rules
    where numbers.attempts > call_rules.max_attempts
    group by numbers.call_record_id
),

spread as (
    select
        call_record_id,
        count(distinct part_of_day) as parts_of_day,
        count(*) filter (where is_outside_hours) as attempts_outside_hours,
        count(*) filter (where outside_reason in ('sunday', 'public_holiday')) as attempts_on_free_days
    from {{ ref('fct_contact_attempts') }}
    where signal_month = {{ month() }} and direction = 'outbound'
    group by call_record_id
),

counted as (
    select
        records.script_version,
        count(*)::integer as records_delivered,
        (count(*) filter (where records.has_outcome))::integer as records_with_outcome,
        (count(*) filter (where records.is_spoken))::integer as records_spoken,
        (count(*) filter (where records.result_group = 'not_reached'))::integer as records_not_reached,
        (count(*) filter (where records.is_help_accepted))::integer as records_help_accepted,
        coalesce(sum(records.outbound_attempts), 0)::integer as outbound_attempts,
        coalesce(sum(records.inbound_attempts), 0)::integer as inbound_callbacks,
        coalesce(sum(spread.attempts_outside_hours), 0)::integer as attempts_outside_hours,
        coalesce(sum(spread.attempts_on_free_days), 0)::integer as attempts_on_free_days,
        coalesce(sum(numbers_over.numbers_over_maximum), 0)::integer as numbers_over_maximum_attempts,
        (count(*) filter (where records.has_outcome and records.outbound_attempts + records.inbound_attempts = 0))::integer
            as records_without_attempt,
        (count(*) filter (where records.result_group = 'not_reached' and not records.is_invalid_number))::integer
            as not_reached_valid_number,
        (count(*) filter (
            where records.result_group = 'not_reached' and not records.is_invalid_number
            and records.outbound_attempts < call_rules.max_attempts
        ))::integer as not_reached_under_maximum_attempts,
        (count(*) filter (
            where records.result_group = 'not_reached' and not records.is_invalid_number and spread.parts_of_day = 1
        ))::integer as not_reached_one_part_of_day
    from records
    cross join call_rules
    left join spread on spread.call_record_id = records.call_record_id
    left join numbers_over on numbers_over.call_record_id = records.call_record_id
    group by records.script_version
)

select
    {{ month() }}::text as signal_month,
    counted.*,
    records_spoken::numeric / nullif(records_with_outcome, 0) as spoken_share,
    records_help_accepted::numeric / nullif(records_spoken, 0) as help_accepted_of_spoken_share,
    outbound_attempts::numeric / nullif(records_with_outcome, 0) as attempts_per_record,
    attempts_outside_hours::numeric / nullif(outbound_attempts, 0) as outside_hours_share,
    not_reached_under_maximum_attempts::numeric / nullif(not_reached_valid_number, 0) as under_maximum_attempts_share
from counted
