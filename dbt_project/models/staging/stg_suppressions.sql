-- One row per recorded wish or fact that keeps a person from being approached.
select suppression_id, ground, person_ids, subject_keys, valid_from, valid_to
from {{ source('ops', 'suppressions') }}
