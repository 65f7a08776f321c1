-- The ids of a delivery's signals are made where its rows are (docs/adr/0002-keyed-identifiers.md): the loader is given the key
-- of one partner's month, with which it can make the ids it could ask for before and no others. The key of all ids stays
-- in here. Nothing for a month whose ids are made by ops.keyed_id (ops.short_ids_since).
create function ops.signal_key(partner text, signal_month text) returns bytea
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select sha256(convert_to(key || 'signal|' || partner || '|' || signal_key.signal_month, 'UTF8'))
    from ops.id_key
    where signal_key.signal_month >= (select since.signal_month from ops.short_ids_since as since)
$$;
revoke all on function ops.signal_key(text, text) from public;
grant execute on function ops.signal_key(text, text) to vs_loader;
drop function ops.signal_digests(text, text, text[]);
