-- Every signal as DDAS v1.2 wants it. The BSN is nowhere outside landing's raw rows, so the client is told by address
-- (BSN xor address). Whole euros, half up. A case that turned out not to be for us ("Niet opgepakt: …" as end result) says so
-- of its signals as well: status and result agree.
{{ config(tags=['marts']) }}

with not_picked_up as (
    select signal_month, case_id, ddas_result
    from {{ ref('fct_month_end_closures') }}
    where state = 'closed' and ddas_result like 'Niet opgepakt%'
)

select
    signals.signal_month,
    signals.signal_id,
    is_crisis,
    is_warm_handover,
    round(arrears_eur)::integer as amount_eur,
    arrears_since_on,
    signal_on,
    coalesce(not_picked_up.ddas_result, signals.status) as status,
    sector as partner_type,
    postcode,
    house_number::text as house_number,
    nullif(left(concat(house_letter, house_number_addition), 4), '') as house_number_addition,
    birth_on,
    case gender when 'M' then 'Man' when 'V' then 'Vrouw' when 'O' then 'Onbekend' else 'Leeg' end as gender
from {{ ref('int_signals__matched') }} as signals
left join not_picked_up
    on not_picked_up.case_id = signals.case_id and not_picked_up.signal_month = signals.signal_month
