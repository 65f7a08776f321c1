-- What signals are compared by: the address key (and the looser key that only proposes), the name without particles and
-- spelling differences, the initials as letters, a mobile number and an e-mail address. Every spelling is read once, however
-- many signals carry it.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month", "signal_id"]}],
    sql_header=set_wise(),
    pre_hook={"sql": "analyze ops.deliveries", "transaction": False},
) }}

with signals as materialized (
    select * from {{ ref('stg_signals') }} where signal_month = {{ month() }}
),

particles as (
    select {{ normal_letters('particle') }} as word from {{ ref('name_particles') }}
),

-- the halves of a double name joined by a hyphen; a name of nothing but particles ("De") is kept as it is
surnames as materialized (
    select
        words.surname,
        coalesce(
            string_agg(words.half, '-' order by words.half_position) filter (where words.half is not null),
            translate(words.name, ' -', '')
        ) as surname_key
    from (
        select
            written.surname, written.name, pieces.half_position,
            string_agg(parts.word, '' order by parts.word_position) filter (where particles.word is null) as half
        from (
            select surname, {{ normal_letters('surname') }} as name
            from (select distinct surname from signals) as each_once
        ) as written
        cross join lateral string_to_table(written.name, '-') with ordinality as pieces (piece, half_position)
        cross join lateral string_to_table(pieces.piece, ' ') with ordinality as parts (word, word_position)
        left join particles on particles.word = parts.word
        where parts.word <> ''
        group by written.surname, written.name, pieces.half_position
    ) as words
    group by words.surname, words.name
),

-- `J.P.`, `JP` and `Johan Pieter` are the same two letters; a chunk in capitals is taken letter by letter
initials as materialized (
    select
        written.initials,
        nullif(upper(string_agg(
            case when chunk = upper(chunk) then chunk else left(chunk, 1) end, '' order by position
        )), '') as initials_key
    from (select distinct initials from signals where initials is not null) as written
    cross join regexp_split_to_table(unaccent(written.initials), '[^A-Za-z]+') with ordinality as chunks (chunk, position)
    group by written.initials
),

suffixes as materialized (
    select
        runs.letter, runs.addition,
        case
            when words.word is null then runs.run
            else left(runs.run, length(runs.run) - length(words.word)) || words.read_as
        end as suffix
    from (
        select letter, addition, {{ address_suffix('letter', 'addition') }} as run
        from (
            select distinct coalesce(house_letter, '') as letter, coalesce(house_number_addition, '') as addition
            from signals
        ) as written
    ) as runs
    left join {{ ref('address_words') }} as words on words.word = substring(runs.run from '[A-Z]+$')
),

postcodes as materialized (
    select
        written.postcode, {{ normal_postcode('written.postcode') }} as postcode_key,
        left({{ normal_postcode('written.postcode') }}, 4)::integer as pc4
    from (select distinct postcode from signals) as written
),

streets as materialized (
    select street, {{ normal_street('street') }} as street_key
    from (select distinct street from signals where street is not null) as written
),

residents as materialized (
    select
        days.pc4, days.signal_on,
        bool_or(areas.pc4_from is not null) as is_resident
    from (
        select distinct postcodes.pc4, signals.signal_on
        from signals
        inner join postcodes on postcodes.postcode = signals.postcode
    ) as days
    left join {{ ref('municipality_postcodes') }} as areas
        on days.pc4 between areas.pc4_from and areas.pc4_until and {{ in_force('areas', 'days.signal_on') }}
    group by days.pc4, days.signal_on
)

select
    signals.*,
    postcodes.postcode_key || '|' || signals.house_number || '|' || suffixes.suffix as address_key,
    postcodes.postcode_key || '|' || signals.house_number as address_loose_key,
    streets.street_key,
    residents.is_resident,
    surnames.surname_key,
    initials.initials_key,
    -- a landline belongs to a house and says nothing about who
    case
        when signals.phone_1 like '+316%' then signals.phone_1
        when signals.phone_2 like '+316%' then signals.phone_2
    end as mobile_key,
    lower(signals.email) as email_key
-- No join drops a signal, whatever was written. Each hashes its smaller side, the spellings, so the signals stay in the order
-- of their ids they come in and are written into the index in its own order, which halves what that costs: why the planner
-- must know how many they are.
from signals
left join postcodes on postcodes.postcode = signals.postcode
left join residents on residents.pc4 = postcodes.pc4 and residents.signal_on = signals.signal_on
left join surnames on surnames.surname = signals.surname
left join suffixes
    on suffixes.letter = coalesce(signals.house_letter, '')
    and suffixes.addition = coalesce(signals.house_number_addition, '')
left join initials on initials.initials = signals.initials
left join streets on streets.street = signals.street
