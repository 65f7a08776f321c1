-- Large deliveries land set-wise: raw rows in blocks, ids for a whole set at once, and no more indexes than are read.

-- Raw rows of a delivery, some thousands a block, exactly as wide as the header: one text in which a row ends in U+001E
-- and each value (its line number first) in U+001F. One row a block costs a hundredth of one row a line. Read them
-- through landing.raw_rows. Not compressed: that would cost more than all the rest of loading them.
create table if not exists landing.raw_blocks (
    delivery_id text not null,
    first_line integer not null,
    last_line integer not null,
    signal_month text not null,
    labels text[] not null,
    lines text not null,
    primary key (delivery_id, first_line)
);
alter table landing.raw_blocks alter column lines set storage external;

-- What landed before moves along.
insert into landing.raw_blocks (delivery_id, first_line, last_line, signal_month, labels, lines)
select
    rows.delivery_id, min(rows.line_number), max(rows.line_number), rows.signal_month, labels.labels,
    string_agg(
        rows.line_number || E'\x1f' || array_to_string(array(
            select coalesce(rows.raw ->> label, '') from unnest(labels.labels) with ordinality as l (label, place) order by place
        ), E'\x1f'),
        E'\x1e' order by rows.line_number
    )
from landing.raw_rows as rows
inner join lateral (
    select array(select jsonb_object_keys(one.raw) from landing.raw_rows as one where one.delivery_id = rows.delivery_id
        and one.line_number = (select min(line_number) from landing.raw_rows where delivery_id = rows.delivery_id))
) as labels (labels) on true
group by rows.delivery_id, rows.signal_month, labels.labels;
drop table landing.raw_rows;

-- The row as delivered, every column as text. The only place where a BSN stands; only the loader reads it.
create view landing.raw_rows as
select
    blocks.delivery_id,
    (line.cells)[1]::integer as line_number,
    blocks.signal_month,
    jsonb_object(blocks.labels, (line.cells)[2:]) as raw
from landing.raw_blocks as blocks
cross join lateral (
    select string_to_array(text, E'\x1f') as cells from string_to_table(blocks.lines, E'\x1e') as text
) as line;

grant select, insert, update, delete on landing.raw_blocks to vs_loader;
grant select on landing.raw_rows to vs_loader;
grant all on landing.raw_blocks to vs_admin;
grant select on landing.raw_rows to vs_admin;

-- ops.keyed_id for a whole set: the key is read once and the function called once, not once a row.
create or replace function ops.keyed_ids(kind text, items text[]) returns text[]
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select array_agg(
        kind || '_' || substr(encode(sha256(convert_to(k.key || encode(sha256(convert_to(k.key || kind || item, 'UTF8')), 'hex'), 'UTF8')), 'hex'), 1, 20)
        order by place
    )
    from ops.id_key as k, unnest(items) with ordinality as set_of (item, place)
$$;
revoke all on function ops.keyed_ids(text, text[]) from public;
grant execute on function ops.keyed_ids(text, text[]) to vs_transformer, vs_loader;

-- Signals are read by month. Ids are random: an index that begins with one is written all over at every row.
drop index if exists landing.signals_signal_month_signal_id_idx;
create index if not exists signals_signal_month_idx on landing.signals (signal_month);
-- The same promise without a regular expression a row.
alter table landing.signals drop constraint if exists signals_signal_month_check;
alter table landing.signals add constraint signals_signal_month_check check (signal_month like '____-__');
