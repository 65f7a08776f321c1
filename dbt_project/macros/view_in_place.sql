{#- A view is replaced where it stands, not swapped for another.
    Rule: `create or replace view` keeps everything that reads the view. Only when its columns are no longer those of
    before does PostgreSQL refuse that; then the view is made anew, and the stage that holds its readers makes them anew.
    Reason: dbt's own view materialisation renames the old view away and drops it with cascade. Starting the platform
    after an upgrade in the middle of a month would take the lists in `outbound` with it that read a staging view. -#}
{% materialization view, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% if existing is not none and existing.type != 'view' %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {% if config.get('contract').enforced %}
        {% do get_assert_columns_equivalent(sql) %}
    {% endif %}
    {% call statement('main') -%}
        do $build$
        begin
            create or replace view {{ target }} as (
                {{ sql }}
            );
        exception when invalid_table_definition then
            drop view {{ target }} cascade;
            create view {{ target }} as (
                {{ sql }}
            );
        end
        $build$
    {%- endcall %}

    {% do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=False)) %}
    {% do persist_docs(target, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
