-- The run an alert is about, when it is about one: it is settled when that run ends well.
alter table ops.alerts add column if not exists run_id text;

-- Who was told about an alert, by which channel: each time an alert is raised, each channel says it once.
create table if not exists ops.alert_notices (
    kind text not null,
    signal_month text not null,
    subject text not null,
    raised_at timestamptz not null,
    channel text not null,
    sent_at timestamptz not null default now(),
    primary key (kind, signal_month, subject, raised_at, channel)
);

-- A question a person was asked, from the moment it was asked; the answer is in ops.approvals.
create table if not exists ops.questions (
    signal_month text not null,
    subject text not null check (subject in ('call_list', 'closure', 'restatement')),
    run_id text not null,
    asked_at timestamptz not null default now(),
    primary key (signal_month, subject, run_id)
);

-- The recipient of a file said (by telephone, by mail) that it is there: a person notes it.
create table if not exists ops.acknowledgements (
    contract text not null,
    signal_month text not null,
    recipient text not null,
    sequence integer not null,
    acknowledged_by text not null check (acknowledged_by <> ''),
    noted_by text not null check (noted_by <> ''),
    acknowledged_at timestamptz not null default now(),
    primary key (contract, signal_month, recipient, sequence),
    foreign key (contract, signal_month, recipient, sequence) references ops.exchange_ledger
);

-- What waits for whom, since when: one row a kind, month and subject; counts and names of files, never of persons. The
-- limits after which it becomes an alert stand in include/alerts/kinds.py.
create or replace view ops.waiting as
with closed as (
    select distinct signal_month from ops.closure_ledger
),

asked as (
    select distinct on (questions.signal_month, questions.subject) questions.*
    from ops.questions
    order by questions.signal_month, questions.subject, questions.asked_at desc
)

select
    'missing_delivery'::text as kind, missing.partner as waits_for, missing.signal_month, missing.partner as subject,
    1::bigint as items, missing.recorded_at as since
from ops.missing_deliveries as missing
where missing.signal_month not in (select closed.signal_month from closed)
union all
select
    'refused_file', refused.partner, refused.signal_month, refused.file_name, coalesce(refused.rows_in_file, 0),
    refused.received_at
from ops.deliveries as refused
where refused.status = 'rejected' and refused.partner is not null
    and refused.signal_month not in (select closed.signal_month from closed)
    and not exists (
        select from ops.deliveries as later
        where later.partner = refused.partner and later.signal_month = refused.signal_month
            and later.status = 'loaded' and later.received_at > refused.received_at
    )
union all
select 'approval', 'approver', asked.signal_month, asked.subject, 1, asked.asked_at
from asked
where not exists (
        select from ops.approvals
        where approvals.signal_month = asked.signal_month and approvals.subject = asked.subject
            and approvals.decided_at >= asked.asked_at
    )
    -- a run that was given up leaves its question behind
    and not exists (
        select from ops.closure_ledger as ledger
        where ledger.signal_month = asked.signal_month and ledger.closed_at >= asked.asked_at
    )
union all
select 'restatement', 'approver', signal_month, 'version ' || version, 1, noticed_at
from ops.restatements
where state = 'waiting'
union all
select 'closure_batch', 'ris', signal_month, 'version ' || version, items, prepared_at
from ops.closure_batches
where state <> 'acknowledged'
union all
select
    'enrichment_request', 'enrichment provider', requests.signal_month,
    format('enrichment_request_%s_%s.csv', replace(requests.signal_month, '-', ''), to_char(requests.sequence, 'FM00')),
    count(*), min(requests.requested_at)
from ops.enrichment_requests as requests
where requests.signal_month not in (select closed.signal_month from closed)
    and not exists (
        select from ops.deliveries as answers
        where answers.contract like 'enrichment\_result-v%' and answers.status = 'loaded'
            and answers.signal_month = requests.signal_month and answers.sequence = requests.sequence
    )
group by requests.signal_month, requests.sequence
union all
-- the first outcome of one of its records shows that somebody calls from the list
select 'call_list', 'certin', lists.signal_month, lists.file_name, lists.rows, lists.delivered_at
from ops.exchange_ledger as lists
where lists.contract = 'certin_call_list' and lists.state = 'delivered'
    and lists.signal_month not in (select closed.signal_month from closed)
    and exists (
        select from ops.call_records as records
        where records.signal_month = lists.signal_month and records.sequence = lists.sequence
            and records.withdrawn_in_sequence is null
    )
    and not exists (
        select from ops.call_records as records
        inner join landing.ris_outcomes as outcomes on outcomes.call_record_id = records.call_record_id
        where records.signal_month = lists.signal_month and records.sequence = lists.sequence
    )
    and not exists (
        select from ops.acknowledgements as said
        where said.contract = lists.contract and said.signal_month = lists.signal_month
            and said.recipient = lists.recipient and said.sequence = lists.sequence
    )
union all
select 'call_outcomes', 'certin', records.signal_month, 'call records without an outcome', count(*), min(records.delivered_at)
from ops.call_records as records
where records.withdrawn_in_sequence is null
    and records.signal_month not in (select closed.signal_month from closed)
    and not exists (select from landing.ris_outcomes as outcomes where outcomes.call_record_id = records.call_record_id)
group by records.signal_month
union all
select
    'quarantine', 'data engineer', held.signal_month, held.partner, count(*), min(files.received_at)
from landing.quarantined_rows as held
inner join ops.deliveries as files on files.delivery_id = held.delivery_id
where held.status = 'open' and files.status = 'loaded'
group by held.signal_month, held.partner
union all
select 'match_review', 'kwadraad', signal_month, 'who is who', count(*), min(asked_at)
from ops.match_reviews
where state = 'open' and signal_month not in (select closed.signal_month from closed)
group by signal_month;

alter view ops.waiting owner to vs_admin;
grant select on ops.alert_notices, ops.questions, ops.acknowledgements, ops.waiting to vs_loader, vs_transformer, vs_exporter;
grant insert on ops.alert_notices to vs_loader;
grant insert, update on ops.questions to vs_exporter;
grant insert on ops.acknowledgements to vs_exporter;
-- a gate raises and settles its own alert, whatever role judges it
grant insert, update on ops.alerts to vs_transformer, vs_exporter;
grant all on ops.alert_notices, ops.questions, ops.acknowledgements to vs_admin;
