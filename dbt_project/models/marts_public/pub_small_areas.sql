-- Counts per postcode area that may be published: what is smaller than the minimum (seed small_number_rules) is left out,
-- and so much beside it that nothing left out can be worked out from the totals.
--
-- How: an area with a small number shows no categories at all, only its total. Areas are closed like that, the smallest
-- first, until at least two are closed and in every category the closed areas together reach the minimum: what is missing
-- from a category's total is then spread over several areas in an unknown way. Totals of areas, and of categories, are left
-- out likewise: the smallest, until there are two and they reach the minimum together. A row does not say whether it was
-- left out for being small or for protecting another.
-- Proof: tests/dbt/test_publication.py looks for what a reader could work out, in hundreds of tables.
with rule as (
    select {{ small_number('publication_minimum') }} as minimum
),

-- a table of one area or one category is its own total
cells as (
    select cells.subject, cells.area, cells.category, cells.counted, rule.minimum
    from {{ ref('int_small_areas') }} as cells
    cross join rule
    where cells.signal_month = {{ month() }}
        and cells.subject in (
            select subject from {{ ref('int_small_areas') }}
            where signal_month = {{ month() }}
            group by subject
            having count(distinct area) > 1 and count(distinct category) > 1
        )
),

margins as (
    select subject, 'area' as side, area as member, minimum, sum(counted) as total, bool_or(counted < minimum) as has_small
    from cells
    group by subject, area, minimum
    union all
    select subject, 'category', category, minimum, sum(counted), false
    from cells
    group by subject, category, minimum
),

ranked as (
    select
        margins.*,
        row_number() over smallest_first as position,
        sum(total) over smallest_first as running_total,
        count(*) filter (where total < minimum) over (partition by subject, side) as small_totals
    from margins
    window smallest_first as (
        partition by subject, side order by total, member rows between unbounded preceding and current row
    )
),

hidden_totals as (
    select
        subject,
        side,
        case
            when max(small_totals) = 0 then 0
            else coalesce(
                min(position) filter (where position >= greatest(2, small_totals) and running_total >= minimum),
                max(position)
            )
        end as hidden
    from ranked
    group by subject, side
),

totals as (
    select
        ranked.subject, ranked.side, ranked.member, ranked.minimum, ranked.total, ranked.has_small,
        ranked.position <= hidden_totals.hidden as is_hidden
    from ranked
    inner join hidden_totals on hidden_totals.subject = ranked.subject and hidden_totals.side = ranked.side
),

area_order as (
    select
        subject,
        member as area,
        row_number() over (
            partition by subject order by is_hidden or has_small desc, total, member
        ) as position,
        count(*) filter (where is_hidden or has_small) over (partition by subject) as must_close
    from totals
    where side = 'area'
),

running_cells as (
    select
        cells.subject,
        area_order.position,
        area_order.must_close,
        cells.minimum,
        sum(cells.counted) over (
            partition by cells.subject, cells.category order by area_order.position
        ) as running_count
    from cells
    inner join area_order on area_order.subject = cells.subject and area_order.area = cells.area
),

prefixes as (
    select subject, position, must_close, min(running_count) >= minimum as is_enough
    from running_cells
    group by subject, position, must_close, minimum
),

closed as (
    select
        subject,
        case
            when max(must_close) = 0 then 0
            else coalesce(min(position) filter (where position >= greatest(2, must_close) and is_enough), max(position))
        end as areas
    from prefixes
    group by subject
),

published as (
    select
        cells.subject, cells.area, cells.category, cells.counted as total,
        area_order.position <= closed.areas as is_suppressed
    from cells
    inner join area_order on area_order.subject = cells.subject and area_order.area = cells.area
    inner join closed on closed.subject = cells.subject
    union all
    select subject, member, 'all', total, is_hidden from totals where side = 'area'
    union all
    select subject, 'all', member, total, is_hidden from totals where side = 'category'
    union all
    select subject, 'all', 'all', sum(counted), sum(counted) < minimum from cells group by subject, minimum
)

select
    {{ month() }}::text as signal_month,
    subject,
    area,
    category,
    case when not is_suppressed then total::integer end as counted,
    is_suppressed
from published
