{#
  Spelling rules of addresses and names, each once. They only decide what counts as equal; what was delivered stays as it
  is. A new spelling rule belongs here with a unit test in models/intermediate/matching.
#}

{# `12 a-3`, `12A3` and `12 A 3` agree: letter and addition are read as one run of letters and digits, without leading
   zeros; "huis" and "hs" are the same dwelling. Partners cut letter and addition in different places, so the cut does
   not count. #}
{% macro address_suffix(letter, addition) -%}
    regexp_replace(
        regexp_replace(
            regexp_replace(upper(unaccent(coalesce({{ letter }}, '') || coalesce({{ addition }}, ''))), '[^A-Z0-9]', '', 'g'),
            '(^|[A-Z])0+([0-9])', '\1\2', 'g'
        ),
        'HUIS$', 'HS'
    )
{%- endmacro %}

{% macro normal_postcode(postcode) -%}
    upper(regexp_replace({{ postcode }}, '\s', '', 'g'))
{%- endmacro %}

{# Letters as they sound alike in Dutch spellings: no capitals, no diacritics, ij = y, ss = s; what is no letter becomes a
   space, except the hyphen of a double name. #}
{% macro normal_letters(text) -%}
    replace(replace(regexp_replace(lower(unaccent({{ text }})), '[^a-z-]+', ' ', 'g'), 'ij', 'y'), 'ss', 's')
{%- endmacro %}

{# How alike two normalised names are, 0 to 1: shared trigrams, or few edits (short names share few trigrams). #}
{% macro name_likeness(left_name, right_name) -%}
    greatest(
        similarity({{ left_name }}, {{ right_name }}),
        1 - levenshtein(left({{ left_name }}, 80), left({{ right_name }}, 80))::real
        / greatest(length(left({{ left_name }}, 80)), length(left({{ right_name }}, 80)), 1)
    )
{%- endmacro %}
