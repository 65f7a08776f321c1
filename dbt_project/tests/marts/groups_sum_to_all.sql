-- Why: a share is only as good as its parts: negative + not reached + positive = all records with an outcome, the
-- dashboard's lines = the same, delivered = with + without outcome, received = loaded + quarantined + duplicate.
-- Owner: gegevensbeheer. Fails: kpi_monthly and the pilot's dashboard.
{{ config(meta={'owner': 'gegevensbeheer', 'impact': 'kpi_monthly'}) }}

with kpis as (
    select kpi, numerator, denominator
    from {{ ref('kpi_monthly') }}
    where signal_month = {{ month() }} and segment = 'all'
),

totals as (
    select
        max(numerator) filter (where kpi = 'records_spoken') as spoken,
        max(denominator) filter (where kpi = 'records_spoken') as with_outcome,
        max(numerator) filter (where kpi = 'records_not_reached') as not_reached,
        max(numerator) filter (where kpi = 'help_accepted_of_all') as accepted,
        max(denominator) filter (where kpi = 'help_accepted_of_spoken') as spoken_again,
        max(numerator) filter (where kpi = 'call_records_delivered') as delivered,
        max(numerator) filter (where kpi = 'records_without_outcome') as without_outcome,
        count(*) as kpis
    from kpis
),

dashboard as (
    select
        coalesce(sum(records), 0) as records,
        coalesce(sum(records) filter (where result_group = 'positive'), 0) as positive
    from {{ ref('kpi_pilot_dashboard') }}
    where period = {{ month() }}
),

definitions as (
    select count(*) as definitions
    from {{ ref('kpi_definitions') }} as definitions
    where {{ in_force('definitions', month_start()) }}
)

select totals.*, dashboard.*, definitions.*
from totals
cross join dashboard
cross join definitions
where
    (totals.spoken + totals.not_reached = totals.with_outcome
        and totals.spoken = totals.spoken_again
        and dashboard.records = totals.with_outcome
        and dashboard.positive = totals.accepted
        and totals.delivered = totals.with_outcome + totals.without_outcome
        and totals.kpis = definitions.definitions
    ) is not true
