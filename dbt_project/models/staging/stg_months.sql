-- One row per signal month that was opened.
select signal_month, opened_at
from {{ source('ops', 'months') }}
