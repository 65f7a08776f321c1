-- What came in, as it came in. Every table is keyed by the delivery and line that brought the row, so a second load of
-- the same delivery can only write the same rows.
create table landing.signals (
    delivery_id text not null,
    line_number integer not null,
    contract_version text not null,
    signal_id text not null,
    partner text not null,
    sector text not null,
    partner_reference text not null,
    signal_month text not null check (signal_month ~ '^\d{4}-\d{2}$'),
    signal_on date not null,
    arrears_since_on date not null,
    arrears_eur numeric(12, 2) not null check (arrears_eur > 0),
    is_crisis boolean not null default false,
    supply_ends_on date,
    is_warm_handover boolean not null default false,
    initials text,
    name_prefix text,
    surname text not null,
    birth_on date,
    gender text,
    street text,
    postcode text not null,
    house_number integer not null,
    house_letter text,
    house_number_addition text,
    city text,
    phone_1 text,
    phone_2 text,
    email text,
    bsn_key text,
    flags text[] not null default '{}',
    primary key (delivery_id, line_number)
);
create index on landing.signals (signal_month, signal_id);

-- The row as delivered, every column as text. The only place where a BSN stands; only the loader reads it.
create table landing.raw_rows (
    delivery_id text not null,
    line_number integer not null,
    signal_month text not null,
    raw jsonb not null,
    primary key (delivery_id, line_number)
);

create table landing.quarantined_rows (
    delivery_id text not null,
    line_number integer not null,
    partner text not null,
    signal_month text not null,
    contract_version text not null,
    reasons text[] not null check (cardinality(reasons) > 0),
    raw jsonb not null,
    status text not null default 'open' check (status in ('open', 'released', 'discarded')),
    decided_by text,
    decided_at timestamptz,
    decision_reason text,
    primary key (delivery_id, line_number)
);

create table landing.enrichment_results (
    delivery_id text not null,
    line_number integer not null,
    signal_month text not null,
    request_id text not null,
    phone text,
    source text,
    match_level text check (match_level in ('person', 'address')),
    matched_on date,
    confidence numeric(4, 3),
    primary key (delivery_id, line_number)
);
create index on landing.enrichment_results (signal_month, request_id);

-- RIS items: every version ever seen is kept, the newest updated_at counts.
create table landing.ris_outcomes (
    outcome_id text not null,
    updated_at timestamptz not null,
    call_record_id text not null,
    case_id text not null,
    result_code text not null,
    result_at timestamptz not null,
    script_version text,
    callback_part_of_day text,
    callback_from time,
    callback_until time,
    callback_on date,
    situation_summary text,
    source text not null check (source in ('api', 'file')),
    primary key (outcome_id, updated_at)
);
create index on landing.ris_outcomes (call_record_id);

create table landing.ris_attempts (
    outcome_id text not null,
    updated_at timestamptz not null,
    attempt_id text not null,
    attempt_no integer not null,
    direction text not null check (direction in ('outbound', 'inbound')),
    phone text,
    started_at timestamptz not null,
    ended_at timestamptz,
    reached boolean not null,
    attempt_result text,
    primary key (outcome_id, updated_at, attempt_id)
);

create table landing.ris_followups (
    followup_id text not null,
    updated_at timestamptz not null,
    case_id text not null,
    kind text not null check (kind in ('quick_fix', 'referral_financial', 'referral_other', 'payment_arrangement', 'no_response', 'declined')),
    started_on date not null,
    ended_on date,
    source text not null check (source in ('api', 'file')),
    primary key (followup_id, updated_at)
);

-- Items RIS sent that cannot be taken as they are (unknown code, call record we never delivered): kept, never guessed.
create table landing.ris_rejected_items (
    kind text not null check (kind in ('outcome', 'followup')),
    item_id text not null,
    updated_at timestamptz not null,
    reason text not null,
    item jsonb not null,
    primary key (kind, item_id, updated_at)
);

grant select, insert, update, delete on all tables in schema landing to vs_loader;
grant select on landing.signals, landing.enrichment_results, landing.ris_outcomes, landing.ris_attempts, landing.ris_followups to vs_transformer;
