-- What the caller did, per script: contract (hours, attempts, spread over the day) beside result. Withdrawn records count
-- nowhere.
with delivered as (
    select
        coalesce(outcomes.script_version, records.script_version) as script_version,
        count(*)::integer as records_delivered
    from {{ ref('stg_call_records') }} as records
    left join {{ ref('fct_outcomes') }} as outcomes
        on outcomes.call_record_id = records.call_record_id and outcomes.signal_month = records.signal_month
    where records.signal_month = {{ month() }} and not records.is_withdrawn
    group by 1
),

call_rules as (
    select rules.max_attempts
    from {{ ref('call_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
),

per_number as (
    select
        call_record_id,
        number_no,
        count(*) as attempts,
        count(*) filter (where is_outside_hours) as outside_hours,
        count(*) filter (where outside_reason in ('sunday', 'public_holiday')) as on_free_days,
        array_agg(distinct part_of_day) as parts_of_day
    from {{ ref('fct_contact_attempts') }}
    where signal_month = {{ month() }} and direction = 'outbound' and not is_withdrawn
    group by call_record_id, number_no
),

per_record as (
    select
        per_number.call_record_id,
        count(*) filter (where per_number.attempts > call_rules.max_attempts) as numbers_over_maximum,
        sum(per_number.outside_hours) as outside_hours,
        sum(per_number.on_free_days) as on_free_days,
        -- all its numbers were tried in one and the same part of the day
        min(per_number.parts_of_day) = max(per_number.parts_of_day) and max(cardinality(per_number.parts_of_day)) = 1
            as is_one_part_of_day
    from per_number
    cross join call_rules
    group by per_number.call_record_id
),

called as (
    select
        outcomes.script_version,
        count(*)::integer as records_with_outcome,
        (count(*) filter (where outcomes.is_spoken))::integer as records_spoken,
        (count(*) filter (where outcomes.result_group = 'not_reached'))::integer as records_not_reached,
        (count(*) filter (where outcomes.is_help_accepted))::integer as records_help_accepted,
        sum(outcomes.outbound_attempts)::integer as outbound_attempts,
        sum(outcomes.inbound_attempts)::integer as inbound_callbacks,
        coalesce(sum(per_record.outside_hours), 0)::integer as attempts_outside_hours,
        coalesce(sum(per_record.on_free_days), 0)::integer as attempts_on_free_days,
        coalesce(sum(per_record.numbers_over_maximum), 0)::integer as numbers_over_maximum_attempts,
        (count(*) filter (where outcomes.outbound_attempts + outcomes.inbound_attempts = 0))::integer
            as records_without_attempt,
        (count(*) filter (where outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number))::integer
            as not_reached_valid_number,
        (count(*) filter (
            where outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number
            and outcomes.outbound_attempts < call_rules.max_attempts
        ))::integer as not_reached_under_maximum_attempts,
        (count(*) filter (
            where outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number
            and per_record.is_one_part_of_day
        ))::integer as not_reached_one_part_of_day
    from {{ ref('fct_outcomes') }} as outcomes
    cross join call_rules
    left join per_record on per_record.call_record_id = outcomes.call_record_id
    where outcomes.signal_month = {{ month() }} and not outcomes.is_withdrawn
    group by outcomes.script_version
),

counted as (
    select
        delivered.script_version,
        delivered.records_delivered,
        coalesce(called.records_with_outcome, 0) as records_with_outcome,
        coalesce(called.records_spoken, 0) as records_spoken,
        coalesce(called.records_not_reached, 0) as records_not_reached,
        coalesce(called.records_help_accepted, 0) as records_help_accepted,
        coalesce(called.outbound_attempts, 0) as outbound_attempts,
        coalesce(called.inbound_callbacks, 0) as inbound_callbacks,
        coalesce(called.attempts_outside_hours, 0) as attempts_outside_hours,
        coalesce(called.attempts_on_free_days, 0) as attempts_on_free_days,
        coalesce(called.numbers_over_maximum_attempts, 0) as numbers_over_maximum_attempts,
        coalesce(called.records_without_attempt, 0) as records_without_attempt,
        coalesce(called.not_reached_valid_number, 0) as not_reached_valid_number,
        coalesce(called.not_reached_under_maximum_attempts, 0) as not_reached_under_maximum_attempts,
        coalesce(called.not_reached_one_part_of_day, 0) as not_reached_one_part_of_day
    from delivered
    left join called on called.script_version = delivered.script_version
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
