{#
  One end of Wilson's interval of a share (`side` is `-` or `+`); null over nothing. Good for small numbers: it never leaves
  0 to 1, and 0 of 5 is not "certainly nobody". `z` says how sure (seed small_number_rules).
#}
{% macro wilson_bound(part, whole, z, side) -%}
    (case when {{ whole }} > 0 then (
        ({{ part }}::numeric / {{ whole }} + {{ z }} * {{ z }} / (2 * {{ whole }}))
        {{ side }} {{ z }} * sqrt(
            ({{ part }}::numeric / {{ whole }}) * (1 - {{ part }}::numeric / {{ whole }}) / {{ whole }}
            + {{ z }} * {{ z }} / (4 * {{ whole }}::numeric * {{ whole }})
        )
    ) / (1 + {{ z }} * {{ z }} / {{ whole }}) end)
{%- endmacro %}

{# The value of one rule of the seed small_number_rules, in force in this build's month. #}
{% macro small_number(rule_id) -%}
    (
        select rules.threshold from {{ ref('small_number_rules') }} as rules
        where rules.rule_id = '{{ rule_id }}' and {{ in_force('rules', month_start()) }}
    )
{%- endmacro %}
