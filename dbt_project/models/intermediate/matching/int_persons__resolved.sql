-- Which person each of this month's signals is about. Persons of earlier months are recognised, never rewritten: a person
-- keeps the id of the signal that introduced them.
--
-- Linked signals and persons form groups. A group that holds a contradiction (two birth dates, two bsn's, other
-- initials) is not believed at that level of trust: its links are taken again without the weakest kind, until no
-- contradiction is left. So a signal without a birth date that fits both father and son joins neither; the pair becomes
-- a proposal (int_match_reviews). A false merge is worse than a miss. What a person decided about a pair stands above both.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month", "signal_id"]}, {"columns": ["person_id", "signal_month"]}],
    sql_header=set_wise(),
) }}

with recursive pairs as materialized (
    select * from {{ ref('int_signal_pairs__at_address') }}
    where signal_month = {{ month() }} and (tier is not null or contradicts)
),

new_signals as materialized (
    select signal_id, first_received_at from {{ ref('int_signals__keyed') }} where signal_month = {{ month() }}
),

decisions as materialized (
    select left_signal_id, right_signal_id, is_same_person from {{ ref('stg_match_decisions') }} where place = 'address'
),

earlier_signals as materialized (
    {% if is_incremental() %}
        select earlier.signal_id, earlier.signal_month, earlier.person_id
        from {{ this }} as earlier
        inner join (select distinct right_signal_id, right_signal_month from pairs) as compared
            on compared.right_signal_id = earlier.signal_id and compared.right_signal_month = earlier.signal_month
        where
            earlier.signal_month < {{ month() }}
            and earlier.signal_month >= (select min(right_signal_month) from pairs)
        union
        select earlier.signal_id, earlier.signal_month, earlier.person_id
        from {{ this }} as earlier
        where
            earlier.signal_month < {{ month() }}
            and earlier.signal_id = any(array(
                select left_signal_id from decisions union select right_signal_id from decisions
            ))
    {% else %}
        select null::text as signal_id, null::text as signal_month, null::text as person_id where false
    {% endif %}
),

-- two persons of earlier months that were decided to be one go on as the one who was there first
joined_persons (person_id, other_id) as (
    select left_side.person_id, right_side.person_id
    from both_ways
    inner join earlier_signals as left_side on left_side.signal_id = both_ways.left_signal_id
    inner join earlier_signals as right_side on right_side.signal_id = both_ways.right_signal_id
    union
    select joined_persons.person_id, right_side.person_id
    from joined_persons
    inner join earlier_signals as left_side on left_side.person_id = joined_persons.other_id
    inner join both_ways on both_ways.left_signal_id = left_side.signal_id
    inner join earlier_signals as right_side on right_side.signal_id = both_ways.right_signal_id
),

both_ways as materialized (
    select left_signal_id, right_signal_id from decisions where is_same_person
    union
    select right_signal_id, left_signal_id from decisions where is_same_person
),

goes_on_as as (
    select distinct on (joined_persons.person_id) joined_persons.person_id, joined_persons.other_id as goes_on_as
    from joined_persons
    inner join earlier_signals on earlier_signals.person_id = joined_persons.other_id
    order by joined_persons.person_id, earlier_signals.signal_month, joined_persons.other_id
),

earlier_persons as materialized (
    select
        earlier_signals.signal_id, earlier_signals.signal_month,
        coalesce(goes_on_as.goes_on_as, earlier_signals.person_id) as person_id
    from earlier_signals
    left join goes_on_as on goes_on_as.person_id = earlier_signals.person_id
),

-- the other side of a pair is a new signal or a person we know; both are nodes, by their id
node_pairs as materialized (
    select
        pairs.left_signal_id as left_node, pairs.right_signal_id as right_node, false as is_known,
        pairs.right_signal_month, pairs.tier, pairs.trust_level, pairs.contradicts, pairs.contradicts_for_certain, pairs.evidence, pairs.score
    from pairs
    where pairs.right_signal_month = {{ month() }}
    union all
    select
        pairs.left_signal_id, earlier_persons.person_id, true,
        pairs.right_signal_month, pairs.tier, pairs.trust_level, pairs.contradicts, pairs.contradicts_for_certain, pairs.evidence, pairs.score
    from pairs
    inner join earlier_persons on earlier_persons.signal_id = pairs.right_signal_id
    where pairs.right_signal_month < {{ month() }}
    union all
    select
        case when left_new.signal_id is null then right_new.signal_id else left_new.signal_id end,
        case
            when left_new.signal_id is null then left_known.person_id
            else coalesce(right_new.signal_id, right_known.person_id)
        end,
        left_new.signal_id is null or right_new.signal_id is null,
        coalesce(left_known.signal_month, right_known.signal_month, {{ month() }}),
        case when is_same_person then 'decided' end, case when is_same_person then 0 end,
        not is_same_person, not is_same_person, 'decided by a person', 1.000
    from decisions
    left join new_signals as left_new on left_new.signal_id = decisions.left_signal_id
    left join new_signals as right_new on right_new.signal_id = decisions.right_signal_id
    left join earlier_persons as left_known on left_known.signal_id = decisions.left_signal_id
    left join earlier_persons as right_known on right_known.signal_id = decisions.right_signal_id
    where
        (left_new.signal_id is not null or right_new.signal_id is not null)
        and (left_new.signal_id is not null or left_known.signal_id is not null)
        and (right_new.signal_id is not null or right_known.signal_id is not null)
),

rejected as (
    select left_node, right_node from node_pairs where evidence = 'decided by a person' and contradicts
    union all
    select left_side.person_id, right_side.person_id
    from decisions
    inner join earlier_persons as left_side on left_side.signal_id = decisions.left_signal_id
    inner join earlier_persons as right_side on right_side.signal_id = decisions.right_signal_id
    where not decisions.is_same_person
),

links as materialized (
    select left_node, right_node, min(trust_level) as trust_level
    from node_pairs
    where trust_level is not null
    group by left_node, right_node
),

edges as materialized (
    select left_node as from_node, right_node as to_node, trust_level from links
    union all
    select right_node, left_node, trust_level from links
),

-- Nearly every group is two nodes with one link between them. Links are followed to their end only where they meet.
junctions as materialized (
    select from_node as node from edges group by from_node having count(*) > 1
),

meeting_edges as materialized (
    select * from edges
    where from_node in (select node from junctions) or to_node in (select node from junctions)
),

-- all links first; only where that holds a contradiction, the stricter levels
reached (node, other) as (
    select from_node, from_node from meeting_edges
    union
    select from_node, to_node from meeting_edges
    union
    select reached.node, meeting_edges.to_node
    from reached
    inner join meeting_edges on meeting_edges.from_node = reached.other
),

groups as materialized (
    select node, min(other) as group_id from reached group by node
    union all
    select from_node, least(from_node, to_node) from edges
    where from_node not in (select node from junctions) and to_node not in (select node from junctions)
),

-- persons we know who came together in one group: only they can contradict each other
known_together as materialized (
    select node
    from (
        select node, count(*) over (partition by group_id) as persons
        from groups
        where node in (select person_id from earlier_persons)
    ) as known
    where persons > 1
),

-- between a new signal and a person a contradiction counts unless another signal of that person agrees for certain
-- (nor, among links that are certain, initials that differ)
contradictions as materialized (
    select left_node, right_node, case when bool_or(contradicts_for_certain) then 1 else 2 end as from_level
    from node_pairs
    group by left_node, right_node
    having bool_or(contradicts) and coalesce(min(trust_level), 9) > 1
    union
    select left_node, right_node, 0 from rejected
    union
    select
        known_left.node, known_right.node,
        case
            when
                known_left.bsn_key <> known_right.bsn_key
                or known_left.birth_on <> known_right.birth_on
                or known_left.gender <> known_right.gender
                then 1
            else 2
        end
    from known_identities as known_left
    inner join known_identities as known_right
        on known_left.address_key = known_right.address_key
        and known_left.node < known_right.node
        and (
            known_left.bsn_key <> known_right.bsn_key
            or known_left.birth_on <> known_right.birth_on
            or known_left.gender <> known_right.gender
            or not (
                starts_with(known_left.initials_key, known_right.initials_key)
                or starts_with(known_right.initials_key, known_left.initials_key)
            )
        )
),

known_identities as materialized (
    select
        earlier_persons.person_id as node, keyed.address_key,
        max(keyed.bsn_key) as bsn_key, max(keyed.birth_on) as birth_on,
        max(keyed.gender) filter (where keyed.gender in ('M', 'V')) as gender,
        (array_agg(keyed.initials_key order by length(keyed.initials_key) desc nulls last, keyed.initials_key))[1] as initials_key
    from earlier_persons
    inner join known_together on known_together.node = earlier_persons.person_id
    inner join {{ ref('int_signals__keyed') }} as keyed
        on keyed.signal_id = earlier_persons.signal_id and keyed.signal_month = earlier_persons.signal_month
    where
        keyed.signal_month < {{ month() }}
        and keyed.signal_id = any(array(
            select signal_id from earlier_persons where person_id in (select node from known_together)
        ))
    group by earlier_persons.person_id, keyed.address_key
),

doubted as materialized (
    select distinct left_group.group_id
    from contradictions
    inner join groups as left_group on left_group.node = contradictions.left_node
    inner join groups as right_group
        on right_group.node = contradictions.right_node and right_group.group_id = left_group.group_id
),

doubted_nodes as materialized (
    select groups.node from groups inner join doubted on doubted.group_id = groups.group_id
),

doubted_edges as materialized (
    select edges.* from edges inner join doubted_nodes on doubted_nodes.node = edges.from_node
),

reached_strictly (level, node, other) as (
    select levels.level, doubted_nodes.node, doubted_nodes.node
    from doubted_nodes
    cross join generate_series(0, 3) as levels (level)
    union
    select reached_strictly.level, reached_strictly.node, doubted_edges.to_node
    from reached_strictly
    inner join doubted_edges
        on doubted_edges.from_node = reached_strictly.other and doubted_edges.trust_level <= reached_strictly.level
),

strict_groups as materialized (
    select level, node, min(other) as group_id from reached_strictly group by level, node
),

unbelieved as materialized (
    select distinct left_group.level, left_group.group_id
    from contradictions
    inner join strict_groups as left_group on left_group.node = contradictions.left_node
    inner join strict_groups as right_group
        on right_group.node = contradictions.right_node
        and right_group.level = left_group.level
        and right_group.group_id = left_group.group_id
    where left_group.level >= contradictions.from_level
),

believed as materialized (
    select groups.node, 4 as level, groups.group_id
    from groups
    where groups.group_id not in (select group_id from doubted)
    union all
    (
        select distinct on (strict_groups.node) strict_groups.node, strict_groups.level, strict_groups.group_id
        from strict_groups
        left join unbelieved
            on unbelieved.level = strict_groups.level and unbelieved.group_id = strict_groups.group_id
        where unbelieved.group_id is null
        order by strict_groups.node, strict_groups.level desc
    )
),

-- Who introduces a group. The day, not the moment: files that come together are loaded side by side, and which of them is
-- first is chance; a file of a later day comes after them, so that it does not take over a person who may be on a call
-- list already.
members as materialized (
    select
        new_signals.signal_id, believed.level, believed.group_id,
        first_value(new_signals.signal_id) over (
            partition by believed.group_id, believed.level
            order by {{ local_time('new_signals.first_received_at') }}::date, new_signals.signal_id
        ) as introduced_by
    from new_signals
    inner join believed on believed.node = new_signals.signal_id
),

-- a group with a person we know is that person; with more than one, the one with the strongest link, then the latest
recognised as (
    select distinct on (members.group_id, members.level)
        members.level, members.group_id, node_pairs.right_node as person_id
    from members
    inner join node_pairs
        on node_pairs.left_node = members.signal_id and node_pairs.is_known and node_pairs.trust_level <= members.level
    inner join believed
        on believed.node = node_pairs.right_node and believed.level = members.level and believed.group_id = members.group_id
    order by
        members.group_id, members.level,
        node_pairs.trust_level, node_pairs.score desc, node_pairs.right_signal_month desc, node_pairs.right_node
),

-- the strongest link of a signal inside its own group is the explanation that is kept
explanations as (
    select distinct on (candidates.signal_id) candidates.*
    from (
        select left_node as signal_id, right_node as other, tier, trust_level, evidence, score
        from node_pairs
        where trust_level is not null
        union all
        select right_node, left_node, tier, trust_level, evidence, score
        from node_pairs
        where trust_level is not null and not is_known
    ) as candidates
    inner join members on members.signal_id = candidates.signal_id and candidates.trust_level <= members.level
    inner join believed as other_side
        on other_side.node = candidates.other
        and other_side.level = members.level
        and other_side.group_id = members.group_id
    order by candidates.signal_id, candidates.trust_level, candidates.score desc, candidates.other, candidates.evidence
),

-- a signal without a believed link introduces itself
introduced as (
    select
        new_signals.signal_id, recognised.person_id,
        coalesce(members.introduced_by, new_signals.signal_id) as introduced_by
    from new_signals
    left join members on members.signal_id = new_signals.signal_id
    left join recognised on recognised.level = members.level and recognised.group_id = members.group_id
),

new_persons as (
    select * from {{ keyed_ids('person', "select distinct introduced_by from introduced where person_id is null") }}
)

select
    {{ month() }}::text as signal_month,
    introduced.signal_id,
    coalesce(introduced.person_id, new_persons.id) as person_id,
    case when is_introducing then 'new' else explanations.tier end as match_tier,
    case when is_introducing then 'first signal of this person' else explanations.evidence end as match_evidence,
    case when not is_introducing then explanations.score end as match_score
from introduced
cross join lateral (
    select introduced.person_id is null and introduced.introduced_by = introduced.signal_id as is_introducing
) as roles
left join explanations on explanations.signal_id = introduced.signal_id
left join new_persons on new_persons.value = introduced.introduced_by
