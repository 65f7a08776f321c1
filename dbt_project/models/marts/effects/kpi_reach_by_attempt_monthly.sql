-- When calling works: of the attempts that were the first, second, … of their record in the morning, afternoon or evening,
-- how many reached somebody. Only attempts that were made count: whoever was reached gets no next attempt, so later attempts
-- are about those who are harder to reach.
with made as (
    select
        attempts.part_of_day,
        {{ attempt_order('attempts') }} as attempt_order,
        attempts.is_reached
    from {{ ref('fct_contact_attempts') }} as attempts
    where attempts.signal_month = {{ month() }} and attempts.direction = 'outbound' and not attempts.is_withdrawn
),

counted as (
    select
        part_of_day,
        attempt_order,
        (count(*) filter (where is_reached))::integer as numerator,
        count(*)::integer as denominator
    from made
    group by part_of_day, attempt_order
),

rules as (
    select {{ small_number('confidence_z') }} as z
)

select
    {{ month() }}::text as signal_month,
    counted.part_of_day,
    counted.attempt_order,
    counted.numerator,
    counted.denominator,
    (counted.numerator::numeric / counted.denominator)::numeric(24, 12) as value,
    {{ wilson_bound('counted.numerator', 'counted.denominator', 'rules.z', '-') }}::numeric(24, 12) as lower_bound,
    {{ wilson_bound('counted.numerator', 'counted.denominator', 'rules.z', '+') }}::numeric(24, 12) as upper_bound
from counted
cross join rules
