-- How well each partner delivered: what came in, what could be used, what was missing, and one score of it. A partner that
-- did not deliver has a row as well. Usable = loaded, and no unjustified or repeated report and no resident of elsewhere.
-- The score is the weighted mean (seed partner_quality_weights) of the parts that have figures, 0 to 100.
with files as (
    select
        partner,
        (count(*) filter (where status = 'loaded'))::integer as deliveries,
        (count(*) filter (where status = 'rejected'))::integer as deliveries_rejected,
        (count(*) filter (where is_late and status = 'loaded'))::integer as deliveries_late,
        coalesce(sum(rows_in_file) filter (where status = 'rejected'), 0)::integer as rows_rejected,
        -- the month's own delivery: a late one of an earlier month says nothing about this month's day
        coalesce(bool_or(status = 'loaded' and named_month = {{ month() }}), false) as has_own_delivery,
        max(due_on - delivered_on) filter (where status = 'loaded' and named_month = {{ month() }}) as days_before_due
    from {{ ref('stg_deliveries') }}
    where signal_month = {{ month() }} and partner is not null
    group by partner
),

books as (
    select * from {{ ref('stg_month_books') }} where signal_month = {{ month() }}
),

signals as (
    select
        partner,
        min(sector) as sector,
        count(*)::integer as signals,
        (count(*) filter (where is_picked_up))::integer as signals_picked_up,
        (count(*) filter (where status = 'Niet opgepakt: herhaalde melding'))::integer as signals_repeated,
        (count(*) filter (where status = 'Niet opgepakt: onterecht signaal'))::integer as signals_unjustified,
        (count(*) filter (where status_rule_id in ('arrears_too_recent', 'arrears_too_old')))::integer
            as signals_out_of_window,
        (count(*) filter (where status = 'Persoon is geen inwoner (meer) in de gemeente'))::integer
            as signals_not_resident,
        (count(*) filter (where not has_phone))::integer as signals_without_phone,
        (count(*) filter (where not has_birth_date))::integer as signals_without_birth_date,
        (count(*) filter (where is_crisis))::integer as signals_crisis
    from {{ ref('fct_signals') }}
    where signal_month = {{ month() }}
    group by partner
),

wanted_fields as (
    select fields.field
    from {{ ref('partner_quality_fields') }} as fields
    where {{ in_force('fields', month_start()) }}
),

details as (
    select
        landed.partner,
        sum(asked.expected)::integer as fields_expected,
        sum(asked.filled)::integer as fields_filled,
        (count(*) filter (where phones.has_unusable))::integer as signals_phone_unusable,
        (count(*) filter (where phones.has_unusable or phones.has_callable))::integer as signals_with_any_phone
    from {{ ref('int_signals__keyed') }} as landed
    inner join {{ ref('fct_signals') }} as signals
        on signals.signal_id = landed.signal_id and signals.signal_month = landed.signal_month
    inner join {{ ref('stg_deliveries') }} as deliveries on deliveries.delivery_id = landed.delivery_id
    cross join lateral (
        select
            landed.phone_1 is not null or landed.phone_2 is not null as has_callable,
            'phone_invalid' = any(string_to_array(landed.flags, '|')) as has_unusable
    ) as phones
    cross join lateral (
        -- a partner is not blamed for what its contract does not ask
        select
            count(*) as expected,
            count(*) filter (
                where case wanted_fields.field
                    when 'phone' then phones.has_callable
                    when 'birth_on' then landed.birth_on is not null
                    when 'email' then landed.email is not null
                    when 'initials' then landed.initials is not null
                    when 'street' then landed.street is not null
                    when 'bsn_key' then landed.bsn_key is not null
                end
            ) as filled
        from wanted_fields
        where deliveries.offered_fields is null or wanted_fields.field = any(deliveries.offered_fields)
    ) as asked
    where landed.signal_month = {{ month() }}
    group by landed.partner
),

missing as (
    select partner from {{ ref('stg_missing_deliveries') }} where signal_month = {{ month() }}
),

-- who took part in this month: a partner of later date does not appear in the months before it
partners as (
    select known.partner, known.sector
    from {{ ref('dim_partner') }} as known
    where known.partner in (
        select partner from files union select partner from books union select partner from missing
        union select partner from signals
    )
    union all
    -- signals of a partner whose contract has gone since
    select signals.partner, signals.sector
    from signals
    where not exists (select 1 from {{ ref('dim_partner') }} as known where known.partner = signals.partner)
),

counted as (
    select
        partners.partner,
        partners.sector,
        coalesce(files.deliveries, 0) as deliveries,
        coalesce(files.deliveries_rejected, 0) as deliveries_rejected,
        coalesce(files.deliveries_late, 0) as deliveries_late,
        missing.partner is not null as is_missing_on_deadline,
        coalesce(books.rows_received, 0) as rows_delivered,
        coalesce(books.rows_loaded, 0) as rows_loaded,
        coalesce(books.rows_quarantined, 0) as rows_quarantined,
        coalesce(books.rows_duplicate, 0) as rows_duplicate,
        coalesce(books.rows_carried_over, 0) as rows_carried_over,
        coalesce(files.rows_rejected, 0) as rows_rejected,
        coalesce(signals.signals, 0) as signals,
        coalesce(signals.signals_picked_up, 0) as signals_picked_up,
        coalesce(signals.signals_repeated, 0) as signals_repeated,
        coalesce(signals.signals_unjustified, 0) as signals_unjustified,
        coalesce(signals.signals_out_of_window, 0) as signals_out_of_window,
        coalesce(signals.signals_not_resident, 0) as signals_not_resident,
        coalesce(signals.signals_without_phone, 0) as signals_without_phone,
        coalesce(signals.signals_without_birth_date, 0) as signals_without_birth_date,
        coalesce(signals.signals_crisis, 0) as signals_crisis,
        coalesce(details.fields_expected, 0) as fields_expected,
        coalesce(details.fields_filled, 0) as fields_filled,
        coalesce(details.signals_phone_unusable, 0) as signals_phone_unusable,
        coalesce(details.signals_with_any_phone, 0) as signals_with_any_phone,
        coalesce(files.has_own_delivery, false) as has_own_delivery,
        files.days_before_due
    from partners
    left join files on files.partner = partners.partner
    left join books on books.partner = partners.partner
    left join signals on signals.partner = partners.partner
    left join details on details.partner = partners.partner
    left join missing on missing.partner = partners.partner
),

shares as (
    select
        counted.partner,
        fields_filled::numeric / nullif(fields_expected, 0) as completeness_share,
        case
            when rows_delivered + rows_rejected > 0
                then (rows_quarantined + rows_rejected)::numeric / (rows_delivered + rows_rejected)
            -- nothing but files that could not even be opened
            when deliveries_rejected > 0 and deliveries = 0 then 1
        end as rejected_share,
        rows_duplicate::numeric / nullif(rows_delivered, 0) as duplicate_share,
        signals_out_of_window::numeric / nullif(signals, 0) as out_of_window_share,
        signals_phone_unusable::numeric / nullif(signals_with_any_phone, 0) as phone_unusable_share
    from counted
),

scores as (
    select
        counted.partner,
        round(
            100 * sum(weights.weight * parts.part) filter (where parts.part is not null)
            / nullif(sum(weights.weight) filter (where parts.part is not null), 0),
            1
        ) as quality_score
    from counted
    inner join shares on shares.partner = counted.partner
    cross join {{ ref('partner_quality_weights') }} as weights
    cross join lateral (
        select
            case weights.component
                when 'accepted' then 1 - shares.rejected_share
                when 'completeness' then shares.completeness_share
                when 'in_window' then 1 - shares.out_of_window_share
                when 'unique' then 1 - shares.duplicate_share
                when 'usable_phones' then 1 - shares.phone_unusable_share
                when 'on_time' then case
                    when not counted.has_own_delivery then 0
                    else greatest(0, 1 + weights.points_lost_per_day * least(0, counted.days_before_due))
                end
            end as part
    ) as parts
    where {{ in_force('weights', month_start()) }}
    group by counted.partner
)

select
    {{ month() }}::text as signal_month,
    counted.partner,
    counted.sector,
    counted.deliveries,
    counted.deliveries_rejected,
    counted.deliveries_late,
    counted.is_missing_on_deadline,
    counted.rows_delivered,
    counted.rows_loaded,
    counted.rows_quarantined,
    counted.rows_duplicate,
    counted.rows_carried_over,
    counted.rows_rejected,
    counted.signals,
    counted.signals_picked_up,
    counted.signals_repeated,
    counted.signals_unjustified,
    counted.signals_out_of_window,
    counted.signals_not_resident,
    counted.signals_without_phone,
    counted.signals_without_birth_date,
    counted.signals_crisis,
    counted.signals_phone_unusable,
    counted.signals_with_any_phone,
    counted.fields_expected,
    counted.fields_filled,
    counted.days_before_due,
    counted.signals - counted.signals_repeated - counted.signals_unjustified - counted.signals_not_resident
        as signals_usable,
    (counted.signals - counted.signals_repeated - counted.signals_unjustified - counted.signals_not_resident)::numeric
    / nullif(counted.rows_delivered, 0) as usable_share,
    shares.completeness_share,
    shares.rejected_share,
    shares.duplicate_share,
    shares.out_of_window_share,
    shares.phone_unusable_share,
    scores.quality_score
from counted
inner join shares on shares.partner = counted.partner
left join scores on scores.partner = counted.partner
