-- What every KPI means: the words of its definition, its unit and source, and since when it is counted so. A changed
-- definition is a new row with the next version; numbers of two versions may not be compared.
{{ config(materialized='table') }}

select
    kpi,
    definition_version,
    kpi_order,
    label_nl,
    unit,
    numerator || coalesce(' ÷ ' || denominator, '') as formula,
    numerator as numerator_says,
    denominator as denominator_says,
    numerator_nl || coalesce(' ÷ ' || denominator_nl, '') as formula_nl,
    is_proportion,
    segments as segment_kinds,
    source,
    citation,
    valid_from,
    valid_to
from {{ ref('kpi_definitions') }}
