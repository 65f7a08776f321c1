-- What decides about a person before any phone number counts: the first enabled route rule that comes before `call`.
-- One row per person of the month; rule_id empty = nothing stands in the way of calling.
{{ config(tags=["categorised"], indexes=[{"columns": ["signal_month"]}]) }}

with persons as (
    select distinct person_id from {{ ref('int_signals__matched') }} where signal_month = {{ month() }}
),

facts as (
    select
        persons.person_id, case_persons.case_id, case_persons.call_record_id,
        case_persons.arrears_eur, case_persons.refused_on, case_persons.refused_arrears_eur,
        case_persons.not_reached_on, case_persons.last_signal_on,
        cases.arrears_eur as case_arrears_eur, cases.largest_signal_eur, cases.has_crisis
    from persons
    left join {{ ref('int_case_persons') }} as case_persons
        on case_persons.person_id = persons.person_id and case_persons.signal_month = {{ month() }}
    left join {{ ref('int_cases') }} as cases
        on cases.case_id = case_persons.case_id and cases.signal_month = {{ month() }}
),

rules as (
    select * from {{ ref('route_rules') }} as route_rules
    where is_enabled and {{ in_force('route_rules', month_start()) }}
)

select
    {{ month() }}::text as signal_month,
    facts.person_id,
    facts.case_id,
    facts.call_record_id,
    verdicts.route,
    verdicts.rule_id,
    verdicts.reason,
    coalesce(escalation.is_candidate, false) as is_escalation_candidate
from facts
left join lateral (
    select rules.route, rules.rule_id, rules.reason
    from rules
    where
        rules.rule_order < (select rule_order from rules where rule_id = 'call')
        and case rules.rule_id
            when 'not_picked_up' then facts.case_id is null
            when 'direct_crisis' then facts.has_crisis
            when 'direct_over_threshold' then
                case rules.level when 'signal' then facts.largest_signal_eur else facts.case_arrears_eur end > rules.threshold_eur
            when 'direct_recurring' then
                facts.refused_on >= facts.last_signal_on - make_interval(months => rules.lookback_months)
            when 'direct_recurring_not_reached' then
                facts.not_reached_on >= facts.last_signal_on - make_interval(months => rules.lookback_months)
        end
    order by rules.rule_order
    limit 1
) as verdicts on true
left join lateral (
    select true as is_candidate
    from rules
    where
        rules.rule_id = 'escalation_candidate'
        and facts.refused_on >= facts.last_signal_on - make_interval(months => rules.lookback_months)
        and facts.arrears_eur > facts.refused_arrears_eur
) as escalation on true
