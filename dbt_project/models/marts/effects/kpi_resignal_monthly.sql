-- What came after a call: whose arrears were reported again within 30, 60 and 180 days of accepting help, refusing it, or
-- never being reached.
--
-- Every outcome counts once per horizon: in the month in which its days are over. So nobody is in a denominator before the
-- whole time has passed, an earlier month never changes, and the months of a year may be added up. outcome_month is the
-- signal month of the outcome; a month is complete when its denominators at all horizons are equal.
-- Not counted: an outcome that arrives after the month in which its days were over.
with horizons as (
    select horizons.horizon_days
    from {{ ref('effect_horizons') }} as horizons
    where {{ in_force('horizons', month_start()) }}
),

-- results come in their own month or soon after; two months more than the longest horizon hold them all
first_month as (
    select to_char({{ month_start() }} - max(horizon_days) - interval '2 months', 'YYYY-MM') as signal_month from horizons
),

observed as (
    select
        outcomes.signal_month as outcome_month,
        outcomes.call_record_id,
        outcomes.case_id,
        outcomes.result_on,
        coalesce(consequences.consequence, 'other') as outcome_kind,
        horizons.horizon_days,
        outcomes.result_on + horizons.horizon_days as observed_until
    from {{ ref('fct_outcomes') }} as outcomes
    cross join horizons
    left join {{ ref('outcome_consequences') }} as consequences
        on consequences.result_code = outcomes.result_code
        and consequences.consequence in ('help_accepted', 'refused_help', 'not_reached')
        and {{ in_force('consequences', first_day_of('outcomes.signal_month')) }}
    where outcomes.signal_month between (select signal_month from first_month) and {{ month() }}
        and not outcomes.is_withdrawn
        and outcomes.result_on + horizons.horizon_days >= {{ month_start() }}
        and outcomes.result_on + horizons.horizon_days < ({{ month_start() }} + interval '1 month')::date
),

persons as (
    select distinct observed.call_record_id, persons.person_id, cases.address_key
    from observed
    inner join {{ ref('int_case_persons') }} as persons
        on persons.call_record_id = observed.call_record_id and persons.signal_month = observed.outcome_month
    inner join {{ ref('int_cases') }} as cases
        on cases.case_id = observed.case_id and cases.signal_month = observed.outcome_month
),

-- who moved is looked for under the new address too
known_as as (
    select call_record_id, person_id from persons
    union
    select persons.call_record_id, moves.person_id
    from persons
    inner join {{ ref('int_person_moves') }} as moves
        on moves.earlier_person_id = persons.person_id and moves.signal_month <= {{ month() }}
),

-- which partners reported the person in the month of the outcome
reported_by as (
    select distinct signals.call_record_id, signals.partner
    from {{ ref('int_signals__matched') }} as signals
    where signals.signal_month between (select signal_month from first_month) and {{ month() }}
        and signals.call_record_id in (select call_record_id from observed)
),

again_person as (
    select
        known_as.call_record_id, signals.signal_on,
        reported_by.partner is not null as is_same_partner
    from known_as
    inner join {{ ref('int_signals__matched') }} as signals on signals.person_id = known_as.person_id
    left join reported_by
        on reported_by.call_record_id = known_as.call_record_id and reported_by.partner = signals.partner
    where signals.signal_month between (select signal_month from first_month) and {{ month() }}
),

again_address as (
    select persons.call_record_id, signals.signal_on
    from persons
    inner join {{ ref('int_signals__matched') }} as signals on signals.address_key = persons.address_key
    where signals.signal_month between (select signal_month from first_month) and {{ month() }}
),

followed as (
    select
        observed.outcome_month,
        observed.outcome_kind,
        observed.horizon_days,
        exists (
            select 1 from again_person as again
            where again.call_record_id = observed.call_record_id
                and again.signal_on > observed.result_on and again.signal_on <= observed.observed_until
        ) as is_person_again,
        exists (
            select 1 from again_person as again
            where again.call_record_id = observed.call_record_id and again.is_same_partner
                and again.signal_on > observed.result_on and again.signal_on <= observed.observed_until
        ) as is_partner_again,
        exists (
            select 1 from again_address as again
            where again.call_record_id = observed.call_record_id
                and again.signal_on > observed.result_on and again.signal_on <= observed.observed_until
        ) as is_address_again
    from observed
),

counted as (
    select
        outcome_month,
        outcome_kind,
        horizon_days,
        count(*)::integer as denominator,
        (count(*) filter (where is_person_again))::integer as person_again,
        (count(*) filter (where is_partner_again))::integer as partner_again,
        (count(*) filter (where is_address_again))::integer as address_again
    from followed
    group by outcome_month, outcome_kind, horizon_days
),

rules as (
    select {{ small_number('confidence_z') }} as z
)

select
    {{ month() }}::text as signal_month,
    counted.outcome_month,
    counted.outcome_kind,
    counted.horizon_days,
    measures.same,
    measures.numerator,
    counted.denominator,
    (measures.numerator::numeric / counted.denominator)::numeric(24, 12) as value,
    {{ wilson_bound('measures.numerator', 'counted.denominator', 'rules.z', '-') }}::numeric(24, 12) as lower_bound,
    {{ wilson_bound('measures.numerator', 'counted.denominator', 'rules.z', '+') }}::numeric(24, 12) as upper_bound
from counted
cross join rules
cross join lateral (
    values ('person', person_again), ('partner', partner_again), ('address', address_again)
) as measures (same, numerator)
