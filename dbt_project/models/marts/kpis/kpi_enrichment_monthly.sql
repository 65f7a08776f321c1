-- What each source of phone numbers is worth: found, called, reached, and how often it was somebody else's number. Numbers
-- partners gave stand beside those that were looked up, so that one sees what enrichment adds.
-- Requested is the same for every looked-up source: the provider searches all of them for everybody asked for.
{{ config(sql_header=set_wise()) }}
with requests as (
    select requests.request_id, persons.person_id, persons.call_record_id
    from {{ ref('stg_enrichment_requests') }} as requests
    inner join {{ ref('int_case_persons') }} as persons
        on persons.request_id = requests.request_id and persons.signal_month = requests.signal_month
    where requests.signal_month = {{ month() }}
),

requested as (
    select count(*)::integer as persons_requested from requests
),

found as (
    select results.source, results.match_level, count(distinct requests.request_id)::integer as persons_found
    from requests
    inner join {{ ref('stg_enrichment_results') }} as results
        on results.request_id = requests.request_id and results.signal_month = {{ month() }}
    where results.phone is not null
    group by results.source, results.match_level
),

-- results that say a number is somebody else's, or no number at all
unusable as (
    select codes.code as result_code, codes.is_invalid_number
    from {{ ref('result_codes') }} as codes
    inner join {{ ref('outcome_consequences') }} as consequences
        on consequences.result_code = codes.code
        and consequences.consequence = 'number_unusable'
        and {{ in_force('consequences', month_start()) }}
    where {{ in_force('codes', month_start()) }}
),

-- one number of one person, with what calling it came to
dialled as (
    select
        phones.is_own,
        phones.source,
        coalesce(phones.match_level, 'person') as match_level,
        persons.person_id,
        count(attempts.attempt_id) as attempts,
        coalesce(bool_or(attempts.reached), false) as is_reached,
        coalesce(bool_or(unusable.is_invalid_number), false) as is_invalid_number,
        coalesce(bool_or(not unusable.is_invalid_number), false) as is_wrong_person
    from {{ ref('int_phones') }} as phones
    inner join {{ ref('int_case_persons') }} as persons
        on persons.signal_month = phones.signal_month
        and persons.case_id = phones.case_id
        and persons.person_id = phones.person_id
    left join {{ ref('stg_call_records') }} as records
        on records.call_record_id = persons.call_record_id
        and records.signal_month = persons.signal_month
        and not records.is_withdrawn
    left join {{ ref('stg_ris_attempts') }} as attempts
        on attempts.call_record_id = records.call_record_id
        and attempts.signal_month = {{ month() }}
        and attempts.direction = 'outbound'
        and attempts.phone = phones.phone
    left join unusable on unusable.result_code = attempts.attempt_result
    where phones.signal_month = {{ month() }}
    group by phones.is_own, phones.source, phones.match_level, persons.case_id, persons.person_id, phones.phone
),

called as (
    select
        is_own,
        source,
        match_level,
        count(*)::integer as numbers_usable,
        (count(*) filter (where attempts > 0))::integer as numbers_called,
        (count(*) filter (where is_reached))::integer as numbers_reached,
        (count(*) filter (where is_wrong_person))::integer as numbers_wrong_person,
        (count(*) filter (where is_invalid_number))::integer as numbers_invalid
    from dialled
    group by is_own, source, match_level
),

sources as (
    select false as is_own, source, match_level from found
    union
    select is_own, source, match_level from called
)

select
    {{ month() }}::text as signal_month,
    case when sources.is_own then 'partner' else 'enrichment' end as origin,
    sources.source,
    sources.match_level,
    case when not sources.is_own then requested.persons_requested end as persons_requested,
    case when not sources.is_own then coalesce(found.persons_found, 0) end as persons_found,
    coalesce(called.numbers_usable, 0) as numbers_usable,
    coalesce(called.numbers_called, 0) as numbers_called,
    coalesce(called.numbers_reached, 0) as numbers_reached,
    coalesce(called.numbers_wrong_person, 0) as numbers_wrong_person,
    coalesce(called.numbers_invalid, 0) as numbers_invalid,
    (case when not sources.is_own then found.persons_found::numeric / nullif(requested.persons_requested, 0) end)::numeric(24, 12)
        as found_share,
    (called.numbers_reached::numeric / nullif(called.numbers_called, 0))::numeric(24, 12) as reached_share,
    (called.numbers_wrong_person::numeric / nullif(called.numbers_called, 0))::numeric(24, 12) as wrong_person_share
from sources
cross join requested
left join found
    on not sources.is_own and found.source = sources.source and found.match_level = sources.match_level
left join called
    on called.is_own = sources.is_own and called.source = sources.source and called.match_level = sources.match_level
