-- What happened: no personal data in this schema.
create table ops.months (
    signal_month text primary key check (signal_month ~ '^\d{4}-\d{2}$'),
    opened_at timestamptz not null default now()
);

-- Who may deliver, as the contracts say; written by the loader, so that a new partner needs no seed.
create table ops.partners (
    partner text primary key,
    partner_name text not null,
    sector text not null,
    delivery_day integer not null,
    contract_version text not null
);

create table ops.deliveries (
    delivery_id text primary key,
    contract text not null,
    contract_version text,
    partner text,
    file_name text not null,
    sha256 text not null,
    signal_month text,
    sequence integer,
    status text not null check (status in ('loading', 'loaded', 'rejected', 'unchanged')),
    reason_code text,
    reason_detail text,
    warnings jsonb not null default '[]',
    rows_in_file integer,
    rows_loaded integer,
    rows_quarantined integer,
    rows_duplicate integer,
    is_late boolean not null default false,
    archived_as text,
    receipt text,
    received_at timestamptz not null default now(),
    check (status <> 'loaded' or rows_in_file = rows_loaded + rows_quarantined + rows_duplicate)
);
create index on ops.deliveries (signal_month, partner);

-- Files whose very bytes were seen before: recorded, nothing loaded.
create table ops.repeated_deliveries (
    delivery_id text not null references ops.deliveries,
    file_name text not null,
    archived_as text,
    seen_at timestamptz not null default now(),
    primary key (delivery_id, file_name)
);

create table ops.missing_deliveries (
    signal_month text not null,
    partner text not null,
    due_on date not null,
    recorded_at timestamptz not null default now(),
    primary key (signal_month, partner)
);

-- Every outgoing file, one row, written before the file becomes visible and completed after.
create table ops.exchange_ledger (
    contract text not null,
    signal_month text not null,
    recipient text not null,
    sequence integer not null,
    file_name text not null,
    rows integer not null,
    content_sha256 text not null,
    file_sha256 text not null,
    supersedes text,
    state text not null check (state in ('prepared', 'delivered')),
    prepared_at timestamptz not null default now(),
    delivered_at timestamptz,
    primary key (contract, signal_month, recipient, sequence)
);

-- One row per call record ever put on a list: the billing unit, and the proof that none goes out twice.
create table ops.call_records (
    call_record_id text primary key,
    case_id text not null,
    signal_month text not null,
    sequence integer not null,
    file_name text not null,
    content_sha256 text not null,
    script_version text not null,
    withdrawn_in_sequence integer,
    delivered_at timestamptz not null default now()
);
create index on ops.call_records (signal_month);

create table ops.enrichment_requests (
    request_id text primary key,
    signal_month text not null,
    sequence integer not null,
    requested_at timestamptz not null default now()
);

create table ops.gate_results (
    result_id bigint generated always as identity primary key,
    gate text not null,
    suite text not null,
    signal_month text not null,
    run_id text,
    expectation text not null,
    rule text not null,
    severity text not null check (severity in ('critical', 'warning', 'info')),
    success boolean not null,
    checked_rows bigint,
    unexpected_rows bigint,
    observed text,
    checked_at timestamptz not null default now()
);
create index on ops.gate_results (signal_month, gate);

create table ops.dbt_results (
    result_id bigint generated always as identity primary key,
    stage text not null,
    signal_month text,
    run_id text,
    invocation_id text not null,
    unique_id text not null,
    status text not null,
    rows_affected bigint,
    execution_seconds double precision,
    message text,
    recorded_at timestamptz not null default now()
);

create table ops.approvals (
    approval_id bigint generated always as identity primary key,
    signal_month text not null,
    subject text not null check (subject in ('call_list', 'closure')),
    run_id text not null,
    decision text not null check (decision in ('approved', 'rejected')),
    decided_by text not null,
    decided_at timestamptz not null,
    remark text,
    unique (signal_month, subject, run_id)
);

create table ops.ris_pulls (
    pull_id bigint generated always as identity primary key,
    kind text not null check (kind in ('outcomes', 'followups')),
    source text not null check (source in ('api', 'file')),
    updated_since timestamptz,
    newest_updated_at timestamptz,
    items integer not null,
    new_items integer not null,
    rejected_items integer not null,
    -- the signal months it touched: what must be refreshed, also when the run died before it did
    months text[] not null default '{}',
    pulled_at timestamptz not null default now()
);

create table ops.closure_batches (
    batch_id text primary key,
    signal_month text not null,
    version integer not null,
    approved_by text not null,
    items integer not null,
    state text not null check (state in ('prepared', 'sent', 'acknowledged')),
    prepared_at timestamptz not null default now(),
    acknowledged_at timestamptz
);

create table ops.closure_items (
    batch_id text not null references ops.closure_batches,
    case_id text not null,
    signal_month text not null,
    ddas_result text not null,
    reason text not null,
    closed_on date not null,
    state text not null default 'sent' check (state in ('sent', 'accepted', 'rejected')),
    rejection_reason text,
    primary key (batch_id, case_id)
);

create table ops.closure_ledger (
    signal_month text not null,
    version integer not null,
    batch_id text not null,
    approved_by text not null,
    cases_opened integer not null,
    cases_closed integer not null,
    cases_open integer not null,
    cases_excluded integer not null,
    arrears_closed_eur numeric(14, 2) not null,
    content_hash text not null,
    closed_at timestamptz not null default now(),
    primary key (signal_month, version),
    check (cases_opened = cases_closed + cases_open + cases_excluded)
);

-- The key of our own identifiers. An id in marts must not be derivable from an address or a name, so ids are keyed
-- hashes, and the key is readable only through the function below.
create table ops.id_key (singleton boolean primary key check (singleton), key text not null);

create function ops.keyed_id(kind text, value text) returns text
language sql stable strict security definer parallel safe
set search_path = ops, pg_catalog
as $$
    select kind || '_' || substr(encode(sha256(convert_to(k.key || encode(sha256(convert_to(k.key || kind || value, 'UTF8')), 'hex'), 'UTF8')), 'hex'), 1, 20)
    from ops.id_key as k
$$;
revoke all on function ops.keyed_id(text, text) from public;
grant execute on function ops.keyed_id(text, text) to vs_transformer, vs_loader;

-- A closed month does not change: its ledger rows can only be added to.
create function ops.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'ops.% is append-only: a correction is a new version, never a change (table %, %)', tg_table_name, tg_table_name, tg_op;
end $$;
create trigger closure_ledger_is_append_only before update or delete or truncate on ops.closure_ledger
    for each statement execute function ops.refuse_change();

grant select on all tables in schema ops to vs_loader, vs_transformer, vs_exporter;
revoke all on ops.id_key from vs_loader, vs_transformer, vs_exporter;
grant insert, update on ops.partners, ops.deliveries, ops.months, ops.repeated_deliveries, ops.missing_deliveries, ops.ris_pulls to vs_loader;
grant delete on ops.missing_deliveries to vs_loader;
grant insert, update on ops.exchange_ledger, ops.call_records, ops.enrichment_requests, ops.approvals, ops.closure_batches, ops.closure_items, ops.closure_ledger to vs_exporter;
grant insert on ops.dbt_results to vs_transformer;
grant insert on ops.gate_results to vs_loader, vs_transformer, vs_exporter;
grant usage on all sequences in schema ops to vs_loader, vs_transformer, vs_exporter;
grant all on all tables in schema landing, ops to vs_admin;
grant usage, create on schema landing, ops, staging, intermediate, outbound, marts to vs_admin;
grant vs_transformer to vs_admin;
