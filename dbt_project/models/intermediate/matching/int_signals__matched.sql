-- Every loaded signal of the month with its person, its DDAS status (the first eligibility rule that fires, with its id and
-- reason) and, when it is picked up, its case: one address in one month. An address with more unrelated surnames than a
-- household has splits into a case per person.
--
-- "Earlier" is what was known when the month began: outcomes of this month never change who was picked up in it.
{{ config(
    tags=["matched"],
    indexes=[
        {"columns": ["signal_month"]},
        {"columns": ["person_id", "signal_month"]},
        {"columns": ["partner", "partner_reference", "address_key"]},
        {"columns": ["address_key", "signal_month"]},
        {"columns": ["case_id"]},
    ],
) }}

-- what is judged by; what else is known of a signal joins it at the end
with signals as (
    select
        keyed.signal_id, keyed.signal_month, keyed.partner, keyed.partner_reference, keyed.sector, keyed.address_key,
        keyed.surname_key, keyed.is_resident, keyed.signal_on, keyed.arrears_since_on, keyed.arrears_eur, resolved.person_id
    from {{ ref('int_signals__keyed') }} as keyed
    inner join {{ ref('int_persons__resolved') }} as resolved on resolved.signal_id = keyed.signal_id
    where keyed.signal_month = {{ month() }} and resolved.signal_month = {{ month() }}
),

repeat_window as (
    select to_char({{ month_start() }} - make_interval(months => lookback_months), 'YYYY-MM') as first_month
    from {{ ref('repeat_rules') }} as repeat_rules
    where {{ in_force('repeat_rules', month_start()) }}
),

{% if is_incremental() %}
-- earlier signals are looked up by person and by customer, never read as a whole: history may be long
earlier_of_person as (
    select
        signals.signal_id, signals.partner = earlier.partner as is_same_partner, earlier.signal_id as earlier_signal_id,
        earlier.signal_month, earlier.signal_on, earlier.arrears_eur, earlier.call_record_id
    from signals
    inner join {{ this }} as earlier on earlier.person_id = signals.person_id
    where earlier.signal_month < {{ month() }}
),

earlier_of_customer as (
    select
        signals.signal_id, earlier.signal_id as earlier_signal_id,
        earlier.signal_month, earlier.signal_on, earlier.arrears_eur
    from signals
    inner join {{ this }} as earlier
        on earlier.partner = signals.partner
        and earlier.partner_reference = signals.partner_reference
        and earlier.address_key = signals.address_key
    where earlier.signal_month < {{ month() }}
),
{% else %}
earlier_of_person as (
    select
        signal_id, true as is_same_partner, signal_id as earlier_signal_id, signal_month, signal_on, arrears_eur,
        null::text as call_record_id
    from signals
    where false
),

earlier_of_customer as (
    select signal_id, signal_id as earlier_signal_id, signal_month, signal_on, arrears_eur from signals where false
),
{% endif %}

-- the last time this partner reported this person, or this customer at this address
same_arrears as (
    select distinct on (found.signal_id)
        found.signal_id, found.earlier_signal_id, found.arrears_eur as earlier_arrears_eur
    from (
        select signal_id, earlier_signal_id, signal_month, signal_on, arrears_eur from earlier_of_person where is_same_partner
        union
        select signal_id, earlier_signal_id, signal_month, signal_on, arrears_eur from earlier_of_customer
    ) as found
    where found.signal_month >= (select first_month from repeat_window)
    order by found.signal_id, found.signal_month desc, found.signal_on desc, found.earlier_signal_id
),

suppressing_outcomes as (
    select earlier.signal_id, consequences.rule_id
    from earlier_of_person as earlier
    inner join {{ ref('stg_ris_outcomes') }} as outcomes on outcomes.call_record_id = earlier.call_record_id
    inner join {{ ref('outcome_consequences') }} as consequences
        on consequences.result_code = outcomes.result_code and consequences.consequence = 'suppresses_signal'
    where
        {{ in_force('consequences', month_start()) }}
        and {{ local_time('outcomes.result_at') }}::date < {{ month_start() }}
        and earlier.signal_month >= to_char(
            {{ month_start() }} - make_interval(months => consequences.lookback_months), 'YYYY-MM'
        )
),

suppressions as (
    select found.signal_id, array_agg(distinct found.rule_id) as rule_ids
    from (
        select signal_id, rule_id from {{ ref('int_signals__suppressed') }} where signal_month = {{ month() }}
        union all
        select signal_id, rule_id from suppressing_outcomes
    ) as found
    group by found.signal_id
),

-- which of the rules say yes to a signal
answered as (
    select
        signals.signal_id, signals.signal_month, signals.signal_on, signals.address_key, signals.person_id,
        same_arrears.earlier_signal_id, same_arrears.earlier_arrears_eur,
        array_remove(array[
            case when not signals.is_resident then 'not_resident' end,
            case when signals.signal_on - signals.arrears_since_on < windows.min_days then 'arrears_too_recent' end,
            case when signals.signal_on - signals.arrears_since_on > windows.max_days then 'arrears_too_old' end,
            case when signals.arrears_eur < minimums.minimum_eur then 'amount_under_minimum' end,
            case when signals.arrears_eur <= same_arrears.earlier_arrears_eur then 'repeat_not_higher' end,
            'picked_up'
        ], null) || suppressions.rule_ids as yes
    from signals
    left join same_arrears on same_arrears.signal_id = signals.signal_id
    left join suppressions on suppressions.signal_id = signals.signal_id
    left join {{ ref('arrears_windows') }} as windows
        on windows.sector = signals.sector and {{ in_force('windows', 'signals.signal_on') }}
    left join {{ ref('minimum_amounts') }} as minimums
        on minimums.sector = signals.sector and {{ in_force('minimums', 'signals.signal_on') }}
),

-- every rule of the day, asked in order; the first yes is the verdict, once for all signals with the same answers
verdicts as materialized (
    select distinct on (answers.signal_on, answers.yes)
        answers.signal_on, answers.yes, rules.rule_id, rules.status, rules.reason
    from (select distinct signal_on, yes from answered) as answers
    inner join {{ ref('eligibility_rules') }} as rules
        on rules.rule_id = any(answers.yes) and {{ in_force('rules', 'answers.signal_on') }}
    order by answers.signal_on, answers.yes, rules.rule_order
),

judged as (
    select
        answered.signal_id, answered.signal_month, answered.address_key, answered.person_id,
        answered.earlier_signal_id, answered.earlier_arrears_eur, verdicts.rule_id, verdicts.status, verdicts.reason
    from answered
    left join verdicts on verdicts.signal_on = answered.signal_on and verdicts.yes = answered.yes
),

limits as (
    select max_surnames, surname_unrelated
    from {{ ref('address_rules') }} as address_rules
    cross join (
        select max(threshold) as surname_unrelated
        from {{ ref('match_rules') }} as match_rules
        where rule_id = 'surname_unrelated' and {{ in_force('match_rules', month_start()) }}
    ) as likeness
    where {{ in_force('address_rules', month_start()) }}
),

surnames as (
    select distinct address_key, surname_key, string_to_array(surname_key, '-') as halves from signals
),

-- a surname counts when no surname before it in the alphabet is like it or shares a half with it
split_addresses as (
    select surnames.address_key
    from surnames
    cross join limits
    where not exists (
        select 1 from surnames as before
        where
            before.address_key = surnames.address_key
            and before.surname_key < surnames.surname_key
            and (
                before.halves && surnames.halves
                or {{ name_likeness('before.surname_key', 'surnames.surname_key') }} >= limits.surname_unrelated
            )
    )
    group by surnames.address_key, limits.max_surnames
    having count(*) > limits.max_surnames
),

-- computed once: the id of the case is asked for twice
cased as materialized (
    select
        judged.*,
        split_addresses.address_key is not null as is_address_split,
        case when statuses.is_picked_up then {{ keyed_id(
            'case',
            "judged.address_key || '|' || judged.signal_month"
            ~ " || case when split_addresses.address_key is null then '' else '|' || judged.person_id end"
        ) }} end as case_id
    from judged
    left join {{ ref('signal_statuses') }} as statuses on statuses.status = judged.status
    left join split_addresses on split_addresses.address_key = judged.address_key
)

select
    keyed.signal_id, keyed.signal_month, keyed.partner, keyed.sector, keyed.partner_reference,
    keyed.signal_on, keyed.arrears_since_on, keyed.arrears_eur, keyed.is_crisis, keyed.supply_ends_on, keyed.is_warm_handover,
    keyed.address_key, keyed.address_loose_key, keyed.is_resident, cased.is_address_split,
    resolved.person_id, resolved.match_tier, resolved.match_evidence, resolved.match_score,
    cased.status, cased.rule_id as status_rule_id, cased.reason as status_reason,
    case when cased.rule_id = 'repeat_not_higher' then cased.earlier_signal_id end as repeats_signal_id,
    case when cased.rule_id = 'repeat_not_higher' then cased.earlier_arrears_eur end as repeats_arrears_eur,
    cased.case_id,
    {{ keyed_id('call', "cased.case_id || '|' || cased.person_id") }} as call_record_id,
    keyed.initials, keyed.name_prefix, keyed.surname, keyed.birth_on, keyed.gender,
    keyed.street, keyed.postcode, keyed.house_number, keyed.house_letter, keyed.house_number_addition, keyed.city,
    keyed.phone_1, keyed.phone_2, keyed.email, keyed.bsn_key, keyed.delivery_id, keyed.line_number
from cased
inner join {{ ref('int_signals__keyed') }} as keyed on keyed.signal_id = cased.signal_id
inner join {{ ref('int_persons__resolved') }} as resolved on resolved.signal_id = cased.signal_id
where keyed.signal_month = {{ month() }} and resolved.signal_month = {{ month() }}
