-- Persons of this month who are known at another address: moved, or an address written wrongly. The same bsn, or enough
-- evidence (int_signal_pairs__elsewhere), or a person decided so. The link serves recurrence
-- only (has this person refused help before?); cases and ids stay apart. Each row names the two signals that were compared.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}, {"columns": ["person_id"]}]) }}

with pairs as (
    select left_signal_id, right_signal_id, right_signal_month, tier, evidence, score
    from {{ ref('int_signal_pairs__elsewhere') }}
    where signal_month = {{ month() }} and tier is not null
),

decided as (
    select
        left_side.person_id as left_person_id, right_side.person_id as right_person_id,
        decisions.left_signal_id, decisions.right_signal_id, decisions.is_same_person
    from {{ ref('stg_match_decisions') }} as decisions
    inner join {{ ref('int_persons__resolved') }} as left_side on left_side.signal_id = decisions.left_signal_id
    inner join {{ ref('int_persons__resolved') }} as right_side on right_side.signal_id = decisions.right_signal_id
    where
        left_side.signal_month <= {{ month() }} and right_side.signal_month <= {{ month() }}
        and left_side.person_id <> right_side.person_id
),

decided_both_ways as (
    select * from decided
    union all
    select right_person_id, left_person_id, right_signal_id, left_signal_id, is_same_person from decided
),

-- two persons of one month know each other both ways
compared as (
    select
        left_signal_id as signal_id, right_signal_id as earlier_signal_id, right_signal_month as earlier_signal_month,
        tier, evidence, score
    from pairs
    union all
    select right_signal_id, left_signal_id, {{ month() }}, tier, evidence, score
    from pairs
    where right_signal_month = {{ month() }}
),

here as (
    select signal_id, person_id from {{ ref('int_persons__resolved') }} where signal_month = {{ month() }}
),

found as (
    select
        here.person_id, there.person_id as earlier_person_id,
        compared.tier, compared.evidence, compared.score, compared.signal_id, compared.earlier_signal_id
    from compared
    inner join here on here.signal_id = compared.signal_id
    inner join {{ ref('int_persons__resolved') }} as there
        on there.signal_id = compared.earlier_signal_id and there.signal_month = compared.earlier_signal_month
    union all
    select
        here.person_id, decided_both_ways.right_person_id, 'decided', 'decided by a person', 1.000,
        decided_both_ways.left_signal_id, decided_both_ways.right_signal_id
    from decided_both_ways
    inner join (select distinct person_id from here) as here on here.person_id = decided_both_ways.left_person_id
    where decided_both_ways.is_same_person
)

select distinct on (found.person_id, found.earlier_person_id)
    {{ month() }}::text as signal_month,
    found.person_id,
    found.earlier_person_id,
    found.tier,
    found.evidence,
    found.score,
    found.signal_id,
    found.earlier_signal_id
from found
left join decided_both_ways as rejected
    on rejected.left_person_id = found.person_id
    and rejected.right_person_id = found.earlier_person_id
    and not rejected.is_same_person
where found.person_id <> found.earlier_person_id and rejected.left_person_id is null
order by
    found.person_id, found.earlier_person_id, found.score desc, found.signal_id, found.earlier_signal_id
