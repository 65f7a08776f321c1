-- Questions about who is who, and what a person decided. By ids only: names stand on the sheet Beoordelen. An answer is kept
-- for good and respected in every later build, also a rebuild from landing: signals keep their ids.
create table if not exists ops.match_reviews (
    review_id text primary key,
    signal_month text not null,
    place text not null check (place in ('address', 'loose', 'elsewhere')),
    left_person_id text not null,
    right_person_id text not null,
    left_signal_id text not null,
    right_signal_id text not null,
    evidence text not null,
    score numeric(4, 3) not null,
    state text not null default 'open' check (state in ('open', 'accepted', 'rejected')),
    decided_by text,
    decided_at timestamptz,
    reason text,
    asked_at timestamptz not null default now(),
    check ((state = 'open') = (decided_by is null) and (state = 'open') = (decided_at is null))
);
create index if not exists match_reviews_signal_month on ops.match_reviews (signal_month, state);

grant select on ops.match_reviews to vs_loader, vs_transformer, vs_exporter;
grant insert, delete on ops.match_reviews to vs_transformer;
grant update on ops.match_reviews to vs_exporter;
grant all on ops.match_reviews to vs_admin;
