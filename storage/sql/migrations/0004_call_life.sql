-- A call's life after routing: further attempts, money that is amended, what subscribers are told.

create index calls_by_arrival on calls (received_at, call_id);

comment on column calls.attempt is 'the route given last, or being decided; 1 until the switch asks for the next';
comment on column calls.answer is 'the answer to the first request; those to later ones are in next_steps';

alter table reservations
    add column source text,
    add column bid_id text,
    add column dedupes boolean not null default false,
    add column reason text,
    add column sip_code integer,
    add column connected_duration_s numeric(9, 3) check (connected_duration_s >= 0),
    add column paid_at timestamptz;

comment on column reservations.dedupes is 'a conversion rule looks at the caller''s earlier conversions';
comment on column reservations.reason is 'why the attempt failed';
comment on column reservations.converted_at is 'when the buyer''s conversion happened, null while there is none';
comment on column reservations.paid_at is 'when the source''s conversion happened, null while there is none';

create index reservations_by_post on reservations (post_id) where post_id is not null;
create index reservations_by_bid on reservations (bid_id) where bid_id is not null;

-- A switch's request for another route after an attempt failed, and the answer once there is one.
create table next_steps (
    call_id text collate "C" not null,
    attempt integer not null,
    fingerprint bytea not null,
    reason text not null,
    sip_code integer,
    requested_at timestamptz not null default now(),
    answer bytea,
    primary key (call_id, attempt)
);

comment on column next_steps.attempt is 'the attempt that failed';

-- What each side of a call comes to by now; how it came to that is in conversion_entries.
alter table conversions
    add column withdrawn boolean not null default false,
    add column percent numeric(7, 4);

comment on column conversions.percent is 'the payout is so much of the revenue, and follows it';

-- Appended to, never changed: the sum of ``change`` is what conversions say.
create table conversion_entries (
    id bigint generated always as identity primary key,
    call_id text collate "C" not null,
    side text not null check (side in ('buyer', 'source')),
    attempt integer not null,
    kind text not null check (kind in ('booked', 'amended', 'withdrawn')),
    trigger text not null,
    amount numeric(14, 4) not null check (amount >= 0),
    change numeric(14, 4) not null,
    at timestamptz not null,
    recorded_at timestamptz not null default now(),
    actor text not null,
    event_id text,
    note text,
    beyond_hold boolean not null default false
);

create index conversion_entries_by_call on conversion_entries (call_id);

insert into conversion_entries (call_id, side, attempt, kind, trigger, amount, change, at, actor, event_id)
select call_id, side, attempt, 'booked', trigger, amount, amount, at, 'switch', event_id from conversions;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is appended to, never changed', tg_table_name;
end
$$;

create trigger conversion_entries_stay
    before update or delete on conversion_entries
    for each statement execute function refuse_change();

-- What buyers reported of their calls, so that a repeat is known for one.
create table postbacks (
    call_id text collate "C" not null,
    buyer text not null,
    event_id text collate "C" not null,
    fingerprint bytea not null,
    status text not null,
    amount numeric(14, 4),
    result text not null,
    received_at timestamptz not null default now(),
    primary key (call_id, buyer, event_id)
);

-- What subscribers are to be told: written with the fact, delivered by a worker. ``facts`` is the
-- changing part of the call's record as it was then.
create table webhook_deliveries (
    event_id text collate "C" primary key,
    owner text not null,
    webhook text not null,
    event text not null,
    call_id text collate "C" not null,
    at timestamptz not null,
    facts json not null,
    data json not null,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    give_up_at timestamptz not null default now() + interval '24 hours',
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    last_error text
);

create index webhook_deliveries_due on webhook_deliveries (owner, webhook, due_at) where state = 'pending';
create index webhook_deliveries_delivered on webhook_deliveries (settled_at) where state = 'delivered';
create index webhook_deliveries_dead on webhook_deliveries (settled_at, event_id) where state = 'dead';

-- Caps of which subscribers were told that they are reached: once per window.
create table caps_reached (
    owner text not null,
    measure text not null,
    period text not null,
    window_start timestamptz not null,
    reached_at timestamptz not null default now(),
    primary key (owner, measure, period, window_start)
);
