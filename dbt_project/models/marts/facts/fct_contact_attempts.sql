-- One row per contact attempt, ours (outbound) or the resident's (inbound), with the audit of the call window: weekdays
-- and Saturdays within the hours of the seed call_rules (both ends included), never on Sundays or public holidays; and
-- whether the number was one we delivered with the record (unknown when RIS does not write it internationally).
{{ config(sql_header=set_wise()) }}
with attempts as (
    select
        attempts.*,
        {{ local_time('attempts.started_at') }} as started_local,
        dense_rank() over (partition by attempts.call_record_id order by attempts.phone nulls last)::integer as number_no
    from {{ ref('stg_ris_attempts') }} as attempts
    where attempts.signal_month = {{ month() }}
),

audited as (
    select
        attempts.*,
        case
            when extract(isodow from attempts.started_local) = 7 then 'sunday'
            when holidays.holiday_on is not null then 'public_holiday'
            when extract(isodow from attempts.started_local) = 6 and (
                attempts.started_local::time < rules.saturday_from or attempts.started_local::time > rules.saturday_until
            ) then 'saturday_hours'
            when extract(isodow from attempts.started_local) < 6 and (
                attempts.started_local::time < rules.weekday_from or attempts.started_local::time > rules.weekday_until
            ) then 'weekday_hours'
        end as outside_reason
    from attempts
    inner join {{ ref('call_rules') }} as rules on {{ in_force('rules', 'attempts.started_local::date') }}
    left join {{ ref('public_holidays') }} as holidays on holidays.holiday_on = attempts.started_local::date
)

select
    audited.signal_month,
    audited.outcome_id,
    audited.attempt_id,
    audited.call_record_id,
    audited.case_id,
    audited.attempt_no,
    audited.direction,
    audited.number_no,
    audited.started_at,
    audited.started_local::date as started_on,
    extract(isodow from audited.started_local)::integer as weekday,
    extract(hour from audited.started_local)::integer as started_hour,
    parts.part_of_day,
    extract(epoch from audited.ended_at - audited.started_at)::integer as duration_seconds,
    audited.reached as is_reached,
    -- the window binds the caller; a resident may call back whenever the line is open
    case when audited.direction = 'outbound' then audited.outside_reason end as outside_reason,
    audited.direction = 'outbound' and audited.outside_reason is not null as is_outside_hours,
    case
        when audited.direction = 'outbound' and audited.phone like '+%' and routes.phone_1 is not null
            then audited.phone in (routes.phone_1, coalesce(routes.phone_2, routes.phone_1))
    end as is_delivered_number,
    call_records.is_withdrawn
from audited
inner join {{ ref('stg_call_records') }} as call_records on call_records.call_record_id = audited.call_record_id
left join {{ ref('int_routes') }} as routes
    on routes.call_record_id = audited.call_record_id and routes.signal_month = {{ month() }} and routes.route = 'call'
inner join {{ ref('parts_of_day') }} as parts
    on audited.started_local::time >= parts.from_time and audited.started_local::time < parts.until_time
    and {{ in_force('parts', 'audited.started_local::date') }}
