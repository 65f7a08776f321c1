-- What our numbers are held against: what was before the pilot, and national figures, each with what it was counted over.
-- A line with is_comparable = false may stand beside a KPI only with its remark: its numerator or denominator is another.
{{ config(materialized='table') }}

select
    'baseline' as kind,
    kpi,
    label_nl,
    low as low_value,
    high as high_value,
    'residents a month' as unit,
    counted,
    true as is_comparable,
    null::text as remark_nl,
    valid_from,
    valid_to,
    citation
from {{ ref('baselines') }}
union all
select
    'national', kpi, label_nl, value, value, 'share', counted, is_comparable, remark_nl, valid_from, valid_to, citation
from {{ ref('benchmarks') }}
