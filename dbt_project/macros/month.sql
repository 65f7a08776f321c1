{#
  The signal month of this build, as a quoted literal: 'YYYY-MM'. There is no default: a build that does not say its
  month must not guess one. Parsing has no month yet and gets a placeholder.
#}
{% macro month() -%}
    '{{ month_key() }}'
{%- endmacro %}

{% macro month_key() -%}
    {%- if not execute -%}
        {{ return("0000-00") }}
    {%- endif -%}
    {%- set key = var("month", none) or env_var("VS_MONTH", "") -%}
    {%- if not modules.re.match("^20[0-9][0-9]-(0[1-9]|1[0-2])$", key | string) -%}
        {{ exceptions.raise_compiler_error(
            "the signal month is not given (got '" ~ key ~ "'): pass --vars '{month: YYYY-MM}', for example 2024-06"
        ) }}
    {%- endif -%}
    {{ return(key) }}
{%- endmacro %}

{# 'YYYY-MM' literal `offset` months from this build's month: months_from(-6) opens a look-back of six months. #}
{% macro months_from(offset) -%}
    {%- set key = month_key() -%}
    {%- set index = key[:4] | int * 12 + key[5:7] | int - 1 + offset -%}
    '{{ "%04d-%02d" | format(index // 12, index % 12 + 1) }}'
{%- endmacro %}

{# First day of this build's month, as a date: the day on which month-wide dated rules are looked up. #}
{% macro month_start() -%}
    (date '{{ month_key() if execute else "2000-01" }}-01')
{%- endmacro %}

{# True on the day `on_date` for a dated rule row (valid_to empty = still in force, both ends included). #}
{% macro in_force(rule, on_date) -%}
    ({{ on_date }} >= {{ rule }}.valid_from and ({{ rule }}.valid_to is null or {{ on_date }} <= {{ rule }}.valid_to))
{%- endmacro %}
