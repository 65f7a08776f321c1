-- Signals of nearly the same address, or with the same bsn, birth date and surname, mobile number or e-mail address elsewhere,
-- compared (compared_pairs). They propose (int_match_reviews), or link for recurrence only (int_person_moves). What several
-- ways find comes from the first of them.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}],
    sql_header=set_wise(),
) }}

-- what a pair has in common, as it is of one signal s
{% set loosely = [
    "s.address_loose_key",
    "s.street_key || '|' || s.house_number",
    postcode_of("s") ~ " || '|' || s.surname_key || '|' || s.initials_key",
] -%}
{% set elsewhere = ["s.bsn_key", "s.birth_on || '|' || s.surname_key", "s.mobile_key", "s.email_key"] -%}
{% set is_loosely_one = is_loosely_one_address("l", "r") -%}

{% set ways, in_new_signals = [], [] -%}
{% for place, keys, is_it, found_before in [
    ("'loose'", loosely, is_loosely_one, ["r.address_key = l.address_key"]),
    ("'elsewhere'", elsewhere, is_loosely_one ~ " is not true", ["r.address_key = l.address_key"]),
] -%}
    {% for key in keys -%}
        {% set in_common = key | replace("s.", "r.") ~ " = " ~ key | replace("s.", "l.") -%}
        {% do ways.append((place, in_common, is_it ~ " and (" ~ found_before | join(") is not true and (") ~ ") is not true")) -%}
        {% do found_before.append(in_common) -%}
        {% do in_new_signals.append(key ~ " in (select " ~ key ~ " from new_signals as s where " ~ key ~ " is not null)") -%}
    {% endfor -%}
{% endfor -%}

{{ compared_pairs(ways, of_earlier="(" ~ in_new_signals | join(" or ") ~ ")") }}
