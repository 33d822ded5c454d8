-- What buyers claim of calls they were sold: that one is given back, or that it was no good.

create table call_claims (
    call_id text collate "C" not null,
    buyer text not null,
    kind text not null check (kind in ('return', 'complaint')),
    event_id text collate "C" not null,
    fingerprint bytea not null,
    reason text not null,
    note text,
    campaign text,
    offer text not null,
    source text,
    received_at timestamptz not null,
    credited numeric(14, 4) not null default 0,
    withheld numeric(14, 4) not null default 0,
    made_at timestamptz not null default now(),
    primary key (call_id, buyer, kind, event_id)
);

comment on column call_claims.received_at is 'when the call came in';
comment on column call_claims.credited is 'what the buyer''s side came to less by it';
comment on column call_claims.withheld is 'what the source''s side came to less by it';

create index call_claims_by_arrival on call_claims (received_at);
