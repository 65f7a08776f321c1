-- Quarantine with life: a row that was set aside is released under a mended contract, or discarded with a reason.
-- `reasons` stay as they were on arrival; `reasons_now` is what the contract said when the row was last judged again.
alter table landing.quarantined_rows add column if not exists reasons_now text[] check (cardinality(reasons_now) > 0);
alter table landing.quarantined_rows add column if not exists judged_with text;
alter table landing.quarantined_rows add column if not exists released_in text check (released_in ~ '^\d{4}-\d{2}$');
create index if not exists quarantined_rows_open on landing.quarantined_rows (signal_month) where status = 'open';

-- One row per decision about rows of one delivery: what left the quarantine, and into which month.
create table if not exists ops.quarantine_decisions (
    decision_id bigint generated always as identity primary key,
    delivery_id text not null references ops.deliveries,
    decision text not null check (decision in ('released', 'discarded')),
    signal_month text check (signal_month ~ '^\d{4}-\d{2}$'),
    rows_quarantined integer not null check (rows_quarantined >= 0),
    rows_duplicate integer not null check (rows_duplicate >= 0),
    contract_version text,
    decided_by text not null check (decided_by <> ''),
    remark text,
    decided_at timestamptz not null default now(),
    check (rows_quarantined + rows_duplicate > 0),
    check ((decision = 'released') = (signal_month is not null))
);
create index if not exists quarantine_decisions_delivery on ops.quarantine_decisions (delivery_id);
create or replace trigger quarantine_decisions_are_append_only before update or delete or truncate
    on ops.quarantine_decisions for each statement execute function ops.refuse_change();

-- Who looked at a row with personal data, and which; never what it says.
create table if not exists ops.access_log (
    access_id bigint generated always as identity primary key,
    accessed_by text not null check (accessed_by <> ''),
    what text not null,
    subject text not null,
    accessed_at timestamptz not null default now()
);
create or replace trigger access_log_is_append_only before update or delete or truncate
    on ops.access_log for each statement execute function ops.refuse_change();

-- The books of a file as they are now: every row of it stands in exactly one of loaded, quarantined and duplicate. A
-- released row counts as loaded, once, whichever month it entered; a discarded one stays where it was.
create or replace view ops.delivery_books as
select
    deliveries.delivery_id, deliveries.partner, deliveries.contract, deliveries.file_name, deliveries.signal_month,
    deliveries.named_month, deliveries.is_late, deliveries.status,
    deliveries.rows_in_file,
    deliveries.rows_loaded + decided.released_quarantined + decided.released_duplicate as rows_loaded,
    deliveries.rows_quarantined - decided.released_quarantined as rows_quarantined,
    deliveries.rows_duplicate - decided.released_duplicate as rows_duplicate,
    decided.released_quarantined + decided.released_duplicate as rows_released,
    decided.discarded as rows_discarded
from ops.deliveries
cross join lateral (
    select
        coalesce(sum(rows_quarantined) filter (where decision = 'released'), 0)::integer as released_quarantined,
        coalesce(sum(rows_duplicate) filter (where decision = 'released'), 0)::integer as released_duplicate,
        coalesce(sum(rows_quarantined + rows_duplicate) filter (where decision = 'discarded'), 0)::integer as discarded
    from ops.quarantine_decisions
    where quarantine_decisions.delivery_id = deliveries.delivery_id
) as decided;

-- The books of a month by partner: what its files brought, and what earlier files brought it by release. A row that is
-- released when its own month is over is carried over: received and loaded in the month it enters, and still
-- quarantined in the books of the month that was closed with it. So a month that is over keeps its books.
create or replace view ops.month_books as
select
    signal_month, partner,
    sum(rows_received)::integer as rows_received,
    sum(rows_loaded)::integer as rows_loaded,
    sum(rows_quarantined)::integer as rows_quarantined,
    sum(rows_duplicate)::integer as rows_duplicate,
    sum(rows_carried_over)::integer as rows_carried_over
from (
    select
        signal_month, partner, rows_in_file as rows_received, rows_loaded, rows_quarantined, rows_duplicate,
        0 as rows_carried_over
    from ops.deliveries
    where status = 'loaded' and partner is not null
    union all
    select
        decisions.signal_month,
        deliveries.partner,
        case when is_carried_over then released else 0 end,
        released,
        case when is_carried_over then 0 else -decisions.rows_quarantined end,
        case when is_carried_over then 0 else -decisions.rows_duplicate end,
        case when is_carried_over then released else 0 end
    from ops.quarantine_decisions as decisions
    inner join ops.deliveries on deliveries.delivery_id = decisions.delivery_id
    cross join lateral (
        select
            decisions.signal_month <> deliveries.signal_month as is_carried_over,
            decisions.rows_quarantined + decisions.rows_duplicate as released
    ) as moved
    where decisions.decision = 'released' and deliveries.partner is not null
) as entries
group by signal_month, partner;

grant select on ops.quarantine_decisions, ops.delivery_books, ops.month_books to vs_loader, vs_transformer, vs_exporter;
grant select on ops.access_log to vs_loader;
grant insert on ops.quarantine_decisions, ops.access_log to vs_loader;
grant usage on all sequences in schema ops to vs_loader;
grant all on ops.quarantine_decisions, ops.access_log, ops.delivery_books, ops.month_books to vs_admin;
