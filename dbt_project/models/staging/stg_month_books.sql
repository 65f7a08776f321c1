-- The books of a month by partner: rows of its files, and rows that were released into it.
select signal_month, partner, rows_received, rows_loaded, rows_quarantined, rows_duplicate, rows_carried_over
from {{ source('ops', 'month_books') }}
