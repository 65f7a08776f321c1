{# A moment as the clock in the Netherlands showed it: call windows, parts of the day and dates of calls are local. #}
{% macro local_time(moment) -%}
    ({{ moment }} at time zone 'Europe/Amsterdam')
{%- endmacro %}

{# First day of the month written in `signal_month` ('YYYY-MM'), as a date: for views that hold every month. #}
{% macro first_day_of(signal_month) -%}
    to_date({{ signal_month }}, 'YYYY-MM')
{%- endmacro %}
