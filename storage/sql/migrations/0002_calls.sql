-- Calls, what they hold of the caps, and what became of them.
--
-- Rows that change several times leave room on their page, and only columns that do not change are
-- indexed, so that updates stay on the page. Statistics are not taken while these tables are small: a
-- plan made for a handful of rows is kept, and would read a whole table that has grown since.

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

comment on column calls.epoch is 'counts the deciders: only the latest may reserve or finish';
comment on column calls.sealed is 'the caller''s number and the call''s fields, encrypted';
comment on column calls.caller_hash is 'keyed hash of the caller''s number, null when withheld';
comment on column calls.binding is 'false: a retry decides anew';

-- One row per attempt: the hold, then the route given. ``terms`` is what it was sold under (owners and
-- their windows, units, conversion rules), ``holding`` what it holds of the counters at this moment.
create table reservations (
    call_id text collate "C" not null,
    attempt integer not null,
    state text not null,
    position integer not null,
    campaign text not null,
    offer text not null,
    buyer text not null,
    routed_by text not null,
    price numeric(14, 4) not null check (price >= 0),
    post_id text,
    caller_hash bytea,
    terms json not null,
    holding json not null,
    reserved_at timestamptz not null default now(),
    lease_until timestamptz not null,
    sweep_at timestamptz,
    answered_lease_ms bigint,
    collected_lease_ms bigint,
    routed_at timestamptz,
    answered_at timestamptz,
    converted_at timestamptz,
    ended_at timestamptz,
    primary key (call_id, attempt)
) with (
    fillfactor = 50,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = 5000
);

comment on column reservations.caller_hash is 'null for withheld callers and test calls';
comment on column reservations.sweep_at is
    'when the sweeper looks at it, never after lease_until and often before it, so that a lease can be '
    'prolonged without touching an index; null when nothing is held';

create index reservations_by_caller on reservations (caller_hash, reserved_at)
    where caller_hash is not null;
create index reservations_to_sweep on reservations (sweep_at) where sweep_at is not null;

-- One row per owner of caps: live calls, then for hour, day and month the current and the previous
-- window, then the total; of each window its start (Unix seconds), used and pending calls, answered
-- calls, conversions and revenue (ten-thousandths).
create table usage_counters (
    owner text collate "C" primary key,
    counters bigint[] not null check (cardinality(counters) = 64)
) with (fillfactor = 50);

-- The whole ranking as last reserved from, for a decider that takes over.
create table plans (
    call_id text collate "C" not null,
    received_at timestamptz not null,
    attempt integer not null,
    position integer,
    candidates bytea not null,
    trace bytea not null,
    primary key (call_id, received_at)
) partition by range (received_at);

create table traces (
    call_id text collate "C" not null,
    received_at timestamptz not null,
    attempt integer not null,
    trace bytea not null,
    primary key (call_id, received_at, attempt)
) partition by range (received_at);

create table plans_default partition of plans default;
create table traces_default partition of traces default;

create table events (
    call_id text collate "C" not null,
    event_id text collate "C" not null,
    fingerprint bytea not null,
    type text not null,
    attempt integer,
    at timestamptz not null,
    total_duration_s numeric(9, 3),
    connected_duration_s numeric(9, 3),
    ended_by text,
    sip_code integer,
    result text not null,
    received_at timestamptz not null default now(),
    primary key (call_id, event_id)
);

-- Money earned (side buyer) and owed (side source): appended to, never changed.
create table conversions (
    call_id text collate "C" not null,
    side text not null check (side in ('buyer', 'source')),
    attempt integer not null,
    amount numeric(14, 4) not null check (amount >= 0),
    trigger text not null,
    at timestamptz not null,
    event_id text,
    primary key (call_id, side)
);

-- Partitions for so many days from a day on (UTC); returns how many were made. A day of which the
-- default partition has rows already stays there.
create function add_day_partitions(first_day date, days integer) returns integer
language plpgsql
set lock_timeout = '2s'
as $$
declare
    parent text;
    child text;
    day date;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(7241530003);
    foreach parent in array array['plans', 'traces'] loop
        for number in 0 .. days - 1 loop
            day := first_day + number;
            child := parent || to_char(day, '_YYYYMMDD');
            continue when to_regclass(child) is not null;
            begin
                execute format('create table %I (like %I including all)', child, parent);
                execute format(
                    'alter table %I attach partition %I for values from (%L) to (%L)',
                    parent, child, day || ' 00:00+00', (day + 1) || ' 00:00+00'
                );
                made := made + 1;
            exception when check_violation then
                null;
            end;
        end loop;
    end loop;
    return made;
end
$$;
