-- Where a person in a case goes.
{{ config(materialized='table') }}

select route, route_order, label_nl, handled_by, is_direct
from {{ ref('routes') }}
