-- Which person each of this month's signals is about. Persons of earlier months are recognised, never rewritten: a person
-- keeps the id of the signal that introduced them.
--
-- Linked signals and persons form groups. A group that holds a contradiction (two birth dates, two bsn's, other
-- initials) is not believed at that level of trust: its links are taken again without the weakest kind, until no
-- contradiction is left. So a signal without a birth date that fits both father and son joins neither; the pair becomes
-- a proposal (int_match_reviews). A false merge is worse than a miss.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}, {"columns": ["signal_id"]}, {"columns": ["person_id", "signal_month"]}],
) }}

with recursive pairs as (
    select * from {{ ref('int_signal_pairs__compared') }}
    where signal_month = {{ month() }} and is_same_address
),

new_signals as (
    select signal_id, first_received_at from {{ ref('int_signals__keyed') }} where signal_month = {{ month() }}
),

earlier_persons as (
    {% if is_incremental() %}
        select earlier.signal_id, earlier.signal_month, earlier.person_id
        from {{ this }} as earlier
        where
            earlier.signal_month < {{ month() }}
            and earlier.signal_id in (select right_signal_id from pairs where right_signal_month < {{ month() }})
    {% else %}
        select null::text as signal_id, null::text as signal_month, null::text as person_id where false
    {% endif %}
),

-- the other side of a pair is a new signal or a person we know; both are nodes, by their id
node_pairs as (
    select
        pairs.left_signal_id as left_node, pairs.right_signal_id as right_node, false as is_known,
        pairs.right_signal_month, pairs.tier, pairs.trust_level, pairs.contradicts, pairs.evidence, pairs.score
    from pairs
    where pairs.right_signal_month = {{ month() }}
    union all
    select
        pairs.left_signal_id, earlier_persons.person_id, true,
        pairs.right_signal_month, pairs.tier, pairs.trust_level, pairs.contradicts, pairs.evidence, pairs.score
    from pairs
    inner join earlier_persons
        on earlier_persons.signal_id = pairs.right_signal_id and earlier_persons.signal_month = pairs.right_signal_month
),

links as (
    select left_node, right_node, min(trust_level) as trust_level
    from node_pairs
    where trust_level is not null
    group by left_node, right_node
),

edges as (
    select left_node as from_node, right_node as to_node, trust_level from links
    union all
    select right_node, left_node, trust_level from links
),

levels as (select level from generate_series(0, 3) as series (level)),

reached (level, node, other) as (
    select levels.level, linked.node, linked.node
    from levels
    cross join (select distinct from_node as node from edges) as linked
    union
    select reached.level, reached.node, edges.to_node
    from reached
    inner join edges on edges.from_node = reached.other and edges.trust_level <= reached.level
),

groups as (
    select level, node, min(other) as group_id from reached group by level, node
),

-- between a new signal and a person a contradiction counts unless another signal of that person agrees in full
contradictions as (
    select left_node, right_node
    from node_pairs
    group by left_node, right_node
    having bool_or(contradicts) and coalesce(min(trust_level), 9) > 1
    union all
    select known_left.node, known_right.node
    from known_identities as known_left
    inner join known_identities as known_right
        on known_left.address_key = known_right.address_key
        and known_left.node < known_right.node
        and (known_left.bsn_key <> known_right.bsn_key or known_left.birth_on <> known_right.birth_on)
),

known_identities as (
    select
        earlier_persons.person_id as node, keyed.address_key, max(keyed.bsn_key) as bsn_key, max(keyed.birth_on) as birth_on
    from earlier_persons
    inner join {{ ref('int_signals__keyed') }} as keyed
        on keyed.signal_id = earlier_persons.signal_id and keyed.signal_month = earlier_persons.signal_month
    group by earlier_persons.person_id, keyed.address_key
),

unbelieved as (
    select distinct left_group.level, left_group.group_id
    from contradictions
    inner join groups as left_group on left_group.node = contradictions.left_node
    inner join groups as right_group
        on right_group.node = contradictions.right_node
        and right_group.level = left_group.level
        and right_group.group_id = left_group.group_id
    where left_group.level > 0
),

believed as (
    select distinct on (groups.node) groups.node, groups.level, groups.group_id
    from groups
    left join unbelieved on unbelieved.level = groups.level and unbelieved.group_id = groups.group_id
    where unbelieved.group_id is null
    order by groups.node, groups.level desc
),

members as (
    select
        new_signals.signal_id,
        new_signals.first_received_at,
        coalesce(believed.level, 0) as level,
        coalesce(believed.group_id, new_signals.signal_id) as group_id
    from new_signals
    left join believed on believed.node = new_signals.signal_id
),

-- a group with a person we know is that person; with more than one, the one with the strongest link, then the latest
recognised as (
    select distinct on (members.level, members.group_id)
        members.level, members.group_id, node_pairs.right_node as person_id
    from members
    inner join node_pairs on node_pairs.left_node = members.signal_id and node_pairs.is_known and node_pairs.trust_level <= members.level
    inner join believed
        on believed.node = node_pairs.right_node and believed.level = members.level and believed.group_id = members.group_id
    order by
        members.level, members.group_id,
        node_pairs.trust_level, node_pairs.score desc, node_pairs.right_signal_month desc, node_pairs.right_node
),

-- the day, not the moment: files that come together are loaded side by side, and which of them is first is chance; a
-- file of a later day comes after them, so that it does not take over a person who may be on a call list already
introducing as (
    select distinct on (level, group_id) level, group_id, signal_id
    from members
    order by level, group_id, {{ local_time('first_received_at') }}::date, signal_id
),

resolved as (
    select
        members.signal_id, members.level, members.group_id,
        recognised.person_id is not null as is_recognised,
        coalesce(recognised.person_id, {{ keyed_id('person', 'introducing.signal_id') }}) as person_id,
        introducing.signal_id = members.signal_id and recognised.person_id is null as is_introducing
    from members
    inner join introducing on introducing.level = members.level and introducing.group_id = members.group_id
    left join recognised on recognised.level = members.level and recognised.group_id = members.group_id
),

-- the strongest link of a signal inside its own group is the explanation that is kept
explanations as (
    select distinct on (candidates.signal_id) candidates.*
    from (
        select left_node as signal_id, right_node as other, tier, trust_level, evidence, score from node_pairs
        union all
        select right_node, left_node, tier, trust_level, evidence, score from node_pairs where not is_known
    ) as candidates
    inner join members on members.signal_id = candidates.signal_id and candidates.trust_level <= members.level
    inner join believed as other_side
        on other_side.node = candidates.other
        and other_side.level = members.level
        and other_side.group_id = members.group_id
    order by candidates.signal_id, candidates.trust_level, candidates.score desc, candidates.other
)

select
    {{ month() }}::text as signal_month,
    resolved.signal_id,
    resolved.person_id,
    case when resolved.is_introducing then 'new' else explanations.tier end as match_tier,
    case when resolved.is_introducing then 'first signal of this person' else explanations.evidence end as match_evidence,
    case when not resolved.is_introducing then explanations.score end as match_score
from resolved
left join explanations on explanations.signal_id = resolved.signal_id
