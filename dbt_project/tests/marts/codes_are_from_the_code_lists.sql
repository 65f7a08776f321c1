-- Why: an unknown code would end in no group and make shares wrong without anybody seeing it.
-- Owner: gegevensbeheer. Fails: every KPI on outcomes and closures.
{{ config(meta={'owner': 'gegevensbeheer', 'impact': 'kpi_monthly'}) }}

select 'result_code' as problem, outcomes.result_code as what
from {{ ref('fct_outcomes') }} as outcomes
where outcomes.signal_month = {{ month() }}
    and not exists (
        select 1 from {{ ref('result_codes') }} as codes
        where codes.code = outcomes.result_code and {{ in_force('codes', month_start()) }}
    )
union all
select 'followup kind', followups.kind
from {{ ref('fct_followups') }} as followups
where followups.signal_month = {{ month() }}
    and not exists (select 1 from {{ ref('followup_results') }} as results where results.kind = followups.kind)
union all
select 'route', cases.leading_route
from {{ ref('fct_cases') }} as cases
where cases.signal_month = {{ month() }}
    and cases.leading_route is not null
    and not exists (select 1 from {{ ref('dim_route') }} as routes where routes.route = cases.leading_route)
union all
select 'attempt lost between staging and fact', attempts.attempt_id
from {{ ref('stg_ris_attempts') }} as attempts
where attempts.signal_month = {{ month() }}
    and not exists (
        select 1 from {{ ref('fct_contact_attempts') }} as facts
        where facts.signal_month = {{ month() }}
            and facts.outcome_id = attempts.outcome_id and facts.attempt_id = attempts.attempt_id
    )
