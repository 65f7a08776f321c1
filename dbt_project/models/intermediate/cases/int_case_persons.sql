-- One row per person in a case: who may be called or visited, with what earlier outcomes say about them (their own, and
-- those under an address they moved from). "Earlier" is what was known when the month began.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}, {"columns": ["call_record_id"]}, {"columns": ["case_id"]}, {"columns": ["person_id"]}],
) }}

with signals as (
    select * from {{ ref('int_signals__matched') }} where signal_month = {{ month() }} and case_id is not null
),

totals as (
    select
        case_id, person_id, call_record_id,
        string_agg(distinct sector, '|' order by sector) as sectors,
        sum(arrears_eur) as arrears_eur,
        max(signal_on) as last_signal_on,
        bool_or(is_warm_handover) as is_warm_handover,
        max(email) as email,
        max(birth_on) as any_birth_on
    from signals
    group by case_id, person_id, call_record_id
),

-- the most telling spelling of the name: with a birth date, then with the most initials
names as (
    select distinct on (case_id, person_id)
        case_id, person_id, initials, name_prefix, surname, birth_on, gender
    from signals
    order by case_id, person_id, birth_on is null, length(initials) desc nulls last, length(surname) desc, signal_id
),

persons as (
    select person_id, person_id as known_as from totals
    union
    select moves.person_id, moves.earlier_person_id
    from {{ ref('int_person_moves') }} as moves
    where moves.signal_month <= {{ month() }} and moves.person_id in (select person_id from totals)
),

earlier_outcomes as (
    select
        persons.person_id, consequences.consequence, earlier.call_record_id,
        {{ local_time('outcomes.result_at') }}::date as result_on
    from persons
    inner join {{ ref('int_signals__matched') }} as earlier on earlier.person_id = persons.known_as
    inner join {{ ref('stg_ris_outcomes') }} as outcomes on outcomes.call_record_id = earlier.call_record_id
    inner join {{ ref('outcome_consequences') }} as consequences
        on consequences.result_code = outcomes.result_code
        and consequences.consequence in ('refused_help', 'not_reached')
        and {{ in_force('consequences', month_start()) }}
    where
        earlier.signal_month < {{ month() }}
        and {{ local_time('outcomes.result_at') }}::date < {{ month_start() }}
        and earlier.signal_month >= to_char(
            {{ month_start() }} - make_interval(months => consequences.lookback_months), 'YYYY-MM'
        )
),

refusals as (
    select distinct on (earlier_outcomes.person_id)
        earlier_outcomes.person_id, earlier_outcomes.result_on as refused_on, earlier_outcomes.call_record_id
    from earlier_outcomes
    where earlier_outcomes.consequence = 'refused_help'
    order by earlier_outcomes.person_id, earlier_outcomes.result_on desc, earlier_outcomes.call_record_id
),

refused_arrears as (
    select
        refusals.person_id, sum(earlier.arrears_eur) as refused_arrears_eur,
        string_agg(earlier.signal_id, '|' order by earlier.signal_id) as refused_signal_ids
    from refusals
    inner join {{ ref('int_signals__matched') }} as earlier on earlier.call_record_id = refusals.call_record_id
    where earlier.signal_month < {{ month() }}
    group by refusals.person_id
),

unreached as (
    select person_id, max(result_on) as not_reached_on
    from earlier_outcomes
    where consequence = 'not_reached'
    group by person_id
)

select
    {{ month() }}::text as signal_month,
    totals.case_id,
    totals.person_id,
    totals.call_record_id,
    {{ keyed_id('request', "totals.person_id || '|' || " ~ month()) }} as request_id,
    names.initials, names.name_prefix, names.surname,
    coalesce(names.birth_on, totals.any_birth_on) as birth_on,
    names.gender,
    cases.postcode, cases.house_number, cases.house_letter, cases.house_number_addition, cases.street, cases.city,
    totals.email,
    totals.sectors,
    totals.arrears_eur,
    totals.last_signal_on,
    totals.is_warm_handover,
    refusals.refused_on is not null as has_refused_before,
    refusals.refused_on,
    refused_arrears.refused_arrears_eur,
    refusals.call_record_id as refused_call_record_id,
    refused_arrears.refused_signal_ids,
    unreached.not_reached_on
from totals
inner join names on names.case_id = totals.case_id and names.person_id = totals.person_id
inner join {{ ref('int_cases') }} as cases on cases.case_id = totals.case_id and cases.signal_month = {{ month() }}
left join refusals on refusals.person_id = totals.person_id
left join refused_arrears on refused_arrears.person_id = totals.person_id
left join unreached on unreached.person_id = totals.person_id
