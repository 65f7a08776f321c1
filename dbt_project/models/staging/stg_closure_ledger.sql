-- One row per closed version of a month.
select
    signal_month, version, batch_id, cases_opened, cases_closed, cases_open, cases_excluded, arrears_closed_eur,
    content_hash, reason, closed_at
from {{ source('ops', 'closure_ledger') }}
