-- Every contact by telephone as DDAS v1.2 wants it: no phone number, no text. Attempts of ours, and calls back in which
-- the resident was spoken (DDAS counts reach by `bereikt`, and a call back is no attempt of ours when nobody spoke).
{{ config(tags=['marts']) }}

select
    signal_month,
    case_id,
    'Telefoon' as contact_kind,
    is_reached,
    started_on as attempted_on,
    part_of_day
from {{ ref('fct_contact_attempts') }}
where direction = 'outbound' or is_reached
