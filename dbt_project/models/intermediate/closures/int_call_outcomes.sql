-- What came of each call record: its newest outcome with the code list of its month, and its attempts counted.
-- A view over all months; a condition on signal_month reaches the indexes of landing through it.
{{ config(materialized='view', tags=['foundation']) }}

with outcomes as (
    select
        outcomes.*,
        row_number() over (
            partition by outcomes.signal_month, outcomes.call_record_id
            order by outcomes.updated_at desc, outcomes.outcome_id desc
        ) as newest_first
    from {{ ref('stg_ris_outcomes') }} as outcomes
)

select
    outcomes.signal_month,
    outcomes.case_id,
    outcomes.call_record_id,
    outcomes.outcome_id,
    outcomes.result_code,
    codes.result_group,
    codes.ddas_result,
    codes.case_priority,
    coalesce(codes.is_invalid_number, false) as is_invalid_number,
    outcomes.result_at,
    {{ local_time('outcomes.result_at') }}::date as result_on,
    coalesce(outcomes.script_version, call_records.script_version) as script_version,
    outcomes.callback_part_of_day,
    coalesce(
        outcomes.callback_part_of_day, outcomes.callback_from::text, outcomes.callback_on::text
    ) is not null as has_callback_preference,
    attempts.outbound_attempts,
    attempts.inbound_attempts,
    attempts.last_outbound_at,
    attempts.last_inbound_at,
    call_records.is_withdrawn
from outcomes
inner join {{ ref('stg_call_records') }} as call_records
    on call_records.call_record_id = outcomes.call_record_id and call_records.signal_month = outcomes.signal_month
-- lateral, so that attempts are looked up by record even while freshly loaded tables have no statistics yet
cross join lateral (
    select
        (count(*) filter (where direction = 'outbound'))::integer as outbound_attempts,
        (count(*) filter (where direction = 'inbound'))::integer as inbound_attempts,
        max(started_at) filter (where direction = 'outbound') as last_outbound_at,
        max(started_at) filter (where direction = 'inbound') as last_inbound_at
    from {{ ref('stg_ris_attempts') }} as made
    where made.call_record_id = outcomes.call_record_id and made.signal_month = outcomes.signal_month
) as attempts
left join {{ ref('result_codes') }} as codes
    on codes.code = outcomes.result_code and {{ in_force('codes', first_day_of('outcomes.signal_month')) }}
where outcomes.newest_first = 1
