-- Signals of persons who are not to be approached (ops.suppressions), with the eligibility rule that says so. A person is
-- recognised by what was recorded, by one of the month's own signals, or, when such a signal lacks a birth date, by an
-- earlier signal of the same person; all signals of that person in the month count then.
--
-- What is in force on any day of a month counts for the whole month: somebody who objects halfway is called no more. A view
-- over all months, so that it tells at any moment what is recorded now; read it by signal_month.
{{ config(materialized="view", tags=["matched"]) }}

{%- set in_force_in = "suppressions.valid_from < " ~ first_day_of("{month}") ~ " + interval '1 month'"
    ~ " and (suppressions.valid_to is null or suppressions.valid_to >= " ~ first_day_of("{month}") ~ ")" %}

{#- asked first: without it all signals are hashed before it shows that there is nothing to compare with #}
{%- set any_recorded = "exists (select from recorded_keys)" %}

with recorded_keys as (
    select suppression_id, ground, valid_from, valid_to, subject_key
    from {{ ref('stg_suppressions') }}
    cross join lateral unnest(subject_keys) as keys (subject_key)
)

select distinct
    signals.signal_month,
    signals.signal_id,
    signals.person_id,
    recognised.suppression_id,
    'suppressed_' || recognised.ground as rule_id
from (
    select resolved.signal_month, resolved.person_id, suppressions.suppression_id, suppressions.ground
    from {{ ref('int_persons__resolved') }} as resolved
    inner join {{ ref('stg_suppressions') }} as suppressions on resolved.person_id = any(suppressions.person_ids)
    where {{ in_force_in | replace("{month}", "resolved.signal_month") }}

    union all

    select resolved.signal_month, resolved.person_id, suppressions.suppression_id, suppressions.ground
    from {{ ref('int_persons__resolved') }} as resolved
    inner join {{ ref('int_signals__keyed') }} as keyed
        on keyed.signal_id = resolved.signal_id and keyed.signal_month = resolved.signal_month
    cross join lateral ({{ suppression_keys_of("keyed") }}) as own
    inner join recorded_keys as suppressions on suppressions.subject_key = own.subject_key
    where {{ any_recorded }} and {{ in_force_in | replace("{month}", "resolved.signal_month") }}

    union all

    select resolved.signal_month, resolved.person_id, suppressions.suppression_id, suppressions.ground
    from {{ ref('int_persons__resolved') }} as resolved
    inner join {{ ref('int_signals__keyed') }} as keyed
        on keyed.signal_id = resolved.signal_id and keyed.signal_month = resolved.signal_month
    inner join {{ ref('int_persons__resolved') }} as before
        on before.person_id = resolved.person_id and before.signal_month < resolved.signal_month
    inner join {{ ref('int_signals__keyed') }} as known
        on known.signal_id = before.signal_id and known.signal_month = before.signal_month
    cross join lateral ({{ suppression_keys_of("known") }}) as own
    inner join recorded_keys as suppressions on suppressions.subject_key = own.subject_key
    where
        {{ any_recorded }}
        and keyed.birth_on is null
        and known.birth_on is not null
        and {{ in_force_in | replace("{month}", "resolved.signal_month") }}
) as recognised
inner join {{ ref('int_persons__resolved') }} as signals
    on signals.person_id = recognised.person_id and signals.signal_month = recognised.signal_month
