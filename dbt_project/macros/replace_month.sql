{#- A table of months: the rows of this build's month are replaced in one transaction; other months are not touched and not
    read. Also when the month has no rows any more: then its old rows go.
    A model whose month stands in another column says so: config(month_column='period'). A column the model has got since
    the table was made is added to it; one it has lost stays, empty from then on. Nothing is ever built afresh: that would
    leave only the month at hand.
    Reason for a materialisation of our own: dbt's incremental asks the catalogue four times a model which columns there
    are, through as many renderings of all its macros, which for a small month costs more than its rows. -#}
{% materialization incremental, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if existing is not none and existing.type != 'table' %}
        {% do adapter.drop_relation(existing) %}
        {% set existing = none %}
    {% endif %}
    {% if existing is none %}
        {% call statement('main') %}{{ get_create_table_as_sql(False, target, sql) }}{% endcall %}
        {% do create_indexes(target) %}
    {% else %}
        {%- set month_rows = make_temp_relation(target) -%}
        {% do run_query(get_create_table_as_sql(True, month_rows, sql)) %}
        {% set columns, new_columns = run_query(columns_of_month(month_rows, target)).rows[0] %}
        {% call statement('main') -%}
            {% if new_columns %}alter table {{ target }} {{ new_columns }};{% endif %}
            delete from {{ target }} where {{ config.get("month_column", "signal_month") }} = {{ month() }};
            insert into {{ target }} ({{ columns }})
            select {{ columns }} from {{ month_rows }}
        {%- endcall %}
    {% endif %}

    {% do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=False)) %}
    {% do persist_docs(target, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# The columns the model makes, and how the table gets those it has not. #}
{% macro columns_of_month(month_rows, target) -%}
    select
        string_agg(quote_ident(made.attname), ', ' order by made.attnum) as columns,
        string_agg(format('add column %I %s', made.attname, format_type(made.atttypid, made.atttypmod)), ', ' order by made.attnum)
            filter (where there.attname is null) as new_columns
    from pg_attribute as made
    left join pg_attribute as there
        on there.attrelid = '{{ target }}'::regclass and there.attname = made.attname and not there.attisdropped
    where made.attrelid = '{{ month_rows }}'::regclass and made.attnum > 0 and not made.attisdropped
{%- endmacro %}
