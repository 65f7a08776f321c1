-- What may leave the municipality: marts_public holds counts below the municipality after small numbers were taken out.
create schema if not exists marts_public authorization vs_transformer;
grant usage on schema marts_public to vs_exporter, bi_reader, vs_loader;
grant usage, create on schema marts_public to vs_admin;
alter default privileges for role vs_transformer in schema marts_public grant select on tables to vs_exporter, bi_reader, vs_loader;

-- A read-only transaction is a setting a reader can switch off; only a missing right cannot be switched on. PostgreSQL lets
-- everybody write large objects: nobody here needs them.
do $$
declare escape regprocedure;
begin
    for escape in
        select oid from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace
            and (proname like 'lo\_%' or proname in ('loread', 'lowrite'))
            and has_function_privilege('bi_reader', oid, 'execute')
    loop
        begin
            execute format('revoke execute on function %s from public', escape);
        exception when insufficient_privilege then
            raise notice '% stays open to everybody: only a superuser can close it', escape;
        end;
    end loop;
end $$;

-- The seed got other columns; dbt makes it again with the foundation stage.
drop table if exists staging.kpi_definitions;
