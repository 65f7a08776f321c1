-- Signals of nearly the same address, or with the same bsn, birth date and surname, mobile number or e-mail address elsewhere,
-- compared (compared_pairs). They propose (int_match_reviews), or link for recurrence only (int_person_moves). What several
-- ways find comes from the first of them.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}],
    sql_header=set_wise(),
) }}

{% set one_loosely = is_loosely_one_address("l", "r") -%}
{% set keys_elsewhere = [
    "r.bsn_key = l.bsn_key",
    "r.birth_on = l.birth_on and r.surname_key = l.surname_key",
    "r.mobile_key = l.mobile_key",
    "r.email_key = l.email_key",
] -%}
{% set ways = [
    ("'loose'", "r.address_loose_key = l.address_loose_key", "r.address_key <> l.address_key and " ~ one_loosely),
    (
        "'loose'",
        "r.street_key = l.street_key and r.house_number = l.house_number",
        "r.address_loose_key <> l.address_loose_key and " ~ one_loosely,
    ),
    (
        "'loose'",
        postcode_of("r") ~ " = " ~ postcode_of("l") ~ " and r.surname_key = l.surname_key and r.initials_key = l.initials_key",
        "r.address_loose_key <> l.address_loose_key and " ~ one_loosely,
    ),
] -%}
{% for key in keys_elsewhere -%}
    {% set found_before = ["r.address_key = l.address_key", one_loosely] + keys_elsewhere[:loop.index0] -%}
    {% do ways.append(("'elsewhere'", key, "(" ~ found_before | join(") is not true and (") ~ ") is not true")) -%}
{% endfor -%}
{{ compared_pairs(ways) }}
