-- The attempts of the newest version of every outcome.
select
    attempts.attempt_id, attempts.outcome_id, outcomes.call_record_id, outcomes.case_id, outcomes.signal_month,
    attempts.attempt_no, attempts.direction, attempts.phone, attempts.started_at, attempts.ended_at,
    attempts.reached, attempts.attempt_result
from {{ ref('stg_ris_outcomes') }} as outcomes
inner join {{ source('landing', 'ris_attempts') }} as attempts
    on attempts.outcome_id = outcomes.outcome_id and attempts.updated_at = outcomes.updated_at
