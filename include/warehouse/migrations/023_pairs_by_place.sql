-- The compared pairs of one address and those found elsewhere are two tables now. What was compared in earlier months goes
-- along: it says why those signals were linked, and is purged with its month.
do $$
begin
    if to_regclass('intermediate.int_signal_pairs__compared') is not null then
        create table intermediate.int_signal_pairs__elsewhere as
            select * from intermediate.int_signal_pairs__compared where place <> 'address';
        create index on intermediate.int_signal_pairs__elsewhere (signal_month);
        alter table intermediate.int_signal_pairs__elsewhere owner to vs_transformer;
        delete from intermediate.int_signal_pairs__compared where place <> 'address';
        alter table intermediate.int_signal_pairs__compared rename to int_signal_pairs__at_address;
    end if;
end $$;
