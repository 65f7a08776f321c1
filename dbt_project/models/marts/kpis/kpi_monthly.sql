-- Every KPI of the month, per segment: numerator, denominator, value. Each block below counts one unit (never mixed) and
-- offers (kpi, segment, numerator, denominator); which KPIs and segments are published is the seed kpi_definitions.
-- Sector and route segments of cases and records overlap: a case counts in every sector it holds.
with definitions as (
    select *
    from {{ ref('kpi_definitions') }} as definitions
    where {{ in_force('definitions', month_start()) }}
),

signals as (
    select segments.segment, measures.kpi, measures.numerator, null::numeric as denominator
    from (
        select
            segment,
            sum(rows_delivered) as rows_delivered,
            sum(rows_loaded) as rows_loaded,
            sum(rows_quarantined) as rows_quarantined
        from {{ ref('kpi_partner_quality_monthly') }}
        cross join lateral (values ('all'), ('sector:' || sector)) as cut (segment)
        where signal_month = {{ month() }}
        group by segment
    ) as segments
    cross join lateral (
        values
            ('signals_received', rows_delivered), ('signals_loaded', rows_loaded), ('signals_quarantined', rows_quarantined)
    ) as measures (kpi, numerator)
),

picked_up as (
    select
        cut.segment,
        'signals_picked_up' as kpi,
        count(*) filter (where is_picked_up) as numerator,
        count(*) as denominator
    from {{ ref('fct_signals') }}
    cross join lateral (values ('all'), ('sector:' || sector)) as cut (segment)
    where signal_month = {{ month() }}
    group by cut.segment
),

cases as (
    select segments.segment, measures.kpi, measures.numerator, measures.denominator
    from (
        select
            cut.segment,
            count(*) as cases,
            count(*) filter (where cases.is_multiple) as multiple,
            count(*) filter (where cases.is_consecutive) as consecutive,
            count(*) filter (where 'direct_over_threshold' = any(string_to_array(cases.routes, '|'))) as over_threshold,
            count(*) filter (where 'direct_recurring' = any(string_to_array(cases.routes, '|'))) as recurring,
            count(*) filter (where closures.state = 'closed') as closed,
            sum(cases.persons) as persons,
            sum(cases.persons_with_own_number) as persons_with_own_number,
            sum(cases.numbers_requested) as numbers_requested,
            sum(cases.numbers_found) as numbers_found
        from {{ ref('fct_cases') }} as cases
        inner join {{ ref('fct_month_end_closures') }} as closures
            on closures.case_id = cases.case_id and closures.signal_month = cases.signal_month
        cross join lateral (
            select 'all'
            union all
            select 'sector:' || sector from unnest(string_to_array(cases.sectors, '|')) as sector
            union all
            select 'route:' || route from unnest(string_to_array(cases.routes, '|')) as route
        ) as cut (segment)
        where cases.signal_month = {{ month() }}
        group by cut.segment
    ) as segments
    cross join lateral (
        values
            ('cases_opened', cases, null),
            ('cases_multiple', multiple, cases),
            ('cases_consecutive', consecutive, cases),
            ('cases_direct_over_threshold', over_threshold, null),
            ('cases_recurring_after_refusal', recurring, null),
            ('cases_closed', closed, cases),
            ('persons_callable_without_enrichment', persons_with_own_number, persons),
            ('enrichment_hits', numbers_found, numbers_requested)
    ) as measures (kpi, numerator, denominator)
),

call_rules as (
    select rules.max_attempts
    from {{ ref('call_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
),

records as (
    select segments.segment, measures.kpi, measures.numerator, measures.denominator
    from (
        select
            cut.segment,
            count(*) as delivered,
            count(outcomes.call_record_id) as with_outcome,
            count(*) filter (where outcomes.is_spoken) as spoken,
            count(*) filter (where outcomes.result_group = 'not_reached') as not_reached,
            count(*) filter (where outcomes.is_help_accepted) as accepted,
            count(*) filter (
                where outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number
            ) as not_reached_valid,
            count(*) filter (
                where outcomes.result_group = 'not_reached' and not outcomes.is_invalid_number
                and outcomes.outbound_attempts < call_rules.max_attempts
            ) as under_maximum
        from {{ ref('stg_call_records') }} as records
        cross join call_rules
        left join {{ ref('fct_outcomes') }} as outcomes
            on outcomes.call_record_id = records.call_record_id and outcomes.signal_month = records.signal_month
        left join {{ ref('fct_cases') }} as cases
            on cases.case_id = records.case_id and cases.signal_month = records.signal_month
        cross join lateral (
            select 'all'
            union all
            select 'sector:' || sector from unnest(string_to_array(cases.sectors, '|')) as sector
        ) as cut (segment)
        where records.signal_month = {{ month() }} and not records.is_withdrawn
        group by cut.segment
    ) as segments
    cross join lateral (
        values
            ('call_records_delivered', delivered, null),
            ('records_without_outcome', delivered - with_outcome, null),
            ('records_spoken', spoken, with_outcome),
            ('records_not_reached', not_reached, with_outcome),
            ('help_accepted_of_all', accepted, with_outcome),
            ('help_accepted_of_spoken', accepted, spoken),
            ('records_under_seven_attempts', under_maximum, not_reached_valid)
    ) as measures (kpi, numerator, denominator)
),

with_outcome as (
    select count(*) as records
    from {{ ref('fct_outcomes') }}
    where signal_month = {{ month() }} and not is_withdrawn
),

segment_names as (
    select 'all' as segment, '' as kind
    union all
    select distinct 'sector:' || sector, 'sector' from {{ ref('kpi_partner_quality_monthly') }}
    where signal_month = {{ month() }}
    union all
    select 'route:' || route, 'route' from {{ ref('dim_route') }} where route <> 'not_picked_up'
    union all
    select 'part_of_day:' || parts.part_of_day, 'part_of_day'
    from {{ ref('parts_of_day') }} as parts
    where {{ in_force('parts', month_start()) }}
),

attempts as (
    select segments.segment, measures.kpi, measures.numerator, measures.denominator
    from (
        select
            names.segment,
            count(*) filter (where attempts.direction = 'outbound') as outbound,
            count(*) filter (where attempts.direction = 'inbound') as inbound,
            count(*) filter (where attempts.is_outside_hours) as outside_hours
        from segment_names as names
        left join {{ ref('fct_contact_attempts') }} as attempts
            on attempts.signal_month = {{ month() }} and not attempts.is_withdrawn
            and names.segment in ('all', 'part_of_day:' || attempts.part_of_day)
        where names.kind in ('', 'part_of_day')
        group by names.segment
    ) as segments
    cross join with_outcome
    cross join lateral (
        values
            ('attempts_per_record', outbound, with_outcome.records),
            ('attempts_outside_hours', outside_hours, outbound),
            ('inbound_callbacks', inbound, null)
    ) as measures (kpi, numerator, denominator)
),

costs as (
    select 'all' as segment, measures.kpi, measures.numerator, measures.denominator
    from {{ ref('kpi_cost_monthly') }}
    cross join lateral (
        values
            ('cost_eur', cost_eur, null::numeric),
            ('cost_per_callable_record_eur', cost_eur, records_delivered),
            ('cost_per_spoken_eur', cost_eur, records_spoken),
            ('cost_per_accepted_eur', cost_eur, records_help_accepted),
            ('budget_used', cost_to_date_eur, budget_eur)
    ) as measures (kpi, numerator, denominator)
    where signal_month = {{ month() }}
),

measured as (
    select kpi, segment, numerator, denominator from signals
    union all
    select kpi, segment, numerator, denominator from picked_up
    union all
    select kpi, segment, numerator, denominator from cases
    union all
    select kpi, segment, numerator, denominator from records
    union all
    select kpi, segment, numerator, denominator from attempts
    union all
    select kpi, segment, numerator, denominator from costs
),

-- A KPI is there for each of its segments, also when nothing happened in it.
published as (
    select definitions.*, names.segment
    from definitions
    inner join segment_names as names
        on names.kind = '' or names.kind = any(string_to_array(definitions.segments, '|'))
),

final as (
    select
        published.kpi,
        published.segment,
        published.unit,
        published.has_denominator,
        published.definition_version,
        case when published.unit = 'eur' then measured.numerator else coalesce(measured.numerator, 0) end as numerator,
        case when published.has_denominator then coalesce(measured.denominator, 0) end as denominator
    from published
    left join measured on measured.kpi = published.kpi and measured.segment = published.segment
)

select
    {{ month() }}::text as signal_month,
    kpi,
    segment,
    numerator::numeric(20, 2) as numerator,
    denominator::numeric(20, 2) as denominator,
    (case when has_denominator then numerator / nullif(denominator, 0) else numerator end)::numeric(24, 12) as value,
    unit,
    definition_version
from final
