-- Who delivers signals, as the contracts say.
{{ config(materialized='table') }}

select partner, partner_name, sector, delivery_day, contract_version
from {{ ref('stg_partners') }}
