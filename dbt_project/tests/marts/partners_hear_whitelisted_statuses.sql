-- Why: a partner may not learn a reason, and may not be left without an answer: every signal has exactly one row, with a
-- status of the whitelist.
-- Owner: gegevensbeheer. Fails: the feedback files.
{{ config(meta={'owner': 'gegevensbeheer', 'impact': 'out_partner_feedback'}) }}

with signals as (
    select partner, partner_reference, count(*) as signals
    from {{ ref('int_signals__matched') }}
    where signal_month = {{ month() }}
    group by partner, partner_reference
),

answers as (
    select partner, partner_reference, count(*) as answers
    from {{ ref('out_partner_feedback') }}
    where signal_month = {{ month() }}
    group by partner, partner_reference
)

select signals.partner, signals.signals, answers.answers
from signals
left join answers on answers.partner = signals.partner and answers.partner_reference = signals.partner_reference
where signals.signals <> coalesce(answers.answers, 0)
