-- How well each partner delivered: what came in, what could be used, what was missing. A partner that did not deliver has
-- a row as well. Usable = loaded, and no unjustified or repeated report and no resident of elsewhere.
with deliveries as (
    select
        partner,
        (count(*) filter (where status = 'loaded'))::integer as deliveries,
        (count(*) filter (where status = 'rejected'))::integer as deliveries_rejected,
        (count(*) filter (where is_late and status = 'loaded'))::integer as deliveries_late,
        coalesce(sum(rows_loaded) filter (where status = 'loaded'), 0)::integer as rows_loaded,
        coalesce(sum(rows_quarantined) filter (where status = 'loaded'), 0)::integer as rows_quarantined,
        coalesce(sum(rows_duplicate) filter (where status = 'loaded'), 0)::integer as rows_duplicate
    from {{ ref('stg_deliveries') }}
    where signal_month = {{ month() }}
    group by partner
),

signals as (
    select
        partner,
        min(sector) as sector,
        count(*)::integer as signals,
        (count(*) filter (where is_picked_up))::integer as signals_picked_up,
        (count(*) filter (where status = 'Niet opgepakt: herhaalde melding'))::integer as signals_repeated,
        (count(*) filter (where status = 'Niet opgepakt: onterecht signaal'))::integer as signals_unjustified,
        (count(*) filter (where status = 'Persoon is geen inwoner (meer) in de gemeente'))::integer
            as signals_not_resident,
        (count(*) filter (where not has_phone))::integer as signals_without_phone,
        (count(*) filter (where not has_birth_date))::integer as signals_without_birth_date,
        (count(*) filter (where is_crisis))::integer as signals_crisis
    from {{ ref('fct_signals') }}
    where signal_month = {{ month() }}
    group by partner
),

missing as (
    select partner from {{ ref('stg_missing_deliveries') }} where signal_month = {{ month() }}
),

-- who took part in this month: a partner of later date does not appear in the months before it
partners as (
    select known.partner, known.sector
    from {{ ref('dim_partner') }} as known
    where exists (select 1 from deliveries where deliveries.partner = known.partner)
        or exists (select 1 from missing where missing.partner = known.partner)
        or exists (select 1 from signals where signals.partner = known.partner)
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
        coalesce(deliveries.deliveries, 0) as deliveries,
        coalesce(deliveries.deliveries_rejected, 0) as deliveries_rejected,
        coalesce(deliveries.deliveries_late, 0) as deliveries_late,
        missing.partner is not null as is_missing_on_deadline,
        coalesce(deliveries.rows_loaded, 0) + coalesce(deliveries.rows_quarantined, 0)
        + coalesce(deliveries.rows_duplicate, 0) as rows_delivered,
        coalesce(deliveries.rows_loaded, 0) as rows_loaded,
        coalesce(deliveries.rows_quarantined, 0) as rows_quarantined,
        coalesce(deliveries.rows_duplicate, 0) as rows_duplicate,
        coalesce(signals.signals, 0) as signals,
        coalesce(signals.signals_picked_up, 0) as signals_picked_up,
        coalesce(signals.signals_repeated, 0) as signals_repeated,
        coalesce(signals.signals_unjustified, 0) as signals_unjustified,
        coalesce(signals.signals_not_resident, 0) as signals_not_resident,
        coalesce(signals.signals_without_phone, 0) as signals_without_phone,
        coalesce(signals.signals_without_birth_date, 0) as signals_without_birth_date,
        coalesce(signals.signals_crisis, 0) as signals_crisis
    from partners
    left join deliveries on deliveries.partner = partners.partner
    left join signals on signals.partner = partners.partner
    left join missing on missing.partner = partners.partner
)

select
    {{ month() }}::text as signal_month,
    counted.*,
    signals - signals_repeated - signals_unjustified - signals_not_resident as signals_usable,
    (signals - signals_repeated - signals_unjustified - signals_not_resident)::numeric
    / nullif(rows_delivered, 0) as usable_share
from counted
