-- The one way each person of the month goes, with the rule that said so: what int_routes__direct decided, else calling when
-- there is a number to call, else a visit or a letter.
{{ config(tags=["categorised"], indexes=[{"columns": ["signal_month"]}, {"columns": ["case_id"]}, {"columns": ["call_record_id"]}]) }}

with direct as (
    select * from {{ ref('int_routes__direct') }} where signal_month = {{ month() }}
),

to_call as (
    select
        case_id, person_id,
        max(phone) filter (where position = 1) as phone_1,
        max(phone) filter (where position = 2) as phone_2
    from {{ ref('int_call_numbers') }}
    where signal_month = {{ month() }}
    group by case_id, person_id
),

-- Kwadraad's own contacts may share a number: a worker sees who is who
own_two as (
    select
        case_id, person_id,
        max(phone) filter (where preference = 1) as phone_1,
        max(phone) filter (where preference = 2) as phone_2
    from {{ ref('int_phones') }}
    where signal_month = {{ month() }}
    group by case_id, person_id
),

rules as (
    select * from {{ ref('route_rules') }} as route_rules
    where is_enabled and {{ in_force('route_rules', month_start()) }}
),

decided as (
    select
        direct.*, cases.is_multiple, cases.arrears_eur as case_arrears_eur, cases.largest_signal_eur,
        to_call.phone_1 as call_1, to_call.phone_2 as call_2, own_two.phone_1 as own_1, own_two.phone_2 as own_2
    from direct
    left join {{ ref('int_cases') }} as cases on cases.case_id = direct.case_id and cases.signal_month = {{ month() }}
    left join to_call on to_call.case_id = direct.case_id and to_call.person_id = direct.person_id
    left join own_two on own_two.case_id = direct.case_id and own_two.person_id = direct.person_id
)

select
    {{ month() }}::text as signal_month,
    decided.person_id,
    decided.case_id,
    decided.call_record_id,
    coalesce(decided.route, verdicts.route) as route,
    coalesce(decided.rule_id, verdicts.rule_id) as rule_id,
    coalesce(decided.reason, verdicts.reason) as reason,
    case
        when decided.rule_id is not null then decided.own_1
        when verdicts.route = 'call' then decided.call_1
    end as phone_1,
    case
        when decided.rule_id is not null then decided.own_2
        when verdicts.route = 'call' then decided.call_2
    end as phone_2,
    decided.is_escalation_candidate
from decided
left join lateral (
    select rules.route, rules.rule_id, rules.reason
    from rules
    where
        decided.rule_id is null
        and case rules.rule_id
            when 'call' then decided.call_1 is not null
            when 'visit_multiple' then decided.is_multiple
            when 'visit_amount' then
                case rules.level when 'signal' then decided.largest_signal_eur else decided.case_arrears_eur end
                > rules.threshold_eur
            when 'letter' then true
        end
    order by rules.rule_order
    limit 1
) as verdicts on true
