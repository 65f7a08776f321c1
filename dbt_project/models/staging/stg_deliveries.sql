-- One row per file that came in, whatever became of it.
select
    delivery_id, contract, contract_version, partner, file_name, signal_month, sequence,
    status, reason_code, warnings, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate, is_late, received_at,
    coalesce(named_month, signal_month) as named_month, delivered_on, due_on, offered_fields
from {{ source('ops', 'deliveries') }}
