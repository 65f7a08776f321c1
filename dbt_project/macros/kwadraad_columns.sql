{#
  What a Kwadraad worker sees of a person, on every sheet alike (aliases: routes, persons, cases, ways); the route is
  its Dutch label. The sheets and their Dutch headings are the contract kwadraad_worklist; a view may hold more than a sheet shows.
#}
{% macro kwadraad_columns() -%}
    routes.signal_month, persons.case_id, persons.call_record_id, ways.label_nl as route, routes.rule_id, routes.reason,
    persons.initials, persons.name_prefix, persons.surname, persons.birth_on,
    persons.street, persons.house_number, persons.house_letter, persons.house_number_addition,
    persons.postcode, persons.city, persons.email, persons.sectors,
    cases.signals, cases.arrears_eur, persons.arrears_eur as person_arrears_eur,
    cases.is_multiple, cases.is_consecutive, cases.has_crisis as is_crisis, cases.supply_ends_on,
    persons.is_warm_handover, persons.refused_on, routes.is_escalation_candidate
{%- endmacro %}

{% macro kwadraad_sources() -%}
    {{ ref('int_routes') }} as routes
    inner join {{ ref('int_case_persons') }} as persons
        on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
    inner join {{ ref('int_cases') }} as cases
        on cases.case_id = routes.case_id and cases.signal_month = routes.signal_month
    inner join {{ ref('routes') }} as ways on ways.route = routes.route
{%- endmacro %}

{# `J.P. van den Berg`, as one reads a name. #}
{% macro full_name(person) -%}
    concat_ws(' ', {{ person }}.initials, {{ person }}.name_prefix, {{ person }}.surname)
{%- endmacro %}
