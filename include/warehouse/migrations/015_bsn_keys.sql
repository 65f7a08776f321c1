-- With which keys the hashes of BSNs in this warehouse were made, in their order: fingerprints only. A platform with other
-- keys would recognise nobody, so it does not start (include/warehouse/bsn_keys.py).
create table if not exists ops.bsn_keys (
    position integer primary key check (position > 0),
    fingerprint text not null unique,
    applied_at timestamptz not null default now()
);
grant select on ops.bsn_keys to vs_loader, vs_transformer, vs_exporter;
grant all on ops.bsn_keys to vs_admin;
