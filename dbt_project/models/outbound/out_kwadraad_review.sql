-- Sheet Beoordelen: what a person must decide. `match`: are these two the same person? `escalation`: refused before, and the
-- arrears have grown (only when the municipality has switched that rule on), as long as nobody has decided.
{{ config(tags=["categorised"]) }}

select
    reviews.signal_month, 'match'::text as subject, left_side.case_id,
    reviews.left_person_id, reviews.right_person_id,
    {{ full_name('left_side') }} as left_name, left_side.birth_on as left_birth_on, left_side.partner as left_partner,
    {{ full_name('right_side') }} as right_name, right_side.birth_on as right_birth_on, right_side.partner as right_partner,
    left_side.street, left_side.house_number, left_side.house_letter, left_side.house_number_addition,
    left_side.postcode, left_side.city, reviews.evidence, reviews.score, reviews.review_id
from {{ ref('int_match_reviews') }} as reviews
inner join {{ ref('int_signals__matched') }} as left_side
    on left_side.signal_id = reviews.left_signal_id and left_side.signal_month = reviews.signal_month
inner join {{ ref('int_signals__matched') }} as right_side
    on right_side.signal_id = reviews.right_signal_id and right_side.signal_month = reviews.right_signal_month
union all
select
    routes.signal_month, 'escalation', routes.case_id, routes.person_id, null,
    {{ full_name('persons') }}, persons.birth_on, null, null, null, null,
    persons.street, persons.house_number, persons.house_letter, persons.house_number_addition,
    persons.postcode, persons.city,
    format(
        'weigerde hulp op %s; achterstand toen € %s, nu € %s',
        to_char(persons.refused_on, 'DD-MM-YYYY'), persons.refused_arrears_eur, persons.arrears_eur
    ),
    null, null
from {{ ref('int_routes') }} as routes
inner join {{ ref('int_case_persons') }} as persons
    on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
where routes.is_escalation_candidate
    and not exists (
        select 1 from {{ ref('stg_escalation_decisions') }} as decided
        where decided.call_record_id = routes.call_record_id
    )
