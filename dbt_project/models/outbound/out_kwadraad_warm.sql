-- Sheet Warm: Certin spoke with this person, who accepts help; with when and how they like to be called back.
{{ config(tags=["categorised"]) }}

select
    {{ kwadraad_columns() }}, routes.phone_1, routes.phone_2,
    outcomes.result_at as accepted_at, outcomes.callback_part_of_day, outcomes.callback_from, outcomes.callback_until,
    outcomes.callback_on, outcomes.situation_summary
from {{ kwadraad_sources() }}
inner join {{ ref('stg_ris_outcomes') }} as outcomes on outcomes.call_record_id = routes.call_record_id
inner join {{ ref('outcome_consequences') }} as consequences
    on consequences.result_code = outcomes.result_code
    and consequences.consequence = 'help_accepted'
    and {{ in_force('consequences', first_day_of('outcomes.signal_month')) }}
