{# What a Kwadraad worker sees of a person, on every sheet alike (aliases: routes, persons, cases). #}
{% macro kwadraad_columns() -%}
    routes.signal_month, persons.case_id, persons.call_record_id, routes.route, routes.rule_id, routes.reason,
    persons.initials, persons.name_prefix, persons.surname, persons.birth_on,
    persons.street, persons.house_number, persons.house_letter, persons.house_number_addition,
    persons.postcode, persons.city, persons.email, persons.sectors, persons.arrears_eur,
    cases.arrears_eur as case_arrears_eur, cases.is_multiple, cases.is_consecutive, cases.has_crisis, cases.supply_ends_on,
    persons.is_warm_handover, persons.refused_on
{%- endmacro %}

{% macro kwadraad_sources() -%}
    {{ ref('int_routes') }} as routes
    inner join {{ ref('int_case_persons') }} as persons
        on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
    inner join {{ ref('int_cases') }} as cases
        on cases.case_id = routes.case_id and cases.signal_month = routes.signal_month
{%- endmacro %}
