-- Why: what the monthly closure does not name, vanishes (pilot report). Every case of the month is closed, open or excluded
-- exactly once, and the books balance in cases and in euros.
-- Owner: gegevensbeheer. Fails: the month's closure and everything reported on it.
{{ config(meta={'owner': 'gegevensbeheer', 'impact': 'rpt_closure_accounting'}) }}

select 'the books of the month do not balance' as problem, signal_month as what
from {{ ref('rpt_closure_accounting') }}
where signal_month = {{ month() }}
    and (
        cases_unaccounted <> 0
        or arrears_opened_eur <> arrears_closed_eur + arrears_open_eur + arrears_excluded_eur
    )
union all
select 'a month without books', {{ month() }}
where not exists (select 1 from {{ ref('rpt_closure_accounting') }} where signal_month = {{ month() }})
union all
select 'a case stands in the cases or in the closures only', coalesce(cases.case_id, closures.case_id)
from (select case_id from {{ ref('int_cases') }} where signal_month = {{ month() }}) as cases
full join (select case_id from {{ ref('fct_month_end_closures') }} where signal_month = {{ month() }}) as closures
    on closures.case_id = cases.case_id
where cases.case_id is null or closures.case_id is null
union all
select 'a case that RIS did not accept is closed', case_id
from {{ ref('fct_month_end_closures') }}
where signal_month = {{ month() }}
    and (state = 'closed') <> (
        coalesce(ris_state, '') = 'accepted' and not is_reopened and ddas_result is not null and closed_on is not null
    )
