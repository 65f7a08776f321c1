-- What the caller did, per script: contract (hours, attempts per number, spread over the day) beside result. Withdrawn
-- records count nowhere, except where it is asked whether one was called all the same. Cuts by sector, partner and part of
-- the day: kpi_monthly.
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
        count(*) filter (where outside_reason = 'sunday') as on_sundays,
        count(*) filter (where outside_reason = 'public_holiday') as on_public_holidays,
        count(*) filter (where not is_delivered_number) as to_other_number,
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
        sum(per_number.on_sundays) as on_sundays,
        sum(per_number.on_public_holidays) as on_public_holidays,
        sum(per_number.to_other_number) as to_other_number,
        count(*) as numbers,
        -- all its numbers were tried in one and the same part of the day
        min(per_number.parts_of_day) = max(per_number.parts_of_day) and max(cardinality(per_number.parts_of_day)) = 1
            as is_one_part_of_day
    from per_number
    cross join call_rules
    group by per_number.call_record_id
),

spread as (
    select call_record_id, count(distinct part_of_day) as parts_of_day
    from {{ ref('fct_contact_attempts') }}
    where signal_month = {{ month() }} and direction = 'outbound' and not is_withdrawn
    group by call_record_id
),

parts as (
    select count(*) as parts_of_day
    from {{ ref('parts_of_day') }} as parts
    where {{ in_force('parts', month_start()) }}
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
        coalesce(sum(per_record.on_sundays + per_record.on_public_holidays), 0)::integer as attempts_on_free_days,
        coalesce(sum(per_record.on_sundays), 0)::integer as attempts_on_sundays,
        coalesce(sum(per_record.on_public_holidays), 0)::integer as attempts_on_public_holidays,
        coalesce(sum(per_record.to_other_number), 0)::integer as attempts_to_other_numbers,
        coalesce(sum(per_record.numbers), 0)::integer as numbers_called,
        (count(*) filter (where outcomes.inbound_attempts > 0))::integer as records_with_callback,
        (count(*) filter (where outcomes.script_version <> records.script_version))::integer as records_with_other_script,
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
        ))::integer as not_reached_one_part_of_day,
        (count(*) filter (
            where outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number
            and spread.parts_of_day >= parts.parts_of_day
        ))::integer as not_reached_every_part_of_day
    from {{ ref('fct_outcomes') }} as outcomes
    inner join {{ ref('stg_call_records') }} as records on records.call_record_id = outcomes.call_record_id
    cross join call_rules
    cross join parts
    left join per_record on per_record.call_record_id = outcomes.call_record_id
    left join spread on spread.call_record_id = outcomes.call_record_id
    where outcomes.signal_month = {{ month() }} and not outcomes.is_withdrawn
    group by outcomes.script_version
),

-- called, although we had taken the record back: nobody is billed for it, and nobody should have called
withdrawn as (
    select script_version, (count(*) filter (where outbound_attempts > 0))::integer as withdrawn_records_called
    from {{ ref('fct_outcomes') }}
    where signal_month = {{ month() }} and is_withdrawn
    group by script_version
),

scripts as (
    select script_version from delivered
    union
    select script_version from withdrawn
),

counted as (
    select
        scripts.script_version,
        coalesce(delivered.records_delivered, 0) as records_delivered,
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
        coalesce(called.not_reached_one_part_of_day, 0) as not_reached_one_part_of_day,
        coalesce(called.not_reached_every_part_of_day, 0) as not_reached_every_part_of_day,
        coalesce(called.numbers_called, 0) as numbers_called,
        coalesce(called.attempts_on_sundays, 0) as attempts_on_sundays,
        coalesce(called.attempts_on_public_holidays, 0) as attempts_on_public_holidays,
        coalesce(called.attempts_to_other_numbers, 0) as attempts_to_other_numbers,
        coalesce(called.records_with_callback, 0) as records_with_callback,
        coalesce(called.records_with_other_script, 0) as records_with_other_script,
        coalesce(withdrawn.withdrawn_records_called, 0) as withdrawn_records_called
    from scripts
    left join delivered on delivered.script_version = scripts.script_version
    left join called on called.script_version = scripts.script_version
    left join withdrawn on withdrawn.script_version = scripts.script_version
)

select
    {{ month() }}::text as signal_month,
    counted.*,
    records_spoken::numeric / nullif(records_with_outcome, 0) as spoken_share,
    records_help_accepted::numeric / nullif(records_spoken, 0) as help_accepted_of_spoken_share,
    outbound_attempts::numeric / nullif(records_with_outcome, 0) as attempts_per_record,
    outbound_attempts::numeric / nullif(numbers_called, 0) as attempts_per_number,
    attempts_outside_hours::numeric / nullif(outbound_attempts, 0) as outside_hours_share,
    not_reached_under_maximum_attempts::numeric / nullif(not_reached_valid_number, 0) as under_maximum_attempts_share
from counted
