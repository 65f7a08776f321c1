-- One row per case in a closure batch to RIS, with RIS's answer.
select
    items.batch_id, batches.version, items.case_id, items.signal_month, items.ddas_result, items.reason, items.closed_on,
    items.state, items.rejection_reason, items.reopened_in_version, batches.state as batch_state, batches.acknowledged_at
from {{ source('ops', 'closure_items') }} as items
inner join {{ source('ops', 'closure_batches') }} as batches on batches.batch_id = items.batch_id
