-- The same residents who accepted help, over every denominator in use: a percentage without its denominator says nothing
-- (the pilot's "about 20 %" could not be traced). Which results belong to a denominator is the seed acceptance_denominators.
with bases as (
    select bases.*, string_to_array(bases.result_codes, '|') as codes
    from {{ ref('acceptance_denominators') }} as bases
    where {{ in_force('bases', month_start()) }}
),

record_cuts as (
    select records.call_record_id, cut.segment
    from {{ ref('stg_call_records') }} as records
    left join {{ ref('fct_cases') }} as cases
        on cases.case_id = records.case_id and cases.signal_month = records.signal_month
    cross join lateral (
        select 'all'
        union all
        select 'sector:' || sector from unnest(string_to_array(cases.sectors, '|')) as sector
    ) as cut (segment)
    where records.signal_month = {{ month() }} and not records.is_withdrawn
),

segment_names as (
    select 'all' as segment
    union all
    select distinct 'sector:' || sector from {{ ref('kpi_partner_quality_monthly') }} where signal_month = {{ month() }}
),

counted as (
    select
        cut.segment,
        bases.basis,
        count(*) filter (where outcomes.is_help_accepted) as accepted,
        count(*) as records
    from record_cuts as cut
    left join {{ ref('fct_outcomes') }} as outcomes
        on outcomes.call_record_id = cut.call_record_id and outcomes.signal_month = {{ month() }}
    inner join bases
        on outcomes.result_code = any(bases.codes) or (outcomes.call_record_id is null and bases.counts_without_outcome)
    group by cut.segment, bases.basis
),

shares as (
    select
        segment_names.segment,
        bases.basis,
        bases.basis_order,
        bases.label_nl,
        bases.definition,
        coalesce(counted.accepted, 0)::integer as numerator,
        coalesce(counted.records, 0)::integer as denominator
    from segment_names
    cross join bases
    left join counted on counted.segment = segment_names.segment and counted.basis = bases.basis
),

rules as (
    select {{ small_number('confidence_z') }} as z, {{ small_number('small_denominator') }} as small_denominator
)

select
    {{ month() }}::text as signal_month,
    shares.segment,
    shares.basis,
    shares.basis_order,
    shares.label_nl,
    shares.definition,
    shares.numerator,
    shares.denominator,
    (shares.numerator::numeric / nullif(shares.denominator, 0))::numeric(24, 12) as value,
    {{ wilson_bound('shares.numerator', 'shares.denominator', 'rules.z', '-') }}::numeric(24, 12) as lower_bound,
    {{ wilson_bound('shares.numerator', 'shares.denominator', 'rules.z', '+') }}::numeric(24, 12) as upper_bound,
    shares.denominator < rules.small_denominator as is_small
from shares
cross join rules
