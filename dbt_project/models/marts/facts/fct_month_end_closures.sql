-- How every case of the month stands: closed once RIS has accepted its closure, otherwise open or excluded, with the
-- reason. A closure RIS accepted stands as long as the month's proposal closes the case. When something became known that
-- the proposal no longer closes it for (a follow-up that runs, help accepted after all), the next version reopens the
-- case. When only the result was corrected, the case stays closed with the corrected result: RIS told it itself.
with proposed as (
    select * from {{ ref('int_closures__proposed') }} where signal_month = {{ month() }}
),

answered as (
    select distinct on (case_id)
        case_id, batch_id, ddas_result, reason, closed_on, state, rejection_reason, reopened_in_version
    from {{ ref('stg_closure_items') }}
    where signal_month = {{ month() }}
    order by case_id, (state = 'accepted' and reopened_in_version is null) desc, version desc, batch_id
),

cases as (
    select
        cases.signal_month,
        cases.case_id,
        cases.arrears_eur,
        proposed.state as proposed_state,
        proposed.reason as proposed_reason,
        proposed.rule_id,
        proposed.ddas_result as proposed_result,
        answered.state as ris_state,
        answered.reason as sent_reason,
        answered.ddas_result as sent_result,
        answered.closed_on as sent_closed_on,
        -- RIS answers with codes; anything else would be free text and stays out of marts
        substring(answered.rejection_reason from '^[a-z][a-z0-9_]{0,39}$') as ris_rejection,
        answered.batch_id,
        coalesce(answered.state, '') = 'accepted' as is_accepted,
        answered.reopened_in_version is not null or coalesce(proposed.state, 'closed') <> 'closed' as is_undone
    from {{ ref('fct_cases') }} as cases
    left join proposed on proposed.case_id = cases.case_id
    left join answered on answered.case_id = cases.case_id
    where cases.signal_month = {{ month() }}
)

select
    signal_month,
    case_id,
    case
        when is_accepted and not is_undone then 'closed'
        when proposed_state = 'excluded' then 'excluded'
        else 'open'
    end as state,
    case
        when is_accepted and not is_undone then sent_reason
        when proposed_state in ('excluded', 'open') then proposed_reason
        when ris_state = 'rejected' then coalesce(ris_rejection, 'rejected_by_ris')
        when ris_state = 'sent' then 'awaiting_ris'
        when proposed_state = 'closed' then 'not_yet_closed'
        else 'not_yet_proposed'
    end as reason,
    case when is_accepted or proposed_state is not null then rule_id end as rule_id,
    case when is_accepted and not is_undone then coalesce(proposed_result, sent_result) end as ddas_result,
    case when is_accepted and not is_undone then sent_closed_on end as closed_on,
    proposed_state,
    ris_state,
    batch_id,
    is_accepted and is_undone as is_reopened,
    is_accepted and not is_undone and proposed_result <> sent_result as is_result_corrected,
    arrears_eur
from cases
