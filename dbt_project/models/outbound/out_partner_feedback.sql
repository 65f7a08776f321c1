-- What a partner hears about each of its signals: a status from the whitelist (seed feedback_statuses), never a reason,
-- never who else reported, never what the resident said.
{{ config(tags=['categorised']) }}

with matched_on as (
    select signal_month, min(opened_on) as matched_on
    from {{ ref('int_cases') }}
    group by signal_month
)

select
    signals.signal_month,
    signals.partner,
    signals.partner_reference,
    statuses.partner_status as status,
    -- the day of the matching decided all; without any case the month has only the day of the signal
    greatest(coalesce(cases.opened_on, matched_on.matched_on, signals.signal_on), signals.signal_on) as status_on
from {{ ref('int_signals__matched') }} as signals
inner join {{ ref('feedback_statuses') }} as statuses
    on statuses.status = signals.status and {{ in_force('statuses', first_day_of('signals.signal_month')) }}
left join {{ ref('int_cases') }} as cases
    on cases.case_id = signals.case_id and cases.signal_month = signals.signal_month
left join matched_on on matched_on.signal_month = signals.signal_month
