-- One row per signal of a month. A later delivery corrects an earlier one: the highest sequence wins, then the last
-- received. A late row (of a month that was over) that has the reference of a regular one is the older word of the two:
-- the delivery of the later month wins. Conditions on signal_month reach the index over the table's pages through the
-- window, so a month costs a month.
with landed as (
    select
        signals.*,
        deliveries.sequence as delivery_sequence,
        deliveries.received_at,
        min(deliveries.received_at)
            over (partition by signals.signal_month, signals.signal_id) as first_received_at,
        row_number() over (
            partition by signals.signal_month, signals.signal_id
            order by
                coalesce(deliveries.named_month, deliveries.signal_month) desc,
                deliveries.sequence desc nulls last,
                deliveries.received_at desc,
                signals.delivery_id, signals.line_number
        ) as newest_first
    from {{ source('landing', 'signals') }} as signals
    inner join {{ source('ops', 'deliveries') }} as deliveries on deliveries.delivery_id = signals.delivery_id
    where deliveries.status = 'loaded'
)

select
    signal_id, signal_month, partner, sector, partner_reference,
    signal_on, arrears_since_on, arrears_eur, is_crisis, supply_ends_on, is_warm_handover,
    initials, name_prefix, surname, birth_on, gender,
    street, postcode, house_number, house_letter, house_number_addition, city,
    phone_1, phone_2, email, bsn_key, array_to_string(flags, '|') as flags,
    delivery_id, line_number, contract_version, delivery_sequence, received_at, first_received_at
from landed
where newest_first = 1
