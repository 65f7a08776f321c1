-- The month's full call list: one row per person to call. What was delivered before stays on it as long as it is to be
-- called; the exporter sends only what is new or withdrawn.
{{ config(tags=["categorised"], materialized="incremental", incremental_strategy="replace_month", full_refresh=false,
    on_schema_change="append_new_columns", indexes=[{"columns": ["signal_month"]}]) }}

with rules as (
    select
        call_rules.max_attempts, call_rules.script_version,
        {{ month_start() }} + (call_rules.call_from_day - 1) as earliest_on,
        ({{ month_start() }} + interval '1 month' - interval '1 day')::date as last_on
    from {{ ref('call_rules') }} as call_rules
    where {{ in_force('call_rules', month_start()) }}
),

-- calls begin on a working day: Certin's people and Kwadraad's are both there for the first questions
windows as (
    select rules.*, min(days.day_on)::date as call_from
    from rules
    cross join generate_series(rules.earliest_on, rules.last_on, interval '1 day') as days (day_on)
    where extract(isodow from days.day_on) < 6
        and not exists (select from {{ ref('public_holidays') }} where holiday_on = days.day_on::date)
    group by rules.max_attempts, rules.script_version, rules.earliest_on, rules.last_on
)

select
    {{ month() }}::text as signal_month,
    routes.call_record_id,
    routes.case_id,
    routes.phone_1,
    routes.phone_2,
    persons.initials,
    persons.name_prefix,
    persons.surname,
    persons.house_number,
    persons.sectors,
    windows.call_from,
    windows.last_on as call_until,
    windows.max_attempts,
    windows.script_version
from {{ ref('int_routes') }} as routes
inner join {{ ref('int_case_persons') }} as persons
    on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
cross join windows
where routes.signal_month = {{ month() }} and routes.route = 'call'
