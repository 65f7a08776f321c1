-- The rule of migration 006 in two parts, so that a month of signals does not start all of it for each: the words of a surname
-- somebody is recognised by, which the planner takes in where they are asked for, and the key made with one of them.
create function ops.suppression_words(surname text) returns setof text
language sql stable parallel safe
as $$
    select word
    from (
        select word, length(word) >= 4 or row_number() over (order by length(word) desc, word) = 1 as is_kept
        from regexp_split_to_table(
            replace(replace(lower(public.unaccent(surname)), 'ij', 'y'), 'ss', 's'), '[^a-z]+'
        ) as word
        where word <> ''
    ) as words
    where is_kept
$$;

create function ops.suppression_key(postcode text, house_number integer, birth_on date, word text) returns text
language sql stable security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select ops.keyed(
        k.key, 'suppressed',
        upper(regexp_replace(postcode, '\s', '', 'g')) || '|' || house_number || '|'
        || coalesce(to_char(birth_on, 'YYYY-MM-DD'), '') || '|' || word
    )
    from ops.id_key as k
$$;

create or replace function ops.suppression_keys(postcode text, house_number integer, birth_on date, surname text)
returns text[]
language sql stable security definer parallel safe
set search_path = ops, public, pg_catalog
as $$
    select coalesce(array_agg(distinct ops.suppression_key(postcode, house_number, birth_on, word)), '{}')
    from ops.suppression_words(surname) as word
$$;

revoke all on function ops.suppression_words(text), ops.suppression_key(text, integer, date, text) from public;
grant execute on function ops.suppression_words(text), ops.suppression_key(text, integer, date, text)
    to vs_transformer, vs_loader, vs_exporter, vs_admin;
