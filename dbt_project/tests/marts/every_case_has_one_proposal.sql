-- Why: a case without a proposal would be lost in silence, and one closed without result or date cannot be sent to RIS.
-- Owner: gegevensbeheer. Fails: the closure batch.
{{ config(meta={'owner': 'gegevensbeheer', 'impact': 'out_ris_closures'}) }}

select 'proposals of this case: ' || count(proposed.case_id) as problem, cases.case_id as what
from {{ ref('int_cases') }} as cases
left join {{ ref('int_closures__proposed') }} as proposed
    on proposed.case_id = cases.case_id and proposed.signal_month = cases.signal_month
where cases.signal_month = {{ month() }}
group by cases.case_id
having count(proposed.case_id) <> 1
union all
select 'closed without result or date, or the other way round', case_id
from {{ ref('int_closures__proposed') }}
where signal_month = {{ month() }}
    and (state = 'closed') <> (ddas_result is not null and closed_on is not null)
