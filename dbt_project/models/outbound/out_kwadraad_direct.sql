-- Sheet Direct: crisis, arrears over the threshold, and recurring after a refusal; never called by Certin.
{{ config(tags=["categorised"]) }}

select {{ kwadraad_columns() }}, routes.phone_1, routes.phone_2
from {{ kwadraad_sources() }}
where ways.handled_by = 'kwadraad' and routes.route like 'direct%'
