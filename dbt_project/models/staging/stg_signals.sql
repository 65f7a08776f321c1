-- One row per signal of a month. A later delivery corrects an earlier one: the highest sequence wins, then the last
-- received. A late row (of a month that was over) that has the reference of a regular one is the older word of the two:
-- the delivery of the later month wins. Conditions on signal_month reach the index over the table's pages, so a month
-- costs a month.
{% set newest_first = "coalesce(deliveries.named_month, deliveries.signal_month) desc, deliveries.sequence desc nulls last,"
    ~ " deliveries.received_at desc, signals.delivery_id, signals.line_number" -%}
with landed as (
    select distinct on (signals.signal_month, signals.signal_id)
        signals.*,
        deliveries.sequence as delivery_sequence,
        deliveries.received_at,
        -- over the same order as the rows are chosen by, so that they are sorted once
        min(deliveries.received_at) over (
            partition by signals.signal_month, signals.signal_id
            order by {{ newest_first }}
            rows between unbounded preceding and unbounded following
        ) as first_received_at
    from {{ source('landing', 'signals') }} as signals
    inner join {{ source('ops', 'deliveries') }} as deliveries on deliveries.delivery_id = signals.delivery_id
    where deliveries.status = 'loaded'
    order by signals.signal_month, signals.signal_id, {{ newest_first }}
)

select
    signal_id, signal_month, partner, sector, partner_reference,
    signal_on, arrears_since_on, arrears_eur, is_crisis, supply_ends_on, is_warm_handover,
    initials, name_prefix, surname, birth_on, gender,
    street, postcode, house_number, house_letter, house_number_addition, city,
    phone_1, phone_2, email, bsn_key, array_to_string(flags, '|') as flags,
    delivery_id, line_number, contract_version, delivery_sequence, received_at, first_received_at
from landed
