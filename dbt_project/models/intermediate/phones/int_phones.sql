-- Every usable number of every person in a case, best first: what a partner gave this month, what a partner gave before,
-- what enrichment found for the person, what it found for the address. A found number never replaces a given one.
{{ config(tags=["enriched"], indexes=[{"columns": ["signal_month"]}]) }}

with supplied as (
    select
        case_id, person_id, phone, source, null::text as match_level, matched_on, null::numeric as confidence,
        true as is_own, case source when 'own' then 1 else 2 end as source_order, position
    from {{ ref('int_phones__supplied') }}
    where signal_month = {{ month() }}
),

found as (
    select
        persons.case_id, persons.person_id, results.phone, results.source, results.match_level, results.matched_on,
        results.confidence, false as is_own, case results.match_level when 'person' then 3 else 4 end as source_order, 1 as position
    from {{ ref('int_case_persons') }} as persons
    inner join {{ ref('stg_enrichment_results') }} as results
        on results.request_id = persons.request_id and results.signal_month = {{ month() }}
    left join {{ ref('int_phones__unusable') }} as unusable
        on unusable.signal_month = {{ month() }}
        and unusable.person_id = persons.person_id
        and unusable.phone = results.phone
    where persons.signal_month = {{ month() }} and results.phone is not null and unusable.phone is null
),

candidates as (
    select * from supplied
    union all
    select * from found
),

one_each as (
    select distinct on (case_id, person_id, phone) *
    from candidates
    order by case_id, person_id, phone, source_order, confidence desc nulls last, matched_on desc nulls last, source
)

select
    {{ month() }}::text as signal_month,
    case_id, person_id, phone, source, match_level, matched_on, confidence,
    row_number() over (
        partition by case_id, person_id
        order by source_order, confidence desc nulls last, matched_on desc nulls last, position, phone
    )::integer as preference,
    is_own
from one_each
