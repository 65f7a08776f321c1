-- Who comes back: every signal of the month on an address, or of a person, that had a case in the months before, with how
-- that case ended. Shows that who refused or was not reached is found by the next signal, and which quick fixes did not
-- hold: a new signal of the same partner within the days of the seed return_rules.
with rules as (
    select
        rules.quick_fix_days,
        to_char({{ month_start() }} - make_interval(months => rules.lookback_months), 'YYYY-MM') as first_month
    from {{ ref('return_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
),

signals as (
    select signal_id, partner, person_id, address_key, is_address_split, case_id, signal_on
    from {{ ref('int_signals__matched') }}
    where signal_month = {{ month() }}
),

persons as (
    select distinct person_id, person_id as known_as from signals
    union
    select moves.person_id, moves.earlier_person_id
    from {{ ref('int_person_moves') }} as moves
    where moves.signal_month <= {{ month() }} and moves.person_id in (select person_id from signals)
),

earlier as (
    select signals.signal_id, found.case_id, found.signal_month, found.partner, false as is_same_person
    from signals
    inner join {{ ref('int_signals__matched') }} as found
        on found.address_key = signals.address_key and not signals.is_address_split
    where
        found.signal_month < {{ month() }} and found.signal_month >= (select first_month from rules)
        and found.case_id is not null
    union all
    select signals.signal_id, found.case_id, found.signal_month, found.partner, true
    from signals
    inner join persons on persons.person_id = signals.person_id
    inner join {{ ref('int_signals__matched') }} as found on found.person_id = persons.known_as
    where
        found.signal_month < {{ month() }} and found.signal_month >= (select first_month from rules)
        and found.case_id is not null
),

cases_before as (
    select
        earlier.signal_id, earlier.case_id, earlier.signal_month,
        bool_or(earlier.is_same_person) as is_same_person,
        bool_or(earlier.partner = signals.partner) as is_same_partner
    from earlier
    inner join signals on signals.signal_id = earlier.signal_id
    group by earlier.signal_id, earlier.case_id, earlier.signal_month
),

-- looked up case by case, so that the years before are not read
ended as (
    select
        cases_before.*,
        closures.state as closure_state,
        closures.closed_on,
        followups.quick_fix_on,
        followups.helped_on,
        without_help.ground
    from cases_before
    left join {{ ref('fct_month_end_closures') }} as closures
        on closures.signal_month = cases_before.signal_month and closures.case_id = cases_before.case_id
    left join {{ ref('rpt_closed_without_help') }} as without_help
        on without_help.signal_month = cases_before.signal_month and without_help.case_id = cases_before.case_id
    left join lateral (
        select
            max(coalesce(made.ended_on, made.started_on)) filter (where made.kind = 'quick_fix') as quick_fix_on,
            max(coalesce(made.ended_on, made.started_on)) filter (
                where made.kind not in ('quick_fix', 'no_response', 'declined')
            ) as helped_on
        from {{ ref('fct_followups') }} as made
        where made.signal_month = cases_before.signal_month and made.case_id = cases_before.case_id
    ) as followups on true
),

told as (
    select
        ended.*,
        case
            when ended.quick_fix_on is not null then 'quick_fix'
            when ended.helped_on is not null then 'other_help'
            when ended.ground is not null then ended.ground
            when ended.closure_state = 'closed' then 'closed_otherwise'
            else 'still_open'
        end as ended_as,
        coalesce(ended.quick_fix_on, ended.helped_on, ended.closed_on) as ended_on
    from ended
)

select
    {{ month() }}::text as signal_month,
    signals.signal_id,
    signals.partner,
    signals.case_id,
    told.signal_month as earlier_signal_month,
    told.case_id as earlier_case_id,
    told.is_same_partner,
    told.is_same_person,
    told.ended_as,
    told.ended_on,
    signals.signal_on - told.ended_on as days_since_end,
    coalesce(
        told.ended_as = 'quick_fix' and told.is_same_partner
        and signals.signal_on - told.ended_on between 0 and rules.quick_fix_days,
        false
    ) as is_quick_fix_relapse,
    cases.leading_route as route,
    coalesce(cases.is_consecutive, false) as is_consecutive
from told
inner join signals on signals.signal_id = told.signal_id
cross join rules
left join {{ ref('fct_cases') }} as cases on cases.signal_month = {{ month() }} and cases.case_id = signals.case_id
