-- Persons who turn up at a new address: the same bsn, or the same birth date, surname and initials, as a person known at
-- another address. The link serves recurrence only (has this person refused help before?); cases and ids stay apart.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}, {"columns": ["person_id"]}]) }}

with lookback as (
    select to_char(
        {{ month_start() }} - make_interval(months => max(threshold)::integer), 'YYYY-MM'
    ) as first_month
    from {{ ref('match_rules') }} as match_rules
    where rule_id = 'lookback_months' and {{ in_force('match_rules', month_start()) }}
),

arrivals as (
    select resolved.person_id, keyed.*
    from {{ ref('int_persons__resolved') }} as resolved
    inner join {{ ref('int_signals__keyed') }} as keyed
        on keyed.signal_id = resolved.signal_id and keyed.signal_month = resolved.signal_month
    where resolved.signal_month = {{ month() }} and resolved.match_tier = 'new'
),

candidates as (
    select arrivals.person_id, known.signal_id, known.signal_month, 'bsn' as evidence, 1 as strength
    from arrivals
    inner join {{ ref('int_signals__keyed') }} as known
        on known.bsn_key = arrivals.bsn_key and known.address_key <> arrivals.address_key
    where known.signal_month < {{ month() }} and known.signal_month >= (select first_month from lookback)
    union all
    select arrivals.person_id, known.signal_id, known.signal_month, 'birth date and name', 2
    from arrivals
    inner join {{ ref('int_signals__keyed') }} as known
        on known.birth_on = arrivals.birth_on
        and known.surname_key = arrivals.surname_key
        and known.initials_key = arrivals.initials_key
        and known.address_key <> arrivals.address_key
        and coalesce(known.bsn_key = arrivals.bsn_key, true)
    where known.signal_month < {{ month() }} and known.signal_month >= (select first_month from lookback)
)

select distinct on (candidates.person_id)
    {{ month() }}::text as signal_month,
    candidates.person_id,
    resolved.person_id as earlier_person_id,
    candidates.evidence
from candidates
inner join {{ ref('int_persons__resolved') }} as resolved
    on resolved.signal_id = candidates.signal_id and resolved.signal_month = candidates.signal_month
where resolved.person_id <> candidates.person_id
order by candidates.person_id, candidates.strength, candidates.signal_month desc, resolved.person_id
