{#
  Signals that may be about one person, compared: this month's with each other and with those of the months persons are
  recognised over. The weights of the evidence (seed match_weights) add up; the sum decides: linked, proposed or neither.

  Whatever the sum, without the same bsn some things never link: other birth dates (father and son may share initials),
  other initials (twins share a birth date), another gender, another bsn. Such a pair also keeps others apart: no
  signal joins both (int_persons__resolved).

  `ways` are the ways of finding a pair (l, the new signal; r, the other): its place, what is the same, and a condition.
  The places: `address` (the same address key), `loose` (is_loosely_one_address) and `elsewhere`. Only the first makes
  persons; of it every pair is kept, of the others those that link or propose. `of_earlier` narrows the earlier signals
  (s) to those some way can find.
#}
{% macro compared_pairs(ways, of_earlier="true") -%}
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

-- what two signals are compared by
{% set columns = [
    "signal_id", "signal_month", "address_key", "address_loose_key", "partner", "partner_reference", "street_key",
    "house_number", "surname_key", "initials_key", "birth_on", "gender", "bsn_key", "mobile_key", "email_key",
] -%}
new_signals as materialized (
    select {{ columns | join(", ") }} from {{ ref('int_signals__keyed') }} where signal_month = {{ month() }}
),

-- of a customer a partner reports month after month the last signal of each spelling is enough
earlier as materialized (
    select distinct on (
        address_key, partner, partner_reference, surname_key, initials_key, birth_on, bsn_key, mobile_key, email_key
    )
        {{ columns | join(", ") }}
    from {{ ref('int_signals__keyed') }} as s
    where
        signal_month < {{ month() }}
        and signal_month >= (
            select to_char({{ month_start() }} - make_interval(months => lookback_months), 'YYYY-MM') from rules
        )
        and {{ of_earlier }}
    order by
        address_key, partner, partner_reference, surname_key, initials_key, birth_on, bsn_key, mobile_key, email_key,
        signal_month desc, signal_id
),

known as not materialized (
    select * from earlier
    union all
    select * from new_signals
),

-- Every pair once: on the left the new signal, of two new ones the first by id. Each way of finding is a join of its own.
found as (
    {% for place, key, condition in ways -%}
    {{ "union all" if not loop.first }}
    select
        {{ place }} as place,
        {% for column in columns -%}
        l.{{ column }} as left_{{ column }}, r.{{ column }} as right_{{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from new_signals as l
    inner join known as r on {{ key }} and (r.signal_month < {{ month() }} or r.signal_id > l.signal_id)
    where {{ condition }}
    {% endfor %}
),

pairs as (
    select
        place, left_signal_id, right_signal_id, right_signal_month, left_address_key as address_key,
        left_surname_key as left_name, right_surname_key as right_name, left_birth_on, right_birth_on,
        left_initials_key as left_initials, right_initials_key as right_initials,
        {% for same in ["bsn", "mobile"] -%}
        case
            when left_{{ same }}_key = right_{{ same }}_key then 'same'
            when left_{{ same }}_key <> right_{{ same }}_key then 'differ'
            else 'unknown'
        end as {{ same }},
        {% endfor -%}
        case
            when left_partner = right_partner and left_partner_reference = right_partner_reference then 'same' else 'unknown'
        end as customer,
        case
            when left_gender in ('M', 'V') and right_gender in ('M', 'V') and left_gender <> right_gender then 'differ'
            else 'unknown'
        end as gender,
        -- the same name at another provider is the same person more often than not
        case
            when left_email_key = right_email_key then 'same'
            when
                length(split_part(left_email_key, '@', 1)) >= 6
                and split_part(left_email_key, '@', 1) = split_part(right_email_key, '@', 1)
                then 'same_name'
            when left_email_key <> right_email_key then 'differ'
            else 'unknown'
        end as email
    from found
),

dated as (
    select
        pairs.*,
        case
            when left_birth_on = right_birth_on then 'same'
            when left_birth_on is null or right_birth_on is null then 'unknown'
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
                then case when left_birth_on is null or right_birth_on is null then 'missing_with_birth_date' else 'unknown' end
            when left_initials = right_initials then case when length(left_initials) > 1 then 'same' else 'same_letter' end
            when starts_with(left_initials, right_initials) or starts_with(right_initials, left_initials) then 'prefix'
            when length(left_initials) > 1 and substr(left_initials, 2) = substr(right_initials, 2) then 'rest_same'
            else 'differ'
        end as initials
    from pairs
),

features as materialized (
    select
        place, left_signal_id, right_signal_id, right_signal_month, address_key,
        bsn, customer, birth, initials, gender, mobile, email,
        case
            when left_name = right_name then 'same'
            when string_to_array(left_name, '-') && string_to_array(right_name, '-') then 'half'
            -- two persons for certain: how alike their names are changes nothing
            when birth = 'differ' and bsn <> 'same' then 'differ'
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
            when {{ is_short_typo_of('left_name', 'right_name') }} then 'short_typo'
            when {{ name_likeness('left_name', 'right_name') }} >= rules.surname_alike then 'alike'
            when birth = 'same' then 'other_with_same_birth'
            else 'differ'
        end as surname
    from dated
    cross join rules
),

-- from here on once for all pairs in which the same things agree and differ
{% set evidences = ["place", "bsn", "customer", "birth", "initials", "surname", "gender", "mobile", "email"] -%}
outcomes as (
    select distinct {{ evidences | join(", ") }} from features
),

weighed as (
    select
        outcomes.*,
        {% for evidence in evidences -%}
        coalesce(case when outcomes.place = 'elsewhere' then w_{{ evidence }}.elsewhere else w_{{ evidence }}.at_address end, 0)
        {{- " + " if not loop.last }}
        {% endfor -%}
        as weight
    from outcomes
    {% for evidence in evidences -%}
    left join weights as w_{{ evidence }}
        on w_{{ evidence }}.evidence = '{{ evidence }}' and w_{{ evidence }}.outcome = outcomes.{{ evidence }}
    {% endfor %}
),

judged as (
    select
        weighed.*,
        bsn = 'differ'
        or bsn <> 'same' and (
            birth in ('differ', 'same_birthday')
            or gender = 'differ'
            -- twins have an e-mail address each, and do not differ by a swapped day and month
            or initials in ('rest_same', 'differ')
            and birth <> 'swapped' and not (birth = 'same' and email in ('same', 'same_name'))
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
),

verdicts as materialized (
    select
        {{ evidences | join(", ") }},
        tier,
        -- how far a link may be trusted when a group of links holds a contradiction (int_persons__resolved)
        case
            when tier is null then null
            when tier = 'bsn' then 0
            when weight >= certain then 1
            when weight >= trusted then 2
            when weight >= supported then 3
            else 4
        end as trust_level,
        is_never_one or (tier is null and birth in ('near', 'swapped')) as contradicts,
        -- initials can be misread; another date, gender or bsn is another person even among the surest links
        is_never_one and (bsn = 'differ' or birth in ('differ', 'same_birthday') or gender = 'differ')
            as contradicts_for_certain,
        tier is null and weight >= proposed and bsn <> 'differ' as is_plausible,
        format(
            'bsn=%s birth=%s surname=%s initials=%s gender=%s customer=%s mobile=%s email=%s address=%s',
            bsn, birth, surname, initials, gender, customer, mobile, email,
            case place when 'address' then 'same' else place end
        ) as evidence,
        weight::numeric(5, 1) as weight,
        -- the same as a chance: 0 is even
        (1 / (1 + power(2, -weight)))::numeric(4, 3) as score
    from tiered
    where place = 'address' or tier is not null or weight >= proposed
)

select
    {{ month() }}::text as signal_month,
    left_signal_id, right_signal_id, right_signal_month, address_key, place, tier, trust_level,
    contradicts, contradicts_for_certain, is_plausible, evidence, weight, score
from features
inner join verdicts using ({{ evidences | join(", ") }})
{%- endmacro %}
