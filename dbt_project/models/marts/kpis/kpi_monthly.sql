-- Every KPI of the month, per segment: numerator, denominator, value. Each block below counts one unit (never mixed) and
-- offers (kpi, segment, numerator, denominator); which KPIs and segments are published is the seed kpi_definitions.
-- Segments of cases and records overlap where a case holds more: it counts in every sector, partner and route it holds.
{% set counted -%}
    count(*) filter (where direction = 'outbound') as outbound,
        count(*) filter (where direction = 'inbound') as inbound,
        count(*) filter (where is_outside_hours) as outside_hours
{%- endset %}
with definitions as (
    select *
    from {{ ref('kpi_definitions') }} as definitions
    where {{ in_force('definitions', month_start()) }}
),

bands as (
    select bands.*
    from {{ ref('arrears_bands') }} as bands
    where {{ in_force('bands', month_start()) }}
),

-- every part of the month a case belongs to
case_cuts as (
    select case_id, 'sector:' || unnest(string_to_array(sectors, '|')) as segment
    from {{ ref('fct_cases') }}
    where signal_month = {{ month() }}
    union all
    select case_id, 'route:' || unnest(string_to_array(routes, '|'))
    from {{ ref('fct_cases') }}
    where signal_month = {{ month() }}
    union all
    select distinct case_id, 'partner:' || partner
    from {{ ref('fct_signals') }}
    where signal_month = {{ month() }} and case_id is not null
    union all
    select cases.case_id, 'arrears_band:' || bands.band
    from {{ ref('fct_cases') }} as cases
    inner join bands on {{ in_band('bands', 'cases.arrears_eur') }}
    where cases.signal_month = {{ month() }}
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
        cross join lateral (values ('all'), ('sector:' || sector), ('partner:' || partner)) as cut (segment)
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
        count(*) filter (where signals.is_picked_up) as numerator,
        count(*) as denominator
    from {{ ref('fct_signals') }} as signals
    left join bands on {{ in_band('bands', 'signals.arrears_eur') }}
    cross join lateral (
        values
            ('all'), ('sector:' || signals.sector), ('partner:' || signals.partner), ('arrears_band:' || bands.band)
    ) as cut (segment)
    where signals.signal_month = {{ month() }}
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
            sum(cases.persons_with_own_number) as persons_with_own_number
        from {{ ref('fct_cases') }} as cases
        inner join {{ ref('fct_month_end_closures') }} as closures
            on closures.case_id = cases.case_id and closures.signal_month = cases.signal_month
        inner join (
            select case_id, 'all' as segment from {{ ref('fct_cases') }} where signal_month = {{ month() }}
            union all
            select case_id, segment from case_cuts
        ) as cut on cut.case_id = cases.case_id
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
            ('persons_callable_without_enrichment', persons_with_own_number, persons)
    ) as measures (kpi, numerator, denominator)
),

-- Numbers asked for persons in cases; a number found in two sources counts in both, and once in all.
requests as (
    select requests.request_id, persons.case_id
    from {{ ref('stg_enrichment_requests') }} as requests
    inner join {{ ref('int_case_persons') }} as persons
        on persons.request_id = requests.request_id and persons.signal_month = requests.signal_month
    where requests.signal_month = {{ month() }}
),

found as (
    select distinct results.request_id, cut.segment
    from {{ ref('stg_enrichment_results') }} as results
    cross join lateral (
        values ('all'), ('source:' || results.source), ('match_level:' || results.match_level)
    ) as cut (segment)
    where results.signal_month = {{ month() }} and results.phone is not null
),

enrichment as (
    select
        cut.segment,
        'enrichment_hits' as kpi,
        count(found.request_id) as numerator,
        count(*) as denominator
    from requests
    inner join (
        select request_id, 'all' as segment from requests
        union all
        select requests.request_id, case_cuts.segment
        from requests
        inner join case_cuts on case_cuts.case_id = requests.case_id
    ) as cut on cut.request_id = requests.request_id
    left join found on found.request_id = requests.request_id and found.segment = 'all'
    group by cut.segment
    union all
    select
        answers.segment, 'enrichment_hits', count(found.request_id), count(*)
    from requests
    cross join (select distinct segment from found where segment <> 'all') as answers
    left join found on found.request_id = requests.request_id and found.segment = answers.segment
    group by answers.segment
),

call_rules as (
    select rules.max_attempts
    from {{ ref('call_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
),

record_cuts as (
    select call_record_id, 'all' as segment
    from {{ ref('stg_call_records') }}
    where signal_month = {{ month() }} and not is_withdrawn
    union all
    select records.call_record_id, case_cuts.segment
    from {{ ref('stg_call_records') }} as records
    inner join case_cuts on case_cuts.case_id = records.case_id
    where records.signal_month = {{ month() }} and not records.is_withdrawn
),

record_counts as (
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
    from record_cuts as cut
    cross join call_rules
    left join {{ ref('fct_outcomes') }} as outcomes
        on outcomes.call_record_id = cut.call_record_id and outcomes.signal_month = {{ month() }}
    group by cut.segment
),

records as (
    select record_counts.segment, measures.kpi, measures.numerator, measures.denominator
    from record_counts
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

-- attempts beyond the agreed number share one segment
attempt_numbers as (
    select number, case when number > call_rules.max_attempts then number || '+' else number::text end as named
    from call_rules
    cross join lateral generate_series(1, call_rules.max_attempts + 1) as numbers (number)
),

segment_names as (
    select 'all' as segment, '' as kind
    union all
    select distinct 'sector:' || sector, 'sector' from {{ ref('kpi_partner_quality_monthly') }}
    where signal_month = {{ month() }}
    union all
    select 'partner:' || partner, 'partner' from {{ ref('kpi_partner_quality_monthly') }}
    where signal_month = {{ month() }}
    union all
    select 'route:' || route, 'route' from {{ ref('dim_route') }} where route <> 'not_picked_up'
    union all
    select 'arrears_band:' || band, 'arrears_band' from bands
    union all
    select 'part_of_day:' || parts.part_of_day, 'part_of_day'
    from {{ ref('parts_of_day') }} as parts
    where {{ in_force('parts', month_start()) }}
    union all
    select 'attempt_no:' || named, 'attempt_no' from attempt_numbers
    union all
    select distinct segment, split_part(segment, ':', 1) from found where segment <> 'all'
),

made as (
    select
        attempts.call_record_id, attempts.part_of_day, attempts.direction, attempts.is_outside_hours,
        case when attempts.direction = 'outbound' then {{ attempt_order('attempts') }} end as attempt_order
    from {{ ref('fct_contact_attempts') }} as attempts
    where attempts.signal_month = {{ month() }} and not attempts.is_withdrawn
),

made_by_record as (
    select call_record_id, {{ counted }}
    from made
    group by call_record_id
),

attempt_counts as (
    select cut.segment, sum(outbound) as outbound, sum(inbound) as inbound, sum(outside_hours) as outside_hours
    from made_by_record
    inner join record_cuts as cut on cut.call_record_id = made_by_record.call_record_id
    group by cut.segment
    union all
    select 'part_of_day:' || part_of_day, {{ counted }}
    from made
    group by part_of_day
    union all
    select 'attempt_no:' || attempt_numbers.named, {{ counted }}
    from made
    cross join call_rules
    inner join attempt_numbers on attempt_numbers.number = least(made.attempt_order, call_rules.max_attempts + 1)
    group by attempt_numbers.named
),

attempts as (
    select segments.segment, measures.kpi, measures.numerator, measures.denominator
    from (
        select
            names.segment,
            names.kind,
            coalesce(counts.outbound, 0) as outbound,
            coalesce(counts.inbound, 0) as inbound,
            coalesce(counts.outside_hours, 0) as outside_hours
        from segment_names as names
        left join attempt_counts as counts on counts.segment = names.segment
    ) as segments
    -- a part of the day or an attempt is no part of the records: it is spread over all of them
    left join record_counts
        on record_counts.segment
        = case when segments.kind in ('part_of_day', 'attempt_no') then 'all' else segments.segment end
    cross join lateral (
        values
            ('attempts_per_record', outbound, coalesce(record_counts.with_outcome, 0)),
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
    select kpi, segment, numerator, denominator from enrichment
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
