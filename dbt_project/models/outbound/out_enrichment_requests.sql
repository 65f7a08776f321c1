-- Whom to look up a number for: persons in a case for whom no partner gave a usable number.
{{ config(tags=["matched"], materialized="incremental", incremental_strategy="replace_month", full_refresh=false,
    on_schema_change="append_new_columns", indexes=[{"columns": ["signal_month"]}]) }}

select
    {{ month() }}::text as signal_month,
    persons.request_id,
    persons.initials,
    persons.name_prefix,
    persons.surname,
    persons.birth_on as birth_date,
    persons.postcode,
    persons.house_number,
    persons.house_letter,
    persons.house_number_addition
from {{ ref('int_case_persons') }} as persons
where
    persons.signal_month = {{ month() }}
    and not exists (
        select 1 from {{ ref('int_phones__supplied') }} as phones
        where phones.signal_month = {{ month() }} and phones.case_id = persons.case_id and phones.person_id = persons.person_id
    )
