-- The newest decision about each escalation candidate.
select distinct on (call_record_id)
    call_record_id, case_id, signal_month, decision, recipient, ground, decided_at
from {{ source('ops', 'escalation_decisions') }}
order by call_record_id, decision_id desc
