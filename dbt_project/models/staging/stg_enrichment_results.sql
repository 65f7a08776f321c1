-- One row per answered line; an answer without a phone says that nothing was found.
select
    signal_month, request_id, phone, source, match_level, matched_on, confidence, delivery_id, line_number
from {{ source('landing', 'enrichment_results') }}
