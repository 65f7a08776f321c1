{#
  Incremental strategy `replace_month`: the rows of this build's month are replaced in one transaction; other months are
  not touched and not read. Also when the month has no rows any more: then its old rows go.
  A model whose month stands in another column says so: config(month_column='period').
#}
{% macro get_incremental_replace_month_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    delete from {{ arg_dict["target_relation"] }} where {{ config.get("month_column", "signal_month") }} = {{ month() }};
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict["temp_relation"] }}
{%- endmacro %}
