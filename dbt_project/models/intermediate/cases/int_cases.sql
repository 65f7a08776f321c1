-- One row per case (melding): an address in a signal month with its picked-up signals. Both published definitions of
-- "multiple" stand side by side: two signals on the address (Divosa), two kinds of creditor (VPS). Consecutive: a signal on
-- the address in the calendar months before (Divosa, since 2023: six). In a split address (no household) the person takes
-- the place of the address in all three. The signals that were counted stand beside each: address_signal_ids for both
-- kinds of multiple, consecutive_signal_ids for consecutive.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}, {"columns": ["case_id"]}]) }}

with signals as (
    select *, address_key || case when is_address_split then '|' || person_id else '' end as unit_key
    from {{ ref('int_signals__matched') }}
    where signal_month = {{ month() }}
),

rules as (
    select
        to_char({{ month_start() }} - make_interval(months => address_rules.consecutive_months), 'YYYY-MM') as first_month,
        -- a case opens when the deliveries are in: the day before calling may begin
        {{ month_start() }} + (call_rules.call_from_day - 2) as opens_on
    from {{ ref('address_rules') }} as address_rules
    cross join {{ ref('call_rules') }} as call_rules
    where {{ in_force('address_rules', month_start()) }} and {{ in_force('call_rules', month_start()) }}
),

loaded as (
    select
        unit_key, count(*) as signals_at_address, count(distinct sector) as creditor_kinds,
        string_agg(signal_id, '|' order by signal_id) as signal_ids
    from signals
    where is_resident
    group by unit_key
),

consecutive as (
    select
        units.unit_key, max(earlier.signal_on) as last_signal_on,
        string_agg(earlier.signal_id, '|' order by earlier.signal_on desc, earlier.signal_id) as signal_ids
    from (
        select distinct unit_key, address_key, case when is_address_split then person_id end as person_id from signals
    ) as units
    inner join {{ ref('int_signals__matched') }} as earlier
        on earlier.address_key = units.address_key
        and (units.person_id is null or earlier.person_id = units.person_id)
    where earlier.signal_month < {{ month() }} and earlier.signal_month >= (select first_month from rules)
    group by units.unit_key
),

addresses as (
    select distinct on (case_id)
        case_id, postcode, house_number, house_letter, house_number_addition, street, city
    from signals
    where case_id is not null
    -- the address as written by whoever told street, letter and addition apart
    order by case_id, street is null, house_letter is null, house_number_addition is null, signal_id
),

opened as (
    select
        case_id, unit_key, min(address_key) as address_key, bool_or(is_address_split) as is_address_split,
        count(*) as signals, count(distinct person_id) as persons,
        sum(arrears_eur) as arrears_eur, max(arrears_eur) as largest_signal_eur,
        bool_or(is_crisis) as has_crisis, min(supply_ends_on) as supply_ends_on, max(signal_on) as last_signal_on
    from signals
    where case_id is not null
    group by case_id, unit_key
)

select
    opened.case_id,
    {{ month() }}::text as signal_month,
    opened.address_key,
    opened.is_address_split,
    greatest(rules.opens_on, opened.last_signal_on) as opened_on,
    opened.signals::integer as signals,
    loaded.signals_at_address::integer as signals_at_address,
    loaded.creditor_kinds::integer as creditor_kinds,
    opened.persons::integer as persons,
    opened.arrears_eur,
    opened.largest_signal_eur,
    loaded.signals_at_address >= 2 as is_multiple,
    loaded.creditor_kinds >= 2 as is_multiple_creditors,
    consecutive.unit_key is not null as is_consecutive,
    loaded.signal_ids as address_signal_ids,
    consecutive.signal_ids as consecutive_signal_ids,
    consecutive.last_signal_on as consecutive_signal_on,
    opened.has_crisis,
    opened.supply_ends_on,
    addresses.postcode, addresses.house_number, addresses.house_letter, addresses.house_number_addition,
    addresses.street, addresses.city
from opened
cross join rules
inner join loaded on loaded.unit_key = opened.unit_key
inner join addresses on addresses.case_id = opened.case_id
left join consecutive on consecutive.unit_key = opened.unit_key
