-- Sheet Beoordelen: what a person must decide. `match`: are these two the same person? `escalation`: refused before, and the
-- arrears have grown (only when the municipality has switched that rule on).
{{ config(tags=["categorised"]) }}

select
    reviews.signal_month, 'match'::text as kind, left_side.case_id,
    reviews.left_person_id, reviews.right_person_id,
    left_side.initials as left_initials, left_side.name_prefix as left_name_prefix, left_side.surname as left_surname,
    left_side.birth_on as left_birth_on, left_side.partner as left_partner,
    right_side.initials as right_initials, right_side.name_prefix as right_name_prefix, right_side.surname as right_surname,
    right_side.birth_on as right_birth_on, right_side.partner as right_partner,
    left_side.street, left_side.house_number, left_side.house_letter, left_side.house_number_addition,
    left_side.postcode, left_side.city, left_side.arrears_eur,
    reviews.evidence, reviews.score
from {{ ref('int_match_reviews') }} as reviews
inner join {{ ref('int_signals__matched') }} as left_side
    on left_side.signal_id = reviews.left_signal_id and left_side.signal_month = reviews.signal_month
inner join {{ ref('int_signals__matched') }} as right_side
    on right_side.signal_id = reviews.right_signal_id and right_side.signal_month = reviews.right_signal_month
union all
select
    routes.signal_month, 'escalation', routes.case_id, routes.person_id, null,
    persons.initials, persons.name_prefix, persons.surname, persons.birth_on, null,
    null, null, null, null, null,
    persons.street, persons.house_number, persons.house_letter, persons.house_number_addition,
    persons.postcode, persons.city, persons.arrears_eur,
    'weigerde op ' || persons.refused_on || '; achterstand toen € ' || persons.refused_arrears_eur, null
from {{ ref('int_routes') }} as routes
inner join {{ ref('int_case_persons') }} as persons
    on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
where routes.is_escalation_candidate
