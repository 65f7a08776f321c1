-- The ids of a delivery's signals with one hash of one block each, where there were two of three (measured in
-- docs/adr/0006-the-pace-of-a-delivery.md): the key of a partner's month is made once from the key of all ids, and
-- stays in here as that one does. Ten bytes of the hash are the id, so nothing can be added to what was hashed.

-- From which month on. What is told again about a month that was there before keeps its ids.
create table ops.short_ids_since (singleton boolean primary key default true check (singleton), signal_month text not null);
insert into ops.short_ids_since (signal_month)
select coalesce(to_char(to_date(max(signal_month), 'YYYY-MM') + interval '1 month', 'YYYY-MM'), '') from ops.deliveries;
grant select on ops.short_ids_since to vs_loader, vs_transformer, vs_exporter;
grant all on ops.short_ids_since to vs_admin;

-- The first ten bytes of each id, one behind the other and in the order of the references.
create function ops.signal_digests(partner text, signal_month text, "references" text[]) returns bytea
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select case
        when signal_digests.signal_month >= (select since.signal_month from ops.short_ids_since as since)
            then (
                select string_agg(substr(sha256(own.key || convert_to(of_signal.reference, 'UTF8')), 1, 10), ''::bytea)
                from (
                    select sha256(convert_to(key || 'signal|' || partner || '|' || signal_digests.signal_month, 'UTF8')) as key
                    from ops.id_key
                    offset 0  -- made once, not once a signal
                ) as own
                cross join unnest("references") as of_signal (reference)
            )
        else (
            select string_agg(
                decode(split_part(ops.keyed_id('signal', partner || '|' || reference || '|' || signal_digests.signal_month), '_', 2), 'hex'),
                ''::bytea
            )
            from unnest("references") as of_signal (reference)
        )
    end
$$;
revoke all on function ops.signal_digests(text, text, text[]) from public;
grant execute on function ops.signal_digests(text, text, text[]) to vs_loader;
drop function ops.keyed_digests(text, text);
