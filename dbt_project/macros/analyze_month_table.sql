{#
  Statistics right after a month's rows were written: the next model reads exactly these rows, and a plan made for an empty
  table can cost minutes on a full one. The sample has a fixed size, so this does not grow with the years; six thousand
  rows tell a planner as much as the usual thirty thousand, which would cost more than computing the month.
#}
{% macro analyze_month_table() -%}
    {%- if model.config.materialized == "incremental" -%}
        set local default_statistics_target = 20;
        analyze {{ this }}
    {%- endif -%}
{%- endmacro %}
