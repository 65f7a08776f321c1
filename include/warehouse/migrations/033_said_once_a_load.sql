-- What is the same in all rows of a large load is said once, before its COPY, instead of in every row (measured in
-- docs/adr/0006-the-pace-of-a-delivery.md): the loader sets it for its transaction, and these defaults read it.
--
-- Declared immutable so that a COPY reads it when it begins and not again for each row; within one COPY that is what it is.
-- Whoever writes rows in another way names all columns. Nothing was set: no value, which the columns refuse.
create function ops.of_this_load(name text) returns text
language sql immutable parallel safe
as $$ select nullif(current_setting('vs.' || name, true), '') $$;
revoke all on function ops.of_this_load(text) from public;
grant execute on function ops.of_this_load(text) to vs_loader;

alter table landing.signals
    alter column delivery_id set default ops.of_this_load('delivery_id'),
    alter column contract_version set default ops.of_this_load('contract_version'),
    alter column partner set default ops.of_this_load('partner'),
    alter column sector set default ops.of_this_load('sector'),
    alter column signal_month set default ops.of_this_load('signal_month');
