-- One row per person whose number was asked for.
select request_id, signal_month, sequence
from {{ source('ops', 'enrichment_requests') }}
