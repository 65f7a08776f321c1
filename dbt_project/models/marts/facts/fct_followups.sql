-- One row per follow-up by Kwadraad of a case of the month, in its newest version.
select
    cases.signal_month,
    followups.followup_id,
    followups.case_id,
    followups.kind,
    followups.started_on,
    followups.ended_on,
    followups.ended_on is null as is_open,
    followups.ended_on - followups.started_on as duration_days
from {{ ref('int_cases') }} as cases
inner join {{ ref('stg_ris_followups') }} as followups on followups.case_id = cases.case_id
where cases.signal_month = {{ month() }}
