-- Every case as DDAS v1.2 wants it (vroegsignaalzaak). The dossier is made the moment the case is picked up, so
-- matching day and day of picking up are the same. A case has an end result once RIS has closed it.
{{ config(tags=['marts']) }}

with signals as (
    select signal_month, case_id, array_agg(signal_id order by signal_id) as signal_ids
    from {{ ref('int_signals__matched') }}
    where case_id is not null
    group by signal_month, case_id
)

select
    cases.signal_month,
    cases.case_id,
    case when closures.state = 'closed' then closures.ddas_result end as result,
    cases.opened_on as matched_on,
    {{ first_day_of('cases.signal_month') }} as matching_starts_on,
    ({{ first_day_of('cases.signal_month') }} + interval '1 month' - interval '1 day')::date as matching_ends_on,
    case when closures.state = 'closed' and closures.ddas_result like 'Niet opgepakt%' then null else cases.opened_on end
        as picked_up_on,
    signals.signal_ids
from {{ ref('int_cases') }} as cases
inner join signals on signals.case_id = cases.case_id and signals.signal_month = cases.signal_month
left join {{ ref('fct_month_end_closures') }} as closures
    on closures.case_id = cases.case_id and closures.signal_month = cases.signal_month
