-- Sheet Zonder nummer: a letter or a visit, because there is no number to call.
{{ config(tags=["categorised"]) }}

select {{ kwadraad_columns() }}
from {{ kwadraad_sources() }}
where routes.route in ('letter', 'visit')
