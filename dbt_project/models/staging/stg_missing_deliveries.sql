-- One row per partner that had not delivered on the contract's day.
select signal_month, partner, due_on
from {{ source('ops', 'missing_deliveries') }}
