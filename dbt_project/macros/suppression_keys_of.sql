{#
  ops.suppression_keys of a signal as rows (subject_key), for a join lateral: the words are read where the signals are, and
  each is hashed once however the planner joins (so `offset 0`). `signal`: an alias of int_signals__keyed.
#}
{% macro suppression_keys_of(signal) -%}
    select ops.suppression_key({{ signal }}.postcode, {{ signal }}.house_number, {{ signal }}.birth_on, word) as subject_key
    from ops.suppression_words({{ signal }}.surname) as word
    offset 0
{%- endmacro %}
