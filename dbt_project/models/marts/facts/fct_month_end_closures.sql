-- How every case of the month stands: closed once RIS has accepted its closure, otherwise open or excluded, with the
-- reason. What RIS accepted stays closed whatever is learned later: the case's closure was that.
with proposed as (
    select * from {{ ref('int_closures__proposed') }} where signal_month = {{ month() }}
),

answered as (
    select distinct on (case_id)
        case_id, batch_id, ddas_result, reason, closed_on, state, rejection_reason
    from {{ ref('stg_closure_items') }}
    where signal_month = {{ month() }}
    order by case_id, state = 'accepted' desc, version desc, batch_id
),

cases as (
    select
        cases.signal_month,
        cases.case_id,
        cases.arrears_eur,
        proposed.state as proposed_state,
        proposed.reason as proposed_reason,
        proposed.rule_id,
        answered.state as ris_state,
        answered.reason as sent_reason,
        answered.ddas_result as sent_result,
        answered.closed_on as sent_closed_on,
        -- RIS answers with codes; anything else would be free text and stays out of marts
        substring(answered.rejection_reason from '^[a-z][a-z0-9_]{0,39}$') as ris_rejection,
        answered.batch_id
    from {{ ref('fct_cases') }} as cases
    left join proposed on proposed.case_id = cases.case_id
    left join answered on answered.case_id = cases.case_id
    where cases.signal_month = {{ month() }}
)

select
    signal_month,
    case_id,
    case
        when ris_state = 'accepted' then 'closed'
        when proposed_state = 'excluded' then 'excluded'
        else 'open'
    end as state,
    case
        when ris_state = 'accepted' then sent_reason
        when proposed_state in ('excluded', 'open') then proposed_reason
        when ris_state = 'rejected' then coalesce(ris_rejection, 'rejected_by_ris')
        when ris_state = 'sent' then 'awaiting_ris'
        when proposed_state = 'closed' then 'not_yet_closed'
        else 'not_yet_proposed'
    end as reason,
    case when ris_state = 'accepted' or proposed_state is not null then rule_id end as rule_id,
    case when ris_state = 'accepted' then sent_result end as ddas_result,
    case when ris_state = 'accepted' then sent_closed_on end as closed_on,
    proposed_state,
    ris_state,
    batch_id,
    arrears_eur
from cases
