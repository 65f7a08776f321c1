-- Every signal as DDAS v1.2 wants it. The BSN is nowhere outside landing's raw rows, so the client is told by address
-- (BSN xor address). Whole euros, half up.
{{ config(tags=['marts']) }}

select
    signal_month,
    signal_id,
    is_crisis,
    is_warm_handover,
    round(arrears_eur)::integer as amount_eur,
    arrears_since_on,
    signal_on,
    status,
    sector as partner_type,
    postcode,
    house_number::text as house_number,
    nullif(left(concat(house_letter, house_number_addition), 4), '') as house_number_addition,
    birth_on,
    case gender when 'M' then 'Man' when 'V' then 'Vrouw' when 'O' then 'Onbekend' else 'Leeg' end as gender
from {{ ref('int_signals__matched') }}
