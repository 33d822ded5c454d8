-- Who may ask how much and until when; numbers that are not to be called or sold; privacy.

alter table tokens
    add column rate_per_second double precision check (rate_per_second > 0),
    add column rate_burst integer check (rate_burst > 0),
    add column expires_at timestamptz,
    add check ((rate_per_second is null) = (rate_burst is null));

-- Numbers that are not to be sold, by the keyed hash of the caller. What replaces a list is loaded under
-- another key and takes its place at once.
create table suppression_lists (
    key integer generated always as identity primary key,
    list text collate "C" not null,
    state text not null check (state in ('current', 'loading', 'dropped')),
    numbers bigint not null default 0 check (numbers >= 0),
    changed_at timestamptz not null default now()
);

create unique index suppression_lists_current on suppression_lists (list) where state = 'current';

create table suppressed_numbers (
    caller_hash bytea not null,
    list integer not null,
    primary key (caller_hash, list)
) with (
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = 5000
);

create index suppressed_numbers_by_list on suppressed_numbers (list);
