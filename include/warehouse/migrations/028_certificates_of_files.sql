-- Files are deleted one by one, outside any transaction: how many stand to go is written down before, so that a purge that
-- is killed half-way is certified to the file by the one after it.
alter table ops.purge_certificates add column if not exists announced bigint check (announced >= 0);
