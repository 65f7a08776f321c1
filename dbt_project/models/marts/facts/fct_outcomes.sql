-- One row per delivered call record with an outcome (its newest). A withdrawn record that got an outcome all the same is
-- kept and flagged; no KPI counts it.
select
    signal_month,
    call_record_id,
    case_id,
    outcome_id,
    result_code,
    result_group,
    ddas_result,
    result_at,
    result_on,
    script_version,
    result_group in ('positive', 'negative') as is_spoken,
    result_group = 'positive' as is_help_accepted,
    is_invalid_number,
    has_callback_preference,
    callback_part_of_day,
    outbound_attempts,
    inbound_attempts,
    is_withdrawn
from {{ ref('int_call_outcomes') }}
where signal_month = {{ month() }}
