-- Rows of a delivery land at the pace of COPY (measured in docs/adr/0006-the-pace-of-a-delivery.md).

-- A signal is never looked up by its line: signals are read by month, and by delivery when rows of one are released.
-- Both stand together in the table as they were loaded, so an index over ranges of pages finds them and costs nothing
-- at a row, where two indexes by row cost as much as all the rest of landing it. That a delivery lands once is kept by
-- the key of landing.raw_blocks, written in the same transaction, and by the lock on its id; that a held row is
-- released once, by its status in landing.quarantined_rows. Gate G1 looks for a key that stands there twice.
drop index if exists landing.signals_signal_month_idx;
alter table landing.signals drop constraint if exists signals_pkey;
create index if not exists signals_month_and_delivery on landing.signals
    using brin (signal_month, delivery_id) with (pages_per_range = 16, autosummarize = on);

-- A block may be the text of the file itself, when each of its lines is a row and each value stands between two
-- separators: rows then end in `row_end`, values in `value_end`, and the lines of the file are counted from first_line.
alter table landing.raw_blocks add column if not exists row_end text not null default E'\x1e';
alter table landing.raw_blocks add column if not exists value_end text not null default E'\x1f';
alter table landing.raw_blocks add column if not exists has_line_numbers boolean not null default true;

create or replace view landing.raw_rows as
select
    blocks.delivery_id,
    case
        when blocks.has_line_numbers then (line.cells)[1]::integer else blocks.first_line + line.place::integer - 1
    end as line_number,
    blocks.signal_month,
    jsonb_object(blocks.labels, case when blocks.has_line_numbers then (line.cells)[2:] else line.cells end) as raw
from landing.raw_blocks as blocks
cross join lateral (
    select string_to_array(text, blocks.value_end) as cells, place
    from string_to_table(blocks.lines, blocks.row_end) with ordinality as row_of (text, place)
) as line;

-- ops.keyed_id of a whole set of items, joined by U+001F: the first ten bytes of each id, one behind the other and in
-- the order of the items. Nearly all of what it costs is the hash: of each id two, both with the key.
create function ops.keyed_digests(kind text, items text) returns bytea
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select string_agg(
        substr(sha256(convert_to((select key from ops.id_key) || encode(sha256(convert_to((select key || kind from ops.id_key) || item, 'UTF8')), 'hex'), 'UTF8')), 1, 10),
        ''::bytea
    )
    from string_to_table(items, E'\x1f') as set_of (item)
$$;
revoke all on function ops.keyed_digests(text, text) from public;
grant execute on function ops.keyed_digests(text, text) to vs_transformer, vs_loader;
drop function if exists ops.keyed_ids(text, text[]);
