{#
  Spelling rules of addresses and names, each once. They only decide what counts as equal; what was delivered stays as it
  is. A new spelling rule belongs here with a unit test in models/intermediate/matching.
#}

{# `12 a-3`, `12A3` and `12 A 3` agree: letter and addition are read as one run of letters and digits, without leading
   zeros. Partners cut letter and addition in different places, so the cut does not count. Words (`huis`, `hs`) are the
   seed address_words. #}
{% macro address_suffix(letter, addition) -%}
    regexp_replace(
        regexp_replace(upper(unaccent(coalesce({{ letter }}, '') || coalesce({{ addition }}, ''))), '[^A-Z0-9]', '', 'g'),
        '(^|[A-Z])0+([0-9])', '\1\2', 'g'
    )
{%- endmacro %}

{# One door with part of its addition missing: `A3` and `A`, `A3` and `3`, `A3` and nothing; never `1` and `12`. #}
{% macro is_cut_short(left_suffix, right_suffix) -%}
    (
        {{ left_suffix }} = '' or {{ right_suffix }} = ''
        {% for long, short in [(left_suffix, right_suffix), (right_suffix, left_suffix)] -%}
        or {{ short }} in (
            regexp_replace({{ long }}, '[0-9]+$', ''), regexp_replace({{ long }}, '[A-Z]+$', ''),
            regexp_replace({{ long }}, '^[0-9]+', ''), regexp_replace({{ long }}, '^[A-Z]+', '')
        )
        {% endfor -%}
    )
{%- endmacro %}

{# Perhaps one address: the same postcode and number with an addition cut short; the same street, number and addition with a
   typing error in the postcode; or the same postcode and addition with one in the number, which the neighbours' number may
   be too, so only of one surname and two initials or more. `left`, `right`: aliases of int_signals__keyed. #}
{% macro is_loosely_one_address(left, right) -%}
    (
        case
            when {{ left }}.address_loose_key = {{ right }}.address_loose_key
                then {{ is_cut_short("split_part(" ~ left ~ ".address_key, '|', 3)", "split_part(" ~ right ~ ".address_key, '|', 3)") }}
            when split_part({{ left }}.address_key, '|', 3) <> split_part({{ right }}.address_key, '|', 3) then false
            when split_part({{ left }}.address_key, '|', 2) = split_part({{ right }}.address_key, '|', 2)
                then
                    coalesce({{ left }}.street_key = {{ right }}.street_key, false)
                    and levenshtein({{ postcode_of(left) }}, {{ postcode_of(right) }}) <= 2
            when {{ postcode_of(left) }} = {{ postcode_of(right) }}
                then
                    {{ left }}.surname_key = {{ right }}.surname_key
                    and coalesce({{ left }}.initials_key = {{ right }}.initials_key and length({{ left }}.initials_key) > 1, false)
                    and levenshtein(split_part({{ left }}.address_key, '|', 2), split_part({{ right }}.address_key, '|', 2)) = 1
            else false
        end
    )
{%- endmacro %}

{% macro postcode_of(signal) -%}
    split_part({{ signal }}.address_key, '|', 1)
{%- endmacro %}

{# `Dorpsstraat`, `DORPSSTR.` and `dorps straat` agree. #}
{% macro normal_street(street) -%}
    replace(regexp_replace(lower(unaccent({{ street }})), '[^a-z0-9]', '', 'g'), 'straat', 'str')
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

{# One keystroke wrong: a letter lost, doubled or changed, or two neighbours swapped; in a name of eight letters or more
   two of them. Never the first letter (Jansen is not Hansen), nor a letter of a name of four (is_short_typo_of). #}
{% macro is_typo_of(left_name, right_name) -%}
    (
        left({{ left_name }}, 1) = left({{ right_name }}, 1)
        and case
            when least(length({{ left_name }}), length({{ right_name }})) >= 8
                then levenshtein_less_equal(left({{ left_name }}, 80), left({{ right_name }}, 80), 2) <= 2
            when least(length({{ left_name }}), length({{ right_name }})) >= 4
                then
                    least(length({{ left_name }}), length({{ right_name }})) >= 5
                    and levenshtein_less_equal(left({{ left_name }}, 80), left({{ right_name }}, 80), 1) <= 1
                    or length({{ left_name }}) = length({{ right_name }})
                    and levenshtein_less_equal(left({{ left_name }}, 80), left({{ right_name }}, 80), 2) = 2
                    and (select array_agg(letter order by letter) from string_to_table({{ left_name }}, null) as letter)
                    = (select array_agg(letter order by letter) from string_to_table({{ right_name }}, null) as letter)
            else false
        end
    )
{%- endmacro %}

{# The same in a short name, where a letter makes another name sooner: one letter lost, doubled or changed, not the first, in
   a name of four, or of four beside five or three. Of three letters each they are two names (Bos is not Bol). #}
{% macro is_short_typo_of(left_name, right_name) -%}
    case
        when left({{ left_name }}, 1) <> left({{ right_name }}, 1) then false
        when
            least(length({{ left_name }}), length({{ right_name }})) in (3, 4)
            and greatest(length({{ left_name }}), length({{ right_name }})) in (4, 5)
            then levenshtein_less_equal({{ left_name }}, {{ right_name }}, 1) <= 1
        else false
    end
{%- endmacro %}
