-- The ids of a delivery's signals once more, the same ones: a reference is hashed as the bytes it has (textsend), which
-- in a database in UTF-8 are what convert_to gives after looking up two encodings for each (measured in
-- docs/adr/0006-the-pace-of-a-delivery.md).
create or replace function ops.signal_digests(partner text, signal_month text, "references" text[]) returns bytea
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select case
        when signal_digests.signal_month >= (select since.signal_month from ops.short_ids_since as since)
            then (
                select string_agg(substr(sha256(own.key || textsend(of_signal.reference)), 1, 10), ''::bytea)
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
