-- One row per case (melding): one address in one signal month. Counts of persons and numbers belong to the case.
with cases as (
    select * from {{ ref('int_cases') }} where signal_month = {{ month() }}
),

sectors as (
    select case_id, string_agg(distinct sector, '|' order by sector) as sectors
    from {{ ref('fct_signals') }}
    where signal_month = {{ month() }} and case_id is not null
    group by case_id
),

found as (
    select distinct request_id
    from {{ ref('stg_enrichment_results') }}
    where signal_month = {{ month() }} and phone is not null
),

own_numbers as (
    select distinct case_id, person_id
    from {{ ref('int_phones') }}
    where signal_month = {{ month() }} and is_own
),

persons as (
    select
        persons.case_id,
        count(*)::integer as persons,
        count(own_numbers.person_id)::integer as persons_with_own_number,
        count(requests.request_id)::integer as numbers_requested,
        (count(*) filter (where requests.request_id is not null and found.request_id is not null))::integer
            as numbers_found
    from {{ ref('int_case_persons') }} as persons
    left join own_numbers on own_numbers.case_id = persons.case_id and own_numbers.person_id = persons.person_id
    left join {{ ref('stg_enrichment_requests') }} as requests
        on requests.request_id = persons.request_id and requests.signal_month = persons.signal_month
    left join found on found.request_id = persons.request_id
    where persons.signal_month = {{ month() }}
    group by persons.case_id
),

routes as (
    select
        routes.case_id,
        string_agg(distinct routes.route, '|' order by routes.route) as routes,
        (array_agg(routes.route order by dim_route.route_order))[1] as leading_route
    from {{ ref('int_routes') }} as routes
    inner join {{ ref('dim_route') }} as dim_route on dim_route.route = routes.route
    where routes.signal_month = {{ month() }} and routes.case_id is not null
    group by routes.case_id
),

records as (
    select case_id, count(*)::integer as call_records_delivered
    from {{ ref('stg_call_records') }}
    where signal_month = {{ month() }} and not is_withdrawn
    group by case_id
)

select
    cases.signal_month,
    cases.case_id,
    cases.opened_on,
    cases.signals::integer as signals,
    cases.signals_at_address::integer as signals_at_address,
    cases.creditor_kinds::integer as creditor_kinds,
    coalesce(persons.persons, 0) as persons,
    sectors.sectors,
    routes.routes,
    routes.leading_route,
    cases.arrears_eur,
    cases.is_multiple,
    cases.is_multiple_creditors,
    cases.is_consecutive,
    cases.has_crisis,
    coalesce(persons.persons_with_own_number, 0) as persons_with_own_number,
    coalesce(persons.numbers_requested, 0) as numbers_requested,
    coalesce(persons.numbers_found, 0) as numbers_found,
    coalesce(records.call_records_delivered, 0) as call_records_delivered
from cases
left join sectors on sectors.case_id = cases.case_id
left join persons on persons.case_id = cases.case_id
left join routes on routes.case_id = cases.case_id
left join records on records.case_id = cases.case_id
