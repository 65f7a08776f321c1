-- What was deleted because its term was over: counts, never content. `purged_in` is the month of the purge.
create table if not exists ops.purge_certificates (
    purged_in text not null check (purged_in like '____-__'),
    kept text not null,
    what text not null,
    months_kept integer not null check (months_kept > 0),
    expired_through text not null check (expired_through like '____-__'),
    deleted bigint not null check (deleted >= 0),
    purged_at timestamptz not null default now(),
    primary key (purged_in, kept, what)
);
grant select on ops.purge_certificates to vs_loader, vs_transformer, vs_exporter;
grant all on ops.purge_certificates to vs_admin;
