-- One row per loaded signal of the month (its newest correction), picked up or not.
select
    signal_month,
    signal_id,
    partner,
    sector,
    signal_on,
    arrears_since_on,
    signal_on - arrears_since_on as arrears_days,
    arrears_eur,
    status,
    status_rule_id,
    case_id is not null as is_picked_up,
    case_id,
    is_resident,
    is_crisis,
    is_warm_handover,
    phone_1 is not null or phone_2 is not null as has_phone,
    birth_on is not null as has_birth_date,
    bsn_key is not null as has_bsn,
    match_tier
from {{ ref('int_signals__matched') }}
where signal_month = {{ month() }}
