{#
  In which parts a month is cut. A segment is `kind:value`; which KPI is cut how stands in the seed kpi_definitions.
#}

{# The band (seed arrears_bands) an amount lies in: above over_eur, up to and including until_eur. #}
{% macro in_band(bands, amount) -%}
    ({{ amount }} > {{ bands }}.over_eur and ({{ bands }}.until_eur is null or {{ amount }} <= {{ bands }}.until_eur))
{%- endmacro %}

{# Which attempt of its call record an outbound attempt is, whatever number was dialled and however the caller counts. #}
{% macro attempt_order(attempts) -%}
    row_number() over (
        partition by {{ attempts }}.signal_month, {{ attempts }}.call_record_id, {{ attempts }}.direction
        order by {{ attempts }}.started_at, {{ attempts }}.outcome_id, {{ attempts }}.attempt_id
    )::integer
{%- endmacro %}
