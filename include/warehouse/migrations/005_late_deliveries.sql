-- A delivery has two months: the one its file is named after, and the one that took it in (signal_month). They differ
-- when the named month was over before the file came.
alter table ops.deliveries add column if not exists named_month text check (named_month ~ '^\d{4}-\d{2}$');
update ops.deliveries set named_month = signal_month where named_month is null and reason_code is distinct from 'file_name';

-- The month does not wait for this partner: a person's decision.
create table if not exists ops.missing_decisions (
    signal_month text not null,
    partner text not null,
    decided_by text not null check (decided_by <> ''),
    reason text not null check (reason <> ''),
    decided_at timestamptz not null default now(),
    primary key (signal_month, partner)
);

-- What a person must look at although nothing stopped; `subject` is a partner or a file, never a person.
create table if not exists ops.alerts (
    kind text not null,
    signal_month text not null,
    subject text not null,
    message text not null,
    raised_at timestamptz not null default now(),
    settled_at timestamptz,
    notified_at timestamptz,
    primary key (kind, signal_month, subject)
);

grant select on ops.missing_decisions, ops.alerts to vs_loader, vs_transformer, vs_exporter;
grant insert on ops.missing_decisions to vs_loader;
grant insert, update on ops.alerts to vs_loader;
grant all on ops.missing_decisions, ops.alerts to vs_admin;
