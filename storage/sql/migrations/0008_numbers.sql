-- Numbers that pools lend to visitors. One row per number: it is never lent to two at once, and a
-- visitor has one number of a pool at most.
create table number_leases (
    number text primary key,
    pool text not null,
    lease text unique,
    session bytea,
    source text,
    sealed bytea,
    expires_at timestamptz,
    kept_until timestamptz check (kept_until >= expires_at),
    last_used_at timestamptz,
    check ((lease is null) = (session is null)),
    check ((lease is null) = (sealed is null)),
    check ((lease is null) = (kept_until is null)),
    check ((kept_until is null) = (expires_at is null))
);

comment on column number_leases.lease is 'null: lent to nobody';
comment on column number_leases.session is 'keyed hash of the visitor''s session';
comment on column number_leases.sealed is 'the tags that join the calls that arrive, encrypted';
comment on column number_leases.kept_until is 'lent to nobody else before, and calls still get the tags';
comment on column number_leases.last_used_at is 'null: never lent';

create unique index number_leases_by_session on number_leases (pool, session)
where session is not null;

create index number_leases_by_use on number_leases (pool, last_used_at nulls first, number);

create index number_leases_by_source on number_leases (source) where source is not null;

-- What the lease of the dialled number said when the call came in.
alter table calls add column lease text, add column lent bytea;

comment on column calls.lent is 'the tags of its lease, encrypted; null without one';

create index calls_by_lease on calls (lease) where lease is not null;
