-- What a call can come to: the newest wording of every result code.
{{ config(materialized='table') }}

select distinct on (code)
    code as result_code,
    result_order,
    result_group,
    ddas_result,
    label_nl,
    is_invalid_number
from {{ ref('result_codes') }}
order by code, valid_from desc
