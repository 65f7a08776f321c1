-- What persons decided about two signals: one person, or not. By signal, because a signal keeps its id for good while the
-- person it belongs to may change by the very decision.
select
    review_id, place, left_signal_id, right_signal_id, state = 'accepted' as is_same_person, decided_at
from {{ source('ops', 'match_reviews') }}
where state in ('accepted', 'rejected')
