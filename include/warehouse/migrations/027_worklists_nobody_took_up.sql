-- What waits for whom, with the work lists to Kwadraad: who accepted help stands on them. A view is replaced as a whole, so what
-- migration 022 says of the rest stands here again.
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
-- Kwadraad's first follow-up on a case of the month shows that it works from the month's lists; or it said so of one of them
select 'worklist', 'kwadraad', newest.signal_month, newest.file_name, newest.rows, newest.first_delivered_at
from (
    select distinct on (lists.signal_month)
        lists.signal_month, lists.file_name, lists.rows,
        min(lists.delivered_at) over (partition by lists.signal_month) as first_delivered_at
    from ops.exchange_ledger as lists
    where lists.contract = 'kwadraad_worklist' and lists.state = 'delivered'
    order by lists.signal_month, lists.sequence desc
) as newest
where newest.signal_month not in (select closed.signal_month from closed)
    and not exists (
        select from ops.call_records as records
        inner join landing.ris_followups as followups on followups.case_id = records.case_id
        where records.signal_month = newest.signal_month
    )
    and not exists (
        select from ops.acknowledgements as said
        where said.contract = 'kwadraad_worklist' and said.signal_month = newest.signal_month
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
