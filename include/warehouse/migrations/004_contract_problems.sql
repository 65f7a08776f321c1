-- Contract files a month went on without: who has to mend what, and whose deliveries wait in the inbox for it.
create table if not exists ops.contract_problems (
    signal_month text not null,
    contract_file text not null,
    partner text,
    problems text[] not null,
    recorded_at timestamptz not null default now(),
    primary key (signal_month, contract_file)
);

grant select on ops.contract_problems to vs_loader, vs_transformer, vs_exporter;
grant insert, delete on ops.contract_problems to vs_loader;
grant all on ops.contract_problems to vs_admin;
