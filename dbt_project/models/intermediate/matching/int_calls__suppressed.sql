-- Call records of persons who are not to be approached, as recorded at this moment: also when the wish came in after the
-- month was built. The exporter leaves them off every file and withdraws what went out; gate G5 stops at one.
{{ config(materialized="view", tags=["matched"], grants={"select": ["vs_exporter"]}) }}

select distinct matched.signal_month, matched.call_record_id
from {{ ref('int_signals__matched') }} as matched
inner join {{ ref('int_signals__suppressed') }} as suppressed
    on suppressed.person_id = matched.person_id and suppressed.signal_month = matched.signal_month
where matched.call_record_id is not null
