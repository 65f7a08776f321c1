-- A closed month keeps every version of what it said. `closed.<mart>` holds the month's rows of `marts.<mart>` as they were
-- when version n was closed: same columns, one more (`closed_version`), only ever added to. BI reads it like marts; there
-- is no personal data in either.
create schema if not exists closed authorization vs_admin;
grant usage on schema closed to bi_reader, vs_exporter, vs_transformer, vs_loader;
alter default privileges for role vs_admin in schema closed grant select on tables to bi_reader, vs_exporter, vs_transformer, vs_loader;

alter table ops.closure_ledger add column if not exists reason text;

-- A closure RIS accepted and the month's next version no longer holds: the case may be closed anew.
alter table ops.closure_items add column if not exists reopened_in_version integer;

alter table ops.approvals drop constraint if exists approvals_subject_check;
alter table ops.approvals add constraint approvals_subject_check check (subject in ('call_list', 'closure', 'restatement'));

-- What is known about a closed month that its newest version does not say: noticed, proposed, decided, closed. Counts only.
create table if not exists ops.restatements (
    signal_month text not null,
    version integer not null check (version > 1),
    state text not null check (state in ('waiting', 'proposed', 'approved', 'declined', 'closed')),
    late_outcomes integer not null default 0,
    corrected_outcomes integer not null default 0,
    late_followups integer not null default 0,
    changed_followups integer not null default 0,
    late_acknowledgements integer not null default 0,
    -- what a person asked for, when it was not RIS that said something new
    requested_because text,
    noticed_at timestamptz not null default now(),
    decided_by text,
    decided_at timestamptz,
    primary key (signal_month, version)
);
grant select on ops.restatements to vs_loader, vs_transformer, vs_exporter;
grant insert, update, delete on ops.restatements to vs_transformer;
grant insert, update on ops.restatements to vs_exporter;
grant all on ops.restatements to vs_admin;

-- Kept rows are deleted by the purge when their term is over, as the marts they were copied from, and by nothing else.
create or replace function closed.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_user = 'vs_admin' and current_setting('vs.purging', true) = 'yes' then
        return null;
    end if;
    raise exception '%.% is append-only: a correction is a new version, never a change (%)', tg_table_schema, tg_table_name, tg_op;
end $$;
alter function closed.refuse_change() owner to vs_admin;
revoke all on function closed.refuse_change() from public;

create or replace function ops.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '%.% is append-only: a correction is a new version, never a change (%)', tg_table_schema, tg_table_name, tg_op;
end $$;

-- The tables of a schema that hold rows of a month, and the column that says which.
create or replace function closed.monthly_tables(in_schema text)
returns table (table_name text, month_column text)
language sql stable
set search_path = pg_catalog
as $$
    select classes.relname::text, coalesce(
        max(columns.attname::text) filter (where columns.attname = 'signal_month'),
        max(columns.attname::text) filter (where columns.attname = 'period')
    )
    from pg_catalog.pg_class as classes
    inner join pg_catalog.pg_attribute as columns on columns.attrelid = classes.oid and columns.attnum > 0 and not columns.attisdropped
    where classes.relnamespace = to_regnamespace(in_schema) and classes.relkind = any (
        case in_schema when 'closed' then array['r']::"char"[] else array['r', 'v', 'm', 'p']::"char"[] end
    )
    group by classes.relname
    having bool_or(columns.attname in ('signal_month', 'period'))
    order by 1
$$;
alter function closed.monthly_tables(text) owner to vs_admin;

-- Keep the month's rows of every mart as this version. Only for a version that is in the ledger, and only once.
create or replace function ops.keep_closed_month(kept_month text, kept_version integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog
as $$
declare
    mart record;
    missing record;
    columns text;
    added bigint;
    kept bigint := 0;
begin
    perform pg_advisory_xact_lock(hashtext('vs:keep'));
    if not exists (select from ops.closure_ledger where signal_month = kept_month and version = kept_version) then
        raise exception '% has no version % in ops.closure_ledger: nothing was kept', kept_month, kept_version;
    end if;
    for mart in select * from closed.monthly_tables('marts') loop
        if to_regclass(format('closed.%I', mart.table_name)) is null then
            execute format('create table closed.%1$I as select 0 as closed_version, * from marts.%1$I with no data', mart.table_name);
            execute format('alter table closed.%I alter closed_version set not null', mart.table_name);
            execute format('create index on closed.%I (%I, closed_version)', mart.table_name, mart.month_column);
            execute format('create trigger is_append_only before update or delete or truncate on closed.%I for each statement execute function closed.refuse_change()', mart.table_name);
        end if;
        for missing in
            select attname as name, format_type(atttypid, atttypmod) as type
            from pg_attribute as ours
            where attrelid = to_regclass(format('marts.%I', mart.table_name)) and attnum > 0 and not attisdropped
                and not exists (
                    select from pg_attribute as theirs
                    where theirs.attrelid = to_regclass(format('closed.%I', mart.table_name))
                        and theirs.attname = ours.attname and not theirs.attisdropped
                )
        loop
            execute format('alter table closed.%I add column %I %s', mart.table_name, missing.name, missing.type);
        end loop;
        execute format('select count(*) from closed.%I where %I = $1 and closed_version = $2', mart.table_name, mart.month_column)
            into added using kept_month, kept_version;
        if added > 0 then
            raise exception 'version % of % is kept already (closed.%)', kept_version, kept_month, mart.table_name;
        end if;
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns
        from pg_attribute
        where attrelid = to_regclass(format('marts.%I', mart.table_name)) and attnum > 0 and not attisdropped;
        execute format(
            'insert into closed.%1$I (closed_version, %2$s) select $2, %2$s from marts.%1$I where %3$I = $1',
            mart.table_name, columns, mart.month_column
        ) using kept_month, kept_version;
        get diagnostics added = row_count;
        kept := kept + added;
    end loop;
    return kept;
end $$;
alter function ops.keep_closed_month(text, integer) owner to vs_admin;
revoke all on function ops.keep_closed_month(text, integer) from public;
grant execute on function ops.keep_closed_month(text, integer) to vs_exporter;

-- Which versions there are of which month, and why.
create or replace view closed.months as
select
    signal_month, version as closed_version, reason, cases_opened, cases_closed, cases_open, cases_excluded,
    arrears_closed_eur, content_hash, closed_at,
    version = max(version) over (partition by signal_month) as is_newest
from ops.closure_ledger;
alter view closed.months owner to vs_admin;
grant select on closed.months to bi_reader, vs_exporter, vs_transformer, vs_loader;

-- What a person decided about a candidate for Meldpunt Bezorgd or the crisis team, and on which ground (seed
-- escalation_grounds). A decision is never changed; a later one about the same person in the same case replaces it.
create table if not exists ops.escalation_decisions (
    decision_id bigint generated always as identity primary key,
    signal_month text not null,
    case_id text not null,
    call_record_id text not null,
    decision text not null check (decision in ('refer', 'no_referral')),
    recipient text check (recipient in ('meldpunt_bezorgd', 'crisisteam')),
    ground text not null,
    decided_by text not null,
    decided_at timestamptz not null default now(),
    check ((decision = 'refer') = (recipient is not null))
);
create index if not exists escalation_decisions_by_record on ops.escalation_decisions (call_record_id);
create or replace trigger escalation_decisions_are_append_only before update or delete or truncate on ops.escalation_decisions
    for each statement execute function ops.refuse_change();
grant select on ops.escalation_decisions to vs_loader, vs_transformer, vs_exporter;
grant insert on ops.escalation_decisions to vs_exporter;
grant all on ops.escalation_decisions to vs_admin;
