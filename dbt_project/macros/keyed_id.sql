{#
  Our own identifiers: a keyed hash made in the warehouse (ops.keyed_id), so that an id in marts cannot be derived from
  an address or a name. `value` is an SQL expression; null in, null out.
#}
{% macro keyed_id(kind, value) -%}
    ops.keyed_id('{{ kind }}', {{ value }})
{%- endmacro %}

{# The same of a whole set at once, as a table (value, id) of what `query` selects: called row by row most of what an id
   costs is starting the function. #}
{% macro keyed_ids(kind, query) -%}
    ops.keyed_ids('{{ kind }}', array({{ query }}))
{%- endmacro %}
