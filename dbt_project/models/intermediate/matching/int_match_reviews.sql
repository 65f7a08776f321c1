-- Pairs a person must look at: alike enough to ask, not enough to decide. Two persons once per month, with the strongest
-- evidence; a pair that was decided about is not asked again. Every question is kept in ops.match_reviews, where the answer
-- goes too (`vs review`); a question that no longer arises and was not answered leaves it.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}],
    post_hook=[
        "delete from ops.match_reviews as kept where kept.signal_month = {{ month() }} and kept.state = 'open'
         and not exists (select 1 from {{ this }} as asked where asked.review_id = kept.review_id)",
        "insert into ops.match_reviews
            (review_id, signal_month, place, left_person_id, right_person_id, left_signal_id, right_signal_id, evidence, score)
         select review_id, signal_month, place, left_person_id, right_person_id, left_signal_id, right_signal_id, evidence, score
         from {{ this }} where signal_month = {{ month() }}
         on conflict (review_id) do nothing",
    ],
) }}

{% set asked = "signal_month, left_signal_id, right_signal_id, right_signal_month, address_key, place, evidence, score" -%}
with pairs as (
    select {{ asked }} from {{ ref('int_signal_pairs__at_address') }} where tier is not null or is_plausible
    union all
    -- what links at another address is remembered already (int_person_moves)
    select {{ asked }} from {{ ref('int_signal_pairs__elsewhere') }} where is_plausible
),

persons as (
    select
        pairs.*,
        left_side.person_id as left_person_id,
        right_side.person_id as right_person_id
    from pairs
    inner join {{ ref('int_persons__resolved') }} as left_side
        on left_side.signal_id = pairs.left_signal_id and left_side.signal_month = pairs.signal_month
    inner join {{ ref('int_persons__resolved') }} as right_side
        on right_side.signal_id = pairs.right_signal_id and right_side.signal_month = pairs.right_signal_month
    where pairs.signal_month = {{ month() }} and left_side.person_id <> right_side.person_id
),

decided as (
    select left_side.person_id as left_person_id, right_side.person_id as right_person_id
    from {{ ref('stg_match_decisions') }} as decisions
    inner join {{ ref('int_persons__resolved') }} as left_side on left_side.signal_id = decisions.left_signal_id
    inner join {{ ref('int_persons__resolved') }} as right_side on right_side.signal_id = decisions.right_signal_id
)

select distinct on (least(left_person_id, right_person_id), greatest(left_person_id, right_person_id))
    {{ keyed_id('review', "least(left_person_id, right_person_id) || '|' || greatest(left_person_id, right_person_id)") }}
        as review_id,
    signal_month, place, left_person_id, right_person_id, evidence, score, address_key,
    left_signal_id, right_signal_id, right_signal_month
from persons
where not exists (
    select 1
    from decided
    where (persons.left_person_id, persons.right_person_id) in (
        (decided.left_person_id, decided.right_person_id), (decided.right_person_id, decided.left_person_id)
    )
)
order by
    least(left_person_id, right_person_id), greatest(left_person_id, right_person_id),
    score desc, left_signal_id, right_signal_id
