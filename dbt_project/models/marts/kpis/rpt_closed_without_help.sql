-- Whom the month's closure would make disappear: every closed case of somebody who refused or was not reached, and until
-- when a next signal on the address (or of the person, for a refusal) finds them again. Case ids only; names are in
-- outbound, for whom may see them. Nobody is approached for standing here: only a new signal makes a new offer.
with closed as (
    select case_id, closed_on, arrears_eur
    from {{ ref('fct_month_end_closures') }}
    where signal_month = {{ month() }} and state = 'closed'
),

outcomes as (
    select
        outcomes.case_id,
        max(outcomes.result_on) filter (where consequences.consequence = 'refused_help') as refused_on,
        max(outcomes.result_on) filter (where consequences.consequence = 'not_reached') as not_reached_on,
        bool_or(outcomes.is_help_accepted) as is_helped
    from {{ ref('fct_outcomes') }} as outcomes
    left join {{ ref('outcome_consequences') }} as consequences
        on consequences.result_code = outcomes.result_code
        and consequences.consequence in ('refused_help', 'not_reached')
        and {{ in_force('consequences', month_start()) }}
    where outcomes.signal_month = {{ month() }} and not outcomes.is_withdrawn
    group by outcomes.case_id
),

rules as (
    select rule_id, lookback_months
    from {{ ref('route_rules') }} as rules
    where rules.is_enabled and {{ in_force('rules', month_start()) }}
),

consecutive as (
    select consecutive_months
    from {{ ref('address_rules') }} as rules
    where {{ in_force('rules', month_start()) }}
)

select
    {{ month() }}::text as signal_month,
    closed.case_id,
    case when outcomes.refused_on is not null then 'refused' else 'not_reached' end as ground,
    closed.closed_on,
    closed.arrears_eur,
    -- the route "recurring" looks for a refusal, and for not reached only where the municipality chose so
    case
        when outcomes.refused_on is not null then
            (outcomes.refused_on + make_interval(months => of_refusal.lookback_months))::date
        else (outcomes.not_reached_on + make_interval(months => of_not_reached.lookback_months))::date
    end as recurring_until_on,
    to_char({{ month_start() }} + make_interval(months => consecutive.consecutive_months), 'YYYY-MM')
        as consecutive_until_month
from closed
inner join outcomes on outcomes.case_id = closed.case_id
cross join consecutive
left join rules as of_refusal on of_refusal.rule_id = 'direct_recurring'
left join rules as of_not_reached on of_not_reached.rule_id = 'direct_recurring_not_reached'
where not outcomes.is_helped and coalesce(outcomes.refused_on, outcomes.not_reached_on) is not null
