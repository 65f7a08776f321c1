-- One row per partner with a contract.
select partner, partner_name, sector, delivery_day, contract_version
from {{ source('ops', 'partners') }}
