-- How sure a share is: Wilson's interval of every KPI that is a part of a whole, in every segment. Columns of kpi_monthly are
-- fixed by agreement, so the interval stands beside it. Attempts of one record are not independent: of attempts_outside_hours
-- the interval is a lower limit of the doubt.
with kpis as (
    select kpis.*
    from {{ ref('kpi_monthly') }} as kpis
    inner join {{ ref('kpi_definitions') }} as definitions
        on definitions.kpi = kpis.kpi and definitions.is_proportion and {{ in_force('definitions', month_start()) }}
    where kpis.signal_month = {{ month() }}
),

rules as (
    select {{ small_number('confidence_z') }} as z, {{ small_number('small_denominator') }} as small_denominator
)

select
    kpis.signal_month,
    kpis.kpi,
    kpis.segment,
    kpis.numerator,
    kpis.denominator,
    kpis.value,
    {{ wilson_bound('kpis.numerator', 'kpis.denominator', 'rules.z', '-') }}::numeric(24, 12) as lower_bound,
    {{ wilson_bound('kpis.numerator', 'kpis.denominator', 'rules.z', '+') }}::numeric(24, 12) as upper_bound,
    kpis.denominator < rules.small_denominator as is_small
from kpis
cross join rules
