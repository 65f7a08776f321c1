-- Signals that may be about one person, compared: this month's with each other and with those of the months persons are
-- recognised over. The weights of the evidence (seed match_weights) add up; the sum decides: linked, proposed or neither.
--
-- Three places: `address` (the same address key), `loose` (an addition is missing or cut short, or the street is the same and
-- the postcode nearly) and `elsewhere` (found by bsn, birth date and surname, mobile number or e-mail address). Only the first makes
-- persons. The other two propose, or link for recurrence only (int_person_moves).
--
-- Whatever the sum, without the same bsn some things never link: other birth dates (father and son may share initials),
-- other initials (twins share a birth date), another gender, another bsn. Such a pair also keeps others apart: no
-- signal joins both (int_persons__resolved).
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}],
    sql_header=set_wise(),
) }}

with rules as (
    select
        max(threshold) filter (where rule_id = 'lookback_months')::integer as lookback_months,
        max(threshold) filter (where rule_id = 'weight_linked') as linked,
        max(threshold) filter (where rule_id = 'weight_linked_loose') as linked_loose,
        max(threshold) filter (where rule_id = 'weight_supported') as supported,
        max(threshold) filter (where rule_id = 'weight_trusted') as trusted,
        max(threshold) filter (where rule_id = 'weight_certain') as certain,
        max(threshold) filter (where rule_id = 'weight_proposed') as proposed,
        max(threshold) filter (where rule_id = 'weight_proposed_elsewhere') as proposed_elsewhere,
        max(threshold) filter (where rule_id = 'surname_alike') as surname_alike
    from {{ ref('match_rules') }} as match_rules
    where {{ in_force('match_rules', month_start()) }}
),

weights as (
    select * from {{ ref('match_weights') }} as match_weights where {{ in_force('match_weights', month_start()) }}
),

compared_by as not materialized (
    select
        signal_id, signal_month, address_key, address_loose_key, partner, partner_reference,
        street_key, house_number, surname_key, initials_key, birth_on, gender, bsn_key, mobile_key, email_key
    from {{ ref('int_signals__keyed') }}
),

new_signals as materialized (
    select * from compared_by where signal_month = {{ month() }}
),

-- of a customer a partner reports month after month the last signal of each spelling is enough
earlier as materialized (
    select distinct on (
        address_key, partner, partner_reference, surname_key, initials_key, birth_on, bsn_key, mobile_key, email_key
    ) *
    from compared_by
    where
        signal_month < {{ month() }}
        and signal_month >= (
            select to_char({{ month_start() }} - make_interval(months => lookback_months), 'YYYY-MM') from rules
        )
    order by
        address_key, partner, partner_reference, surname_key, initials_key, birth_on, bsn_key, mobile_key, email_key,
        signal_month desc, signal_id
),

-- numbered, so that a pair is two numbers; the same way at every build, so that left and right stay left and right
known as materialized (
    select row_number() over (order by signal_month, signal_id desc) as number, both_kinds.*
    from (
        select * from earlier
        union all
        select * from new_signals
    ) as both_kinds
),

this_month as materialized (
    select * from known where signal_month = {{ month() }}
),

found as (
    select n.number as left_number, o.number as right_number, 'address' as place
    from this_month as n
    inner join known as o on o.number < n.number and o.address_key = n.address_key
    union all
    select n.number, o.number, 'loose'
    from this_month as n
    inner join known as o on o.number < n.number and o.address_loose_key = n.address_loose_key
    where o.address_key <> n.address_key and {{ is_loosely_one_address('n', 'o') }}
    union all
    select n.number, o.number, 'loose'
    from this_month as n
    inner join known as o on o.number < n.number and o.street_key = n.street_key and o.house_number = n.house_number
    where o.address_loose_key <> n.address_loose_key and {{ is_loosely_one_address('n', 'o') }}
    union all
    -- a union, not one condition: every key is a join of its own
    select left_number, right_number, 'elsewhere'
    from (
        {% for keys in [["bsn_key"], ["birth_on", "surname_key"], ["mobile_key"], ["email_key"]] %}
        {{ "union" if not loop.first }}
        select n.number as left_number, o.number as right_number
        from this_month as n
        inner join known as o
            on o.number < n.number {% for key in keys %}and o.{{ key }} = n.{{ key }} {% endfor %}
        where o.address_key <> n.address_key and not {{ is_loosely_one_address('n', 'o') }}
        {% endfor %}
    ) as found_elsewhere
),

pairs as (
    select
        found.place, l.signal_id as left_signal_id, r.signal_id as right_signal_id, r.signal_month as right_signal_month,
        l.address_key, l.surname_key as left_name, r.surname_key as right_name,
        l.birth_on as left_birth_on, r.birth_on as right_birth_on,
        l.initials_key as left_initials, r.initials_key as right_initials,
        case when l.bsn_key = r.bsn_key then 'same' when l.bsn_key <> r.bsn_key then 'differ' end as bsn,
        case when l.partner = r.partner and l.partner_reference = r.partner_reference then 'same' end as customer,
        case when l.gender in ('M', 'V') and r.gender in ('M', 'V') and l.gender <> r.gender then 'differ' end as gender,
        case when l.mobile_key = r.mobile_key then 'same' when l.mobile_key <> r.mobile_key then 'differ' end as mobile,
        -- the same name at another provider is the same person more often than not
        case
            when l.email_key = r.email_key then 'same'
            when length(split_part(l.email_key, '@', 1)) >= 6 and split_part(l.email_key, '@', 1) = split_part(r.email_key, '@', 1)
                then 'same_name'
            when l.email_key <> r.email_key then 'differ'
        end as email
    from found
    inner join this_month as l on l.number = found.left_number
    inner join known as r on r.number = found.right_number
),

dated as (
    select
        pairs.*,
        case
            when left_birth_on = right_birth_on then 'same'
            when left_birth_on is null or right_birth_on is null then null
            when
                extract(year from left_birth_on) = extract(year from right_birth_on)
                and extract(month from left_birth_on) = extract(day from right_birth_on)
                and extract(day from left_birth_on) = extract(month from right_birth_on)
                then 'swapped'
            -- a key struck wrongly; family of one name is never so near in age, but for twins, whose date is the same
            when
                abs(left_birth_on - right_birth_on) <= 31 or abs(left_birth_on - right_birth_on) in (365, 366)
                or (
                    extract(year from left_birth_on) = extract(year from right_birth_on)
                    and extract(day from left_birth_on) = extract(day from right_birth_on)
                )
                then 'near'
            when to_char(left_birth_on, 'MMDD') = to_char(right_birth_on, 'MMDD') then 'same_birthday'
            else 'differ'
        end as birth,
        case
            when left_initials is null or right_initials is null
                then case when left_birth_on is null or right_birth_on is null then 'missing_with_birth_date' end
            when left_initials = right_initials then case when length(left_initials) > 1 then 'same' else 'same_letter' end
            when starts_with(left_initials, right_initials) or starts_with(right_initials, left_initials) then 'prefix'
            when length(left_initials) > 1 and substr(left_initials, 2) = substr(right_initials, 2) then 'rest_same'
            else 'differ'
        end as initials
    from pairs
),

features as (
    select
        dated.*,
        case
            when left_name = right_name then 'same'
            when string_to_array(left_name, '-') && string_to_array(right_name, '-') then 'half'
            -- two persons for certain: how alike their names are changes nothing
            when birth = 'differ' and bsn is distinct from 'same' then 'differ'
            when {{ is_typo_of('left_name', 'right_name') }} then 'typo'
            -- a slip inside an ij, which the key writes as y: Parijs and Pairjs
            when
                (left_name like '%y%' or right_name like '%y%')
                and {{ is_typo_of("replace(left_name, 'y', 'ij')", "replace(right_name, 'y', 'ij')") }} then 'typo'
            when
                (left_name like '%-%' or right_name like '%-%')
                and exists (
                    select 1
                    from unnest(string_to_array(left_name, '-')) as l
                    cross join unnest(string_to_array(right_name, '-')) as r
                    where {{ is_typo_of('l', 'r') }}
                ) then 'half'
            when {{ name_likeness('left_name', 'right_name') }} >= rules.surname_alike then 'alike'
            when birth = 'same' then 'other_with_same_birth'
            else 'differ'
        end as surname
    from dated
    cross join rules
),

weighed as (
    select
        features.*,
        {% set evidences = ["place", "bsn", "customer", "birth", "initials", "surname", "gender", "mobile", "email"] -%}
        {% for evidence in evidences -%}
        coalesce(case when features.place = 'elsewhere' then w_{{ evidence }}.elsewhere else w_{{ evidence }}.at_address end, 0)
        {{- " + " if not loop.last }}
        {% endfor -%}
        as weight
    from features
    {% for evidence in evidences -%}
    left join weights as w_{{ evidence }}
        on w_{{ evidence }}.evidence = '{{ evidence }}' and w_{{ evidence }}.outcome = features.{{ evidence }}
    {% endfor %}
),

judged as (
    select
        weighed.*,
        coalesce(
            bsn = 'differ'
            or bsn is distinct from 'same' and (
                birth in ('differ', 'same_birthday')
                or gender = 'differ'
                -- twins have an e-mail address each, and do not differ by a swapped day and month
                or initials in ('rest_same', 'differ')
                and birth is distinct from 'swapped' and not (birth is not distinct from 'same' and coalesce(email, '') in ('same', 'same_name'))
            ),
            false
        ) as is_never_one
    from weighed
),

tiered as (
    select
        judged.*,
        case
            when is_never_one or weight < case place when 'loose' then rules.linked_loose else rules.linked end then null
            when bsn = 'same' then 'bsn'
            when birth = 'same' then 'birth_date'
            when customer = 'same' then 'customer'
            when birth = 'swapped' then 'birth_date_swapped'
            when birth = 'near' then 'birth_date_near'
            else 'name'
        end as tier,
        rules.certain, rules.trusted, rules.supported,
        case when place = 'elsewhere' then rules.proposed_elsewhere else rules.proposed end as proposed
    from judged
    cross join rules
)

select
    {{ month() }}::text as signal_month,
    left_signal_id, right_signal_id, right_signal_month, address_key, place, tier,
    -- how far a link may be trusted when a group of links holds a contradiction (int_persons__resolved)
    case
        when tier is null then null
        when tier = 'bsn' then 0
        when weight >= certain then 1
        when weight >= trusted then 2
        when weight >= supported then 3
        else 4
    end as trust_level,
    is_never_one or (tier is null and coalesce(birth, '') in ('near', 'swapped')) as contradicts,
    -- initials can be misread; another date, gender or bsn is another person even among the surest links
    is_never_one and (bsn = 'differ' or birth in ('differ', 'same_birthday') or gender = 'differ') is true
        as contradicts_for_certain,
    tier is null and weight >= proposed and bsn is distinct from 'differ' as is_plausible,
    format(
        'bsn=%s birth=%s surname=%s initials=%s gender=%s customer=%s mobile=%s email=%s address=%s',
        coalesce(bsn, 'unknown'), coalesce(birth, 'unknown'), surname, coalesce(initials, 'unknown'),
        coalesce(gender, 'unknown'), coalesce(customer, 'unknown'), coalesce(mobile, 'unknown'),
        coalesce(email, 'unknown'), case place when 'address' then 'same' else place end
    ) as evidence,
    weight::numeric(5, 1) as weight,
    -- the same as a chance: 0 is even
    (1 / (1 + power(2, -weight)))::numeric(4, 3) as score
from tiered
where place = 'address' or tier is not null or weight >= proposed
