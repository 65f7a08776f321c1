-- The newest version of every outcome, of call records we delivered. `not exists` (not a window) lets a question about one
-- month walk from its call records along the index, however many years of outcomes there are.
select
    outcomes.outcome_id, outcomes.updated_at, outcomes.call_record_id, call_records.case_id, call_records.signal_month,
    outcomes.result_code, outcomes.result_at, outcomes.script_version,
    outcomes.callback_part_of_day, outcomes.callback_from, outcomes.callback_until, outcomes.callback_on,
    outcomes.situation_summary, outcomes.source
from {{ source('landing', 'ris_outcomes') }} as outcomes
inner join {{ source('ops', 'call_records') }} as call_records
    on call_records.call_record_id = outcomes.call_record_id
where not exists (
    select 1
    from {{ source('landing', 'ris_outcomes') }} as newer
    where newer.outcome_id = outcomes.outcome_id and newer.updated_at > outcomes.updated_at
)
