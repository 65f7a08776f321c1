{#
  Statistics right after a month's rows were written: the next model reads exactly these rows, and a plan made for an empty
  table can cost minutes on a full one. The sample has a fixed size, so this does not grow with the years.
#}
{% macro analyze_month_table() -%}
    {%- if model.config.materialized == "incremental" -%}
        analyze {{ this }}
    {%- endif -%}
{%- endmacro %}
