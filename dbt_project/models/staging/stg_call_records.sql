-- One row per call record ever put on a call list: the billing unit.
select
    call_record_id, case_id, signal_month, sequence, file_name, script_version,
    withdrawn_in_sequence, withdrawn_in_sequence is not null as is_withdrawn, delivered_at
from {{ source('ops', 'call_records') }}
