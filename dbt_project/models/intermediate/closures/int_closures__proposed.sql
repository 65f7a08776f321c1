-- What the end of the month proposes for every case: closed, open or excluded, with the rule that says so.
-- Every condition that holds for a person in the case is a candidate; one exclusion excludes the case, else one open
-- leaves it open, else it is closed with the result that weighs most (case_priority). Which rules are in force, in which
-- order and with which state is the seed closure_rules.
-- Built with the categories as well, so that a case has a proposal ("no outcome yet") from its first day.
{{ config(tags=['categorised', 'closure']) }}

with cases as (
    select case_id, signal_month, arrears_eur, has_crisis
    from {{ ref('int_cases') }}
    where signal_month = {{ month() }}
),

routes as (
    select case_id, call_record_id, route
    from {{ ref('int_routes') }}
    where signal_month = {{ month() }} and case_id is not null
),

outcomes as (
    select * from {{ ref('int_call_outcomes') }} where signal_month = {{ month() }}
),

rules as (
    select *
    from {{ ref('closure_rules') }} as rules
    where rules.is_enabled and {{ in_force('rules', month_start()) }}
),

call_rules as (
    select rules.max_attempts
    from {{ ref('call_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
),

followups as (
    select
        followups.case_id,
        bool_or(followups.ended_on is null) as has_open,
        max(followups.started_on) as last_started_on,
        max(followups.ended_on) as last_ended_on,
        (array_agg(results.ddas_result order by results.case_priority desc nulls last, followups.followup_id))[1]
            as ddas_result
    from {{ ref('stg_ris_followups') }} as followups
    inner join cases on cases.case_id = followups.case_id
    left join {{ ref('followup_results') }} as results
        on results.kind = followups.kind and {{ in_force('results', month_start()) }}
    group by followups.case_id
),

-- One row per person in the case; an outcome counts even when its person is no longer on a route.
persons as (
    select
        coalesce(routes.case_id, outcomes.case_id) as case_id,
        routes.route,
        outcomes.call_record_id is not null as has_outcome,
        outcomes.result_group,
        outcomes.is_invalid_number,
        outcomes.ddas_result,
        outcomes.case_priority,
        outcomes.result_on,
        outcomes.outbound_attempts,
        outcomes.last_outbound_at,
        outcomes.last_inbound_at,
        outcomes.has_callback_preference
    from routes
    full join outcomes on outcomes.call_record_id = routes.call_record_id
),

judged as (
    select
        persons.*,
        cases.has_crisis,
        call_rules.max_attempts,
        coalesce(followups.has_open, false) as has_open_followup,
        followups.case_id is not null as has_followup,
        coalesce(followups.last_started_on >= persons.result_on, false) as is_followed_up,
        coalesce(followups.last_started_on >= {{ local_time('persons.last_inbound_at') }}::date, false)
            as inbound_is_followed_up,
        case when persons.result_group = 'positive' then followups.ddas_result else persons.ddas_result end
            as case_result
    from cases
    left join persons on persons.case_id = cases.case_id
    left join followups on followups.case_id = cases.case_id
    cross join call_rules
),

conditions as (
    select judged.case_id, candidates.reason, judged.case_result, judged.case_priority
    from judged
    cross join lateral (
        values
            ('over_threshold', judged.route = 'direct_over_threshold'),
            ('crisis', judged.has_crisis or judged.route = 'direct_crisis'),
            -- a follow-up that runs, or help accepted that nobody has taken up yet
            ('open_followup', judged.has_open_followup or (judged.result_group = 'positive' and not judged.has_followup)),
            ('open_callback', judged.has_callback_preference and not judged.is_followed_up),
            (
                'inbound_after_last_attempt',
                judged.last_inbound_at > coalesce(judged.last_outbound_at, '-infinity') and not judged.inbound_is_followed_up
            ),
            (
                'under_seven_attempts',
                judged.result_group = 'not_reached' and not judged.is_invalid_number
                and judged.outbound_attempts < judged.max_attempts
            ),
            ('direct_recurring', judged.route = 'direct_recurring'),
            ('visit', judged.route = 'visit' and not judged.has_outcome),
            ('letter', judged.route = 'letter' and not judged.has_outcome),
            ('no_outcome', judged.route = 'call' and not judged.has_outcome),
            ('followup_ended', judged.result_group = 'positive' and judged.has_followup and not judged.has_open_followup),
            ('negative_outcome', judged.result_group = 'negative'),
            ('not_reached', judged.result_group = 'not_reached')
    ) as candidates (reason, holds)
    where candidates.holds
),

deciding as (
    select distinct on (conditions.case_id)
        conditions.case_id, rules.rule_id, rules.state, rules.reason, conditions.case_result
    from conditions
    inner join rules on rules.reason = conditions.reason
    order by
        conditions.case_id,
        case rules.state when 'excluded' then 1 when 'open' then 2 else 3 end,
        -- among the closed, the result that weighs most is the case's; otherwise the first rule
        case when rules.state = 'closed' then -conditions.case_priority end,
        rules.rule_order
),

last_days as (
    select
        cases.case_id,
        greatest(month_ends.closes_on, max(outcomes.result_on), max(followups.last_ended_on)) as closes_on
    from cases
    inner join {{ ref('int_month_ends') }} as month_ends on month_ends.signal_month = cases.signal_month
    left join outcomes on outcomes.case_id = cases.case_id
    left join followups on followups.case_id = cases.case_id
    group by cases.case_id, month_ends.closes_on
)

select
    cases.signal_month,
    cases.case_id,
    -- no rule holds (a rule was switched off, a code is unknown): never closed by silence
    coalesce(deciding.state, 'open') as state,
    coalesce(deciding.reason, 'no_rule_applies') as reason,
    deciding.rule_id,
    case when deciding.state = 'closed' then deciding.case_result end as ddas_result,
    case when deciding.state = 'closed' then last_days.closes_on end as closed_on,
    cases.arrears_eur
from cases
left join deciding on deciding.case_id = cases.case_id
left join last_days on last_days.case_id = cases.case_id
