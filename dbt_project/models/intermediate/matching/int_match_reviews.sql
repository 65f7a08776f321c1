-- Pairs a person must look at: alike enough to ask, not enough to decide. Two persons once per month, with the strongest
-- evidence.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}]) }}

with persons as (
    select
        pairs.*,
        left_side.person_id as left_person_id,
        right_side.person_id as right_person_id
    from {{ ref('int_signal_pairs__compared') }} as pairs
    inner join {{ ref('int_persons__resolved') }} as left_side
        on left_side.signal_id = pairs.left_signal_id and left_side.signal_month = pairs.signal_month
    inner join {{ ref('int_persons__resolved') }} as right_side
        on right_side.signal_id = pairs.right_signal_id and right_side.signal_month = pairs.right_signal_month
    where
        pairs.signal_month = {{ month() }}
        and (pairs.is_plausible or pairs.tier is not null)
        and left_side.person_id <> right_side.person_id
)

select distinct on (least(left_person_id, right_person_id), greatest(left_person_id, right_person_id))
    signal_month, left_person_id, right_person_id, evidence, score, address_key,
    left_signal_id, right_signal_id, right_signal_month
from persons
order by
    least(left_person_id, right_person_id), greatest(left_person_id, right_person_id),
    score desc, left_signal_id, right_signal_id
