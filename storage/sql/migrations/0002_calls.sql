-- Calls, what they hold of the caps, and what became of them.
--
-- Rows that are updated several times leave room on their page (fillfactor) and only columns that never
-- change are indexed, so that updates stay on the page (HOT). Statistics are not taken while these tables
-- are small: a plan made for a handful of rows and kept would read a whole table that has grown since.

create table calls (
    call_id text collate "C" primary key,
    fingerprint bytea not null,
    epoch integer not null default 1,
    state text not null default 'deciding',
    decide_by timestamptz not null,
    received_at timestamptz not null,
    revision bigint not null,
    attempt integer not null default 1,
    test boolean not null,
    binding boolean not null default true,
    timeout_ms integer,
    campaign text,
    named_campaign text,
    dialed_number text,
    source text,
    switch text,
    caller_hash bytea,
    sealed bytea not null,
    decided_at timestamptz,
    routed_by text,
    offer text,
    buyer text,
    price numeric(14, 4) check (price >= 0),
    currency text,
    reason text,
    answered_at timestamptz,
    ended_at timestamptz,
    total_duration_s numeric(9, 3) check (total_duration_s >= 0),
    connected_duration_s numeric(9, 3) check (connected_duration_s >= 0),
    ended_by text,
    answer bytea
) with (
    fillfactor = 50,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = 5000
);
