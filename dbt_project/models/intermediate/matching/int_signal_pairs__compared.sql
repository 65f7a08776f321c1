-- Every two signals on one address (this month's, and this month's against the months persons are recognised over) compared
-- on bsn, birth date, surname, initials and gender, with the tier that would link them. Pairs on the looser address key
-- are compared only when bsn or birth date agree, and never link: they propose.
--
-- Tiers, strongest first: bsn · birth_date · birth_date_swapped · name. Different birth dates never link without the same
-- bsn: a father and son with the same initials are two people. The same birth date with other initials proposes only:
-- those may be twins.
{{ config(tags=["matched"], indexes=[{"columns": ["signal_month"]}]) }}

with thresholds as (
    select
        max(threshold) filter (where rule_id = 'lookback_months')::integer as lookback_months,
        max(threshold) filter (where rule_id = 'surname_with_birth_date') as surname_with_birth_date,
        max(threshold) filter (where rule_id = 'surname_with_swapped_date') as surname_with_swapped_date,
        max(threshold) filter (where rule_id = 'surname_without_birth_date') as surname_without_birth_date,
        max(threshold) filter (where rule_id = 'surname_proposed') as surname_proposed,
        max(threshold) filter (where rule_id = 'weight_birth_date') as weight_birth_date,
        max(threshold) filter (where rule_id = 'weight_surname') as weight_surname,
        max(threshold) filter (where rule_id = 'weight_initials') as weight_initials
    from {{ ref('match_rules') }} as match_rules
    where {{ in_force('match_rules', month_start()) }}
),

known as (
    select * from {{ ref('int_signals__keyed') }}
    where
        signal_month <= {{ month() }}
        and signal_month >= (
            select to_char({{ month_start() }} - make_interval(months => lookback_months), 'YYYY-MM') from thresholds
        )
),

new_signals as (
    select * from {{ ref('int_signals__keyed') }} where signal_month = {{ month() }}
),

pairs as (
    select
        n.signal_id as left_signal_id, o.signal_id as right_signal_id, o.signal_month as right_signal_month,
        n.address_key, true as is_same_address,
        n.surname_key as left_name, o.surname_key as right_name,
        n.initials_key as left_initials, o.initials_key as right_initials,
        n.birth_on as left_birth_on, o.birth_on as right_birth_on,
        n.bsn_key as left_bsn, o.bsn_key as right_bsn, n.gender as left_gender, o.gender as right_gender
    from new_signals as n
    inner join known as o
        on o.address_key = n.address_key and (o.signal_month < n.signal_month or o.signal_id > n.signal_id)
    union all
    select
        n.signal_id, o.signal_id, o.signal_month, n.address_key, false,
        n.surname_key, o.surname_key, n.initials_key, o.initials_key,
        n.birth_on, o.birth_on, n.bsn_key, o.bsn_key, n.gender, o.gender
    from new_signals as n
    inner join known as o
        on o.address_loose_key = n.address_loose_key
        and o.birth_on = n.birth_on
        and o.address_key <> n.address_key
        and (o.signal_month < n.signal_month or o.signal_id > n.signal_id)
),

features as (
    select
        pairs.left_signal_id, pairs.right_signal_id, pairs.right_signal_month, pairs.address_key, pairs.is_same_address,
        case
            when left_bsn is null or right_bsn is null then 'unknown'
            when left_bsn = right_bsn then 'same'
            else 'differ'
        end as bsn,
        case
            when left_birth_on is null or right_birth_on is null then 'unknown'
            when left_birth_on = right_birth_on then 'same'
            when
                extract(year from left_birth_on) = extract(year from right_birth_on)
                and extract(month from left_birth_on) = extract(day from right_birth_on)
                and extract(day from left_birth_on) = extract(month from right_birth_on)
                then 'swapped'
            -- two of year, month and day agree: perhaps a typo, perhaps not
            when
                (extract(year from left_birth_on) = extract(year from right_birth_on))::integer
                + (extract(month from left_birth_on) = extract(month from right_birth_on))::integer
                + (extract(day from left_birth_on) = extract(day from right_birth_on))::integer = 2
                then 'near'
            else 'differ'
        end as birth,
        case
            when left_initials is null or right_initials is null then 'unknown'
            when left_initials = right_initials then 'same'
            when starts_with(left_initials, right_initials) or starts_with(right_initials, left_initials) then 'prefix'
            else 'differ'
        end as initials,
        case
            when left_gender not in ('M', 'V') or right_gender not in ('M', 'V') then 'unknown'
            when left_gender = right_gender then 'same'
            when left_gender <> right_gender then 'differ'
            else 'unknown'
        end as gender,
        left_name = right_name as is_same_surname,
        names.whole::numeric(4, 3) as surname,
        -- a double name agrees with either half (maiden and married names)
        case
            when left_name not like '%-%' and right_name not like '%-%' then names.whole
            else greatest(names.whole, (
                select max({{ name_likeness('l', 'r') }})
                from unnest(string_to_array(left_name, '-')) as l
                cross join unnest(string_to_array(right_name, '-')) as r
            ))
        end::numeric(4, 3) as surname_part
    from pairs
    cross join lateral (select {{ name_likeness('left_name', 'right_name') }} as whole) as names
),

tiered as (
    select
        features.*,
        case
            when not is_same_address then null
            when bsn = 'same' and (birth <> 'differ' or surname_part >= t.surname_with_birth_date) then 'bsn'
            when bsn = 'differ' or gender = 'differ' or initials = 'differ' then null
            when birth = 'same' and surname_part >= t.surname_with_birth_date then 'birth_date'
            when birth = 'swapped' and initials = 'same' and surname >= t.surname_with_swapped_date then 'birth_date_swapped'
            when birth = 'unknown' and initials = 'same' and surname >= t.surname_without_birth_date then 'name'
        end as tier,
        bsn = 'differ'
        or (bsn <> 'same' and (birth in ('differ', 'near') or initials = 'differ' or gender = 'differ')) as contradicts,
        surname_part >= t.surname_proposed
        and bsn <> 'differ'
        and (
            bsn = 'same'
            or (birth in ('same', 'swapped') and (is_same_address or initials <> 'differ'))
            or (birth = 'near' and is_same_address and initials = 'same')
            or (
                birth = 'unknown' and is_same_address and initials = 'prefix'
                and surname >= t.surname_without_birth_date
            )
        ) as is_plausible,
        (
            case when bsn = 'same' then 1 else
                t.weight_birth_date
                * case birth when 'same' then 1 when 'swapped' then 0.8 when 'unknown' then 0.5 when 'near' then 0.3 else 0 end
                + t.weight_surname * surname_part
                + t.weight_initials
                * case initials when 'same' then 1 when 'prefix' then 0.7 when 'unknown' then 0.5 else 0 end
            end
        )::numeric(4, 3) as score
    from features
    cross join thresholds as t
)

select
    {{ month() }}::text as signal_month,
    left_signal_id, right_signal_id, right_signal_month, address_key, is_same_address,
    tier,
    -- how far a link may be trusted when a group of links holds a contradiction (int_persons__resolved): 0 bsn,
    -- 1 birth date and all of the name agree, 2 birth date and a similar name, 3 name only
    case
        when tier = 'bsn' then 0
        when tier = 'birth_date' and is_same_surname and initials = 'same' then 1
        when tier in ('birth_date', 'birth_date_swapped') then 2
        when tier = 'name' then 3
    end as trust_level,
    contradicts and coalesce(tier <> 'bsn', true) as contradicts,
    is_plausible,
    format(
        'bsn=%s birth=%s surname=%s initials=%s gender=%s address=%s',
        bsn, birth, surname_part, initials, gender, case when is_same_address then 'same' else 'loose' end
    ) as evidence,
    score
from tiered
