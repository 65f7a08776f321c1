-- What signals are compared by: the address key (and the looser key that only proposes), the name without particles and
-- spelling differences, the initials as letters.
{{ config(
    tags=["matched"],
    indexes=[
        {"columns": ["signal_month"]},
        {"columns": ["address_key", "signal_month"]},
        {"columns": ["address_loose_key", "birth_on"]},
        {"columns": ["birth_on", "surname_key"]},
        {"columns": ["bsn_key"]},
    ],
) }}

with signals as (
    select * from {{ ref('stg_signals') }} where signal_month = {{ month() }}
),

particles as (
    select '\m(' || string_agg({{ normal_letters('particle') }}, '|' order by particle) || ')\M' as pattern
    from {{ ref('name_particles') }}
)

select
    signals.*,
    {{ normal_postcode('signals.postcode') }} || '|' || signals.house_number || '|'
    || {{ address_suffix('signals.house_letter', 'signals.house_number_addition') }} as address_key,
    {{ normal_postcode('signals.postcode') }} || '|' || signals.house_number as address_loose_key,
    exists (
        select 1
        from {{ ref('municipality_postcodes') }} as postcodes
        where
            left({{ normal_postcode('signals.postcode') }}, 4)::integer between postcodes.pc4_from and postcodes.pc4_until
            and {{ in_force('postcodes', 'signals.signal_on') }}
    ) as is_resident,
    -- a name of nothing but particles ("De") is kept as it is
    coalesce(surnames.halves, surnames.whole) as surname_key,
    initials.letters as initials_key
from signals
cross join particles
cross join lateral (
    select
        string_agg(parts.part, '-' order by parts.position) filter (where parts.part <> '') as halves,
        trim(regexp_replace(replace(normal.name, '-', ' '), '\s+', ' ', 'g')) as whole
    from (select {{ normal_letters('signals.surname') }} as name) as normal
    cross join lateral (
        select
            trim(regexp_replace(regexp_replace(piece, particles.pattern, ' ', 'g'), '\s+', ' ', 'g')) as part,
            position
        from regexp_split_to_table(normal.name, '-') with ordinality as pieces (piece, position)
    ) as parts
    group by normal.name
) as surnames
cross join lateral (
    -- `J.P.`, `JP` and `Johan Pieter` are the same two letters; a chunk in capitals is taken letter by letter
    select
        nullif(upper(string_agg(
            case when chunk = upper(chunk) then chunk else left(chunk, 1) end, '' order by position
        )), '') as letters
    from regexp_split_to_table(unaccent(signals.initials), '[^A-Za-z]+') with ordinality as chunks (chunk, position)
) as initials
