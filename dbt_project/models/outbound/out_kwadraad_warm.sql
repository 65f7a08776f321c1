-- Sheet Warm: Certin spoke with this person, who accepts help; with when and how they like to be called back, what became
-- of it, and how many days they wait(ed). Days are counted up to the day the exporter says (vs.business_date), else up to
-- the last answer of RIS about the month: never up to the clock.
{{ config(tags=["categorised"]) }}

with known as (
    select signal_month, max({{ local_time('updated_at') }}::date) as known_on
    from {{ ref('stg_ris_outcomes') }}
    group by signal_month
)

select
    {{ kwadraad_columns() }}, routes.phone_1, routes.phone_2,
    outcomes.result_at as accepted_at,
    greatest(
        coalesce(
            followups.followup_started_on,
            nullif(current_setting('vs.business_date', true), '')::date,
            known.known_on
        ) - {{ local_time('outcomes.result_at') }}::date,
        0
    ) as days_waiting,
    outcomes.callback_part_of_day, outcomes.callback_from, outcomes.callback_until,
    outcomes.callback_on, outcomes.situation_summary,
    followups.followup_started_on, followups.followup_ended_on
from {{ kwadraad_sources() }}
inner join {{ ref('stg_ris_outcomes') }} as outcomes on outcomes.call_record_id = routes.call_record_id
inner join {{ ref('outcome_consequences') }} as consequences
    on consequences.result_code = outcomes.result_code
    and consequences.consequence = 'help_accepted'
    and {{ in_force('consequences', first_day_of('outcomes.signal_month')) }}
inner join known on known.signal_month = routes.signal_month
left join lateral (
    select
        min(made.started_on) as followup_started_on,
        -- ended only when nothing runs any more
        case when bool_and(made.ended_on is not null) then max(made.ended_on) end as followup_ended_on
    from {{ ref('stg_ris_followups') }} as made
    where made.case_id = persons.case_id and made.started_on >= {{ local_time('outcomes.result_at') }}::date
) as followups on true
