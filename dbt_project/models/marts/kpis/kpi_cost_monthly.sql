-- What calling cost: the dated rate card times the delivered records (withdrawn ones left out), plus the fixed part of
-- every month and, in the first month with records, the one-off part. The budget counts from the month it began.
with months as (
    select signal_month from {{ ref('stg_months') }} where signal_month <= {{ month() }}
    union
    select {{ month() }}
),

records as (
    select
        signal_month,
        (count(*) filter (where not is_withdrawn))::integer as records_delivered,
        (count(*) filter (where is_withdrawn))::integer as records_withdrawn
    from {{ ref('stg_call_records') }}
    where signal_month <= {{ month() }}
    group by signal_month
),

priced as (
    select
        months.signal_month,
        coalesce(records.records_delivered, 0) as records_delivered,
        coalesce(records.records_withdrawn, 0) as records_withdrawn,
        rates.record_eur,
        rates.monthly_fixed_eur,
        case
            when records.records_delivered > 0
                and months.signal_month
                = min(months.signal_month) filter (where records.records_delivered > 0) over (partition by rates.valid_from)
                then rates.one_off_eur
            else 0.00
        end as one_off_eur,
        rates.is_example
    from months
    left join records on records.signal_month = months.signal_month
    left join {{ ref('rate_card') }} as rates on {{ in_force('rates', first_day_of('months.signal_month')) }}
),

costs as (
    select
        priced.*,
        records_delivered * record_eur as records_cost_eur,
        records_delivered * record_eur + monthly_fixed_eur + one_off_eur as cost_eur
    from priced
),

budget as (
    select budgets.budget_eur, to_char(budgets.valid_from, 'YYYY-MM') as first_month
    from {{ ref('budgets') }} as budgets
    where {{ in_force('budgets', month_start()) }}
),

spent as (
    select sum(costs.cost_eur) as cost_to_date_eur
    from costs
    left join budget on true
    where costs.signal_month >= coalesce(budget.first_month, '')
),

outcomes as (
    select
        (count(*) filter (where is_spoken))::integer as records_spoken,
        (count(*) filter (where is_help_accepted))::integer as records_help_accepted
    from {{ ref('fct_outcomes') }}
    where signal_month = {{ month() }} and not is_withdrawn
)

select
    costs.signal_month::text as signal_month,
    costs.records_delivered,
    costs.record_eur,
    costs.records_cost_eur,
    costs.monthly_fixed_eur,
    costs.one_off_eur,
    costs.cost_eur,
    spent.cost_to_date_eur,
    budget.budget_eur,
    outcomes.records_spoken,
    outcomes.records_help_accepted,
    costs.is_example as is_example_rate,
    costs.records_withdrawn
from costs
cross join spent
cross join outcomes
left join budget on true
where costs.signal_month = {{ month() }}
