-- The newest version of every follow-up.
select
    followup_id, updated_at, case_id, kind, started_on, ended_on, source
from {{ source('landing', 'ris_followups') }} as followups
where not exists (
    select 1
    from {{ source('landing', 'ris_followups') }} as newer
    where newer.followup_id = followups.followup_id and newer.updated_at > followups.updated_at
)
