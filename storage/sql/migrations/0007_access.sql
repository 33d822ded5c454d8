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

-- Personal data that is taken away: by how old it is, or because its caller asks for it.
alter table calls add column erased_at timestamptz;

comment on column calls.erased_at is 'when the caller and the fields were taken away';

create index calls_by_caller on calls (caller_hash, call_id) where caller_hash is not null;
create index webhook_deliveries_by_call on webhook_deliveries (call_id);

-- How far each campaign's calls were gone through; its days are kept when the campaign is gone.
create table retention_progress (
    campaign text collate "C" not null,
    kind text not null check (kind in ('pii', 'calls')),
    days integer not null check (days > 0),
    done_at timestamptz not null default '-infinity',
    done_call text collate "C" not null default '',
    primary key (campaign, kind)
);

-- Calls that were still in use when their turn came.
create table retention_left (
    kind text not null check (kind in ('pii', 'calls')),
    call_id text collate "C" not null,
    tried_at timestamptz not null default now(),
    primary key (kind, call_id)
);

create index retention_left_by_try on retention_left (tried_at);

-- An entry's note is what a buyer wrote, which may name somebody: it alone may be taken away.
create function refuse_change_but_of_note() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and new.note is null
        and to_jsonb(new) - 'note' = to_jsonb(old) - 'note'
    then
        return new;
    end if;
    raise exception '% is appended to, never changed', tg_table_name;
end
$$;

drop trigger conversion_entries_stay on conversion_entries;
create trigger conversion_entries_stay
    before update or delete on conversion_entries
    for each row execute function refuse_change_but_of_note();
