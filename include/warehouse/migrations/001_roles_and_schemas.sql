-- Who may do what, where. Passwords are set by migrate.py from generated secrets, never here.
do $$
declare role_name text;
begin
    foreach role_name in array array['vs_admin', 'vs_loader', 'vs_transformer', 'vs_exporter', 'bi_reader'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I login', role_name);
        end if;
    end loop;
end $$;

create extension if not exists pg_trgm;
create extension if not exists fuzzystrmatch;
create extension if not exists unaccent;

create schema if not exists landing;       -- canonical signals and raw rows: personal data, short retention
create schema if not exists ops;           -- deliveries, ledgers, verdicts: no personal data
create schema if not exists staging authorization vs_transformer;
create schema if not exists intermediate authorization vs_transformer;
create schema if not exists outbound authorization vs_transformer;
create schema if not exists marts authorization vs_transformer;

do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to vs_admin, vs_loader, vs_transformer, vs_exporter, bi_reader', current_database());
    -- dbt creates its own (already existing) schemas and temporary tables; loaders COPY through temporary tables
    execute format('grant create, temporary on database %I to vs_transformer', current_database());
    execute format('grant temporary on database %I to vs_loader, vs_exporter', current_database());
    execute format('grant all on database %I to vs_admin', current_database());
end $$;
revoke all on schema public from public;
grant usage on schema public to vs_loader, vs_transformer, vs_exporter, vs_admin;

grant usage on schema landing to vs_loader, vs_transformer;
grant usage on schema ops to vs_loader, vs_transformer, vs_exporter;
grant usage on schema staging to vs_loader, vs_exporter;
grant usage on schema intermediate, outbound to vs_exporter;
grant usage on schema marts to vs_exporter, bi_reader, vs_loader;

alter default privileges for role vs_transformer in schema outbound grant select on tables to vs_exporter;
alter default privileges for role vs_transformer in schema marts grant select on tables to vs_exporter, bi_reader, vs_loader;
-- code lists (seeds) live in staging: the outcome gate and the exporters read them; the loader sees landing anyway
alter default privileges for role vs_transformer in schema staging grant select on tables to vs_loader, vs_exporter;

alter role bi_reader set default_transaction_read_only = on;
