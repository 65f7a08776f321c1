-- How an id is made, spelled once; and the ids of a whole set as a table. Called row by row most of what an id costs is
-- starting the function.
create function ops.keyed(key text, kind text, value text) returns text
language sql immutable parallel safe
return kind || '_' || substr(encode(sha256(convert_to(key || encode(sha256(convert_to(key || kind || value, 'UTF8')), 'hex'), 'UTF8')), 'hex'), 1, 20);
revoke all on function ops.keyed(text, text, text) from public;

create or replace function ops.keyed_id(kind text, value text) returns text
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select ops.keyed(k.key, kind, value) from ops.id_key as k
$$;

create function ops.keyed_ids(kind text, "values" text[]) returns table (value text, id text)
language sql stable strict security definer parallel safe rows 10000
set search_path = ops, pg_catalog
as $$
    select one, ops.keyed(k.key, kind, one) from unnest("values") as all_of (one) cross join ops.id_key as k
$$;
revoke all on function ops.keyed_ids(text, text[]) from public;
grant execute on function ops.keyed_ids(text, text[]) to vs_transformer;
