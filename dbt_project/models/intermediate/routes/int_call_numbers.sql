-- Which number is called for whom: a number shared by several persons to call is called once this month, for one of them.
-- It goes to who has already been handed over with a call list, then to whose own number it is, then to the surest match,
-- then to the larger arrears; the others keep their other numbers, or get a letter.
{{ config(tags=["categorised"], indexes=[{"columns": ["signal_month"]}], sql_header=set_wise()) }}

with to_call as (
    select persons.case_id, persons.person_id, persons.arrears_eur, call_records.call_record_id is not null as is_delivered
    from {{ ref('int_routes__direct') }} as direct
    inner join {{ ref('int_case_persons') }} as persons
        on persons.case_id = direct.case_id and persons.person_id = direct.person_id and persons.signal_month = {{ month() }}
    left join {{ ref('stg_call_records') }} as call_records
        on call_records.call_record_id = persons.call_record_id and not call_records.is_withdrawn
    where direct.signal_month = {{ month() }} and direct.rule_id is null
),

given as (
    select distinct on (phones.phone)
        phones.phone, phones.case_id, phones.person_id, phones.preference
    from {{ ref('int_phones') }} as phones
    inner join to_call on to_call.case_id = phones.case_id and to_call.person_id = phones.person_id
    where phones.signal_month = {{ month() }}
    order by
        phones.phone, to_call.is_delivered desc, phones.is_own desc, phones.match_level = 'person' desc nulls last,
        phones.confidence desc nulls last, phones.preference, to_call.arrears_eur desc, phones.person_id
)

select
    {{ month() }}::text as signal_month,
    case_id, person_id, phone,
    row_number() over (partition by case_id, person_id order by preference)::integer as position
from given
