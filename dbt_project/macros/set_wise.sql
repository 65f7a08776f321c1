{#
  For models whose steps feed each other: PostgreSQL has no statistics of a step, guesses one row, and then loops over
  everything for every row. Without such loops it hashes, which is right for a month of any size; within this transaction only.
#}
{% macro set_wise() -%}
    set local enable_nestloop = off;
    set local enable_mergejoin = off;
    set local work_mem = '96MB';
{%- endmacro %}
