-- Persons whose data was erased at their request: who decided, why, and which rows must not come back. A row is known by
-- the keyed id of its signal, or by its delivery and line when it never became a signal. Nobody can be read from it.
create table if not exists ops.erasures (
    erasure_id bigint generated always as identity primary key,
    operation_id text not null,
    decided_by text not null check (decided_by <> ''),
    reason text not null check (reason <> ''),
    decided_at timestamptz not null default now()
);
create or replace trigger erasures_are_append_only before update or delete or truncate on ops.erasures
    for each statement execute function ops.refuse_change();

create table if not exists ops.erased_rows (
    erasure_id bigint not null references ops.erasures,
    signal_month text not null,
    signal_id text,
    delivery_id text,
    line_number integer,
    check (num_nonnulls(signal_id, delivery_id) = 1)
);
create index if not exists erased_rows_signal on ops.erased_rows (signal_id);
create or replace trigger erased_rows_are_append_only before update or delete or truncate on ops.erased_rows
    for each statement execute function ops.refuse_change();

grant select on ops.erasures, ops.erased_rows to vs_loader, vs_transformer, vs_exporter;
grant all on ops.erasures, ops.erased_rows to vs_admin;
