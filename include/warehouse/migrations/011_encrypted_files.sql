-- A file that went out encrypted: to which key (fingerprint), and what it holds when it is opened.
alter table ops.exchange_ledger add column if not exists encrypted_to text;
alter table ops.exchange_ledger add column if not exists plain_sha256 text;
