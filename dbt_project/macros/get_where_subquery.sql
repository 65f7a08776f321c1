{#
  Data tests look at the month at hand only: `where: this month` in a test's config becomes that condition, so that a test
  costs a month, however many years there are.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get("where", "") -%}
    {%- if where == "this month" -%}
        {%- set where = "signal_month = " ~ month() -%}
    {%- endif -%}
    {%- if where -%}
        {%- do return("(select * from " ~ relation ~ " where " ~ where ~ ") as rows_to_test") -%}
    {%- else -%}
        {%- do return(relation) -%}
    {%- endif -%}
{%- endmacro %}
