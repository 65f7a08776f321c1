-- Two logs of every handling of personal data, joined by operation_id. The access log (BIO2 8.15) says who did what, to
-- what, from where, when and with what result. The processing log (Logboek Dataverwerkingen) says which processing activity
-- ran, from when to when, how it ended and about whom, by a keyed hash; never who did it. Neither holds personal data of
-- residents, and no role can change, delete or even write a row but through ops.log_operation.
alter table ops.access_log rename column accessed_by to actor;
alter table ops.access_log rename column what to action;
alter table ops.access_log rename column subject to object;
alter table ops.access_log rename column accessed_at to happened_at;
alter table ops.access_log add column if not exists operation_id text;
alter table ops.access_log add column if not exists result text not null default 'done' check (result in ('done', 'failed'));
alter table ops.access_log add column if not exists origin text not null default 'unknown';
-- why, in the words of who decided; without names
alter table ops.access_log add column if not exists reason text;
create index if not exists access_log_operation on ops.access_log (operation_id);

create table if not exists ops.processing_log (
    operation_id text primary key check (operation_id ~ '^[0-9a-f]{16}$'),
    trace_id text not null check (trace_id ~ '^[0-9a-f]{32}$'),
    name text not null,
    processing_activity_id text not null,
    -- as OpenTelemetry, and so the standard, has them
    status_code text not null check (status_code in ('STATUS_CODE_OK', 'STATUS_CODE_ERROR')),
    started_at timestamptz not null,
    ended_at timestamptz not null,
    check (started_at <= ended_at)
);
create index if not exists processing_log_trace on ops.processing_log (trace_id);

-- About whom: an operation on a list is about many.
create table if not exists ops.processing_subjects (
    operation_id text not null references ops.processing_log,
    data_subject_id text not null,
    primary key (data_subject_id, operation_id)
);

-- Logs are deleted by the purge when their own term is over, and by nothing else.
create or replace function ops.refuse_change_but_purge() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_user = 'vs_admin' and current_setting('vs.purging', true) = 'yes' then
        return null;
    end if;
    raise exception '%.% is append-only: what happened, happened (%)', tg_table_schema, tg_table_name, tg_op;
end $$;
create or replace trigger access_log_is_append_only before update or delete or truncate on ops.access_log
    for each statement execute function ops.refuse_change_but_purge();
create or replace trigger processing_log_is_append_only before update or delete or truncate on ops.processing_log
    for each statement execute function ops.refuse_change_but_purge();
create or replace trigger processing_subjects_are_append_only before update or delete or truncate on ops.processing_subjects
    for each statement execute function ops.refuse_change_but_purge();

-- The persons that ids of any kind are about (person, signal, case, call record, request, a partner's customer in a month),
-- as the processing log knows them.
create or replace function ops.data_subjects(ids text[]) returns setof text
language plpgsql stable security definer
set search_path = pg_catalog
as $$
begin
    -- before the first month is built there are no persons
    if cardinality(ids) = 0 or to_regclass('intermediate.int_case_persons') is null then
        return;
    end if;
    return query
    with wanted as (select distinct id from unnest(ids) as given (id)),
    persons as (
        select matched.person_id from intermediate.int_signals__matched as matched
        inner join wanted on wanted.id = matched.signal_id
        union
        select matched.person_id from intermediate.int_signals__matched as matched
        inner join wanted on wanted.id = matched.call_record_id
        union
        select matched.person_id from intermediate.int_signals__matched as matched
        inner join wanted on wanted.id = matched.case_id
        union
        select matched.person_id from intermediate.int_signals__matched as matched
        inner join wanted on wanted.id = matched.person_id
        union
        select asked.person_id from intermediate.int_case_persons as asked
        inner join wanted on wanted.id = asked.request_id
        union
        -- what a partner knows: partner|reference|month, of a month's index only
        select matched.person_id from intermediate.int_signals__matched as matched
        inner join wanted
            on wanted.id = matched.partner || '|' || matched.partner_reference || '|' || matched.signal_month
        where matched.signal_month in (select right(told.id, 7) from wanted as told where told.id like '%|____-__')
    )
    select subject from persons
    cross join lateral ops.keyed_id('subject', persons.person_id) as subject;
end $$;
alter function ops.data_subjects(text[]) owner to vs_admin;
revoke all on function ops.data_subjects(text[]) from public;

-- One operation in both logs, in the caller's transaction: what is rolled back was not done.
create or replace function ops.log_operation(
    operation_id text, trace_id text, activity text, action text, object text, actor text, origin text, result text,
    started_at timestamptz, reason text, ids text[]
) returns void
language plpgsql security definer
set search_path = pg_catalog
as $$
begin
    insert into ops.access_log (operation_id, actor, action, object, result, origin, reason)
    values (operation_id, actor, action, object, result, origin, reason);
    insert into ops.processing_log
        (operation_id, trace_id, name, processing_activity_id, status_code, started_at, ended_at)
    values (
        operation_id, trace_id, action, activity,
        case result when 'done' then 'STATUS_CODE_OK' else 'STATUS_CODE_ERROR' end,
        least(started_at, clock_timestamp()), clock_timestamp()
    );
    insert into ops.processing_subjects (operation_id, data_subject_id)
    select log_operation.operation_id, subject from ops.data_subjects(ids) as subject;
end $$;
alter function ops.log_operation(text, text, text, text, text, text, text, text, timestamptz, text, text[]) owner to vs_admin;
revoke all on function ops.log_operation(text, text, text, text, text, text, text, text, timestamptz, text, text[]) from public;
grant execute on function ops.log_operation(text, text, text, text, text, text, text, text, timestamptz, text, text[])
    to vs_loader, vs_transformer, vs_exporter, vs_admin;

revoke insert on ops.access_log from vs_loader;
grant all on ops.processing_log, ops.processing_subjects to vs_admin;
grant execute on function ops.keyed_id(text, text), ops.keyed_ids(text, text[]) to vs_admin;
grant execute on function ops.suppression_keys(text, integer, date, text) to vs_admin;
-- who answers a resident, and the officer who checks, read them as the administrator; no step of the month needs to
revoke select on ops.access_log from vs_loader;
