{# An empty cell of a seed is null, in a unit test's fixture as in the warehouse (dbt casts the empty text otherwise). #}
{% macro postgres__safe_cast(field, type) -%}
    cast({{ "null" if field == "''" else field }} as {{ type }})
{%- endmacro %}
