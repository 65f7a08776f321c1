-- The closure batch for RIS: every case the month proposes to close.
{{ config(tags=['closure']) }}

select signal_month, case_id, ddas_result, reason, closed_on
from {{ ref('int_closures__proposed') }}
where state = 'closed'
