-- What the audit log is read by: what each revision began and ended, by time.
create index catalogue_items_begun on catalogue_items (first_revision);
create index catalogue_items_ended on catalogue_items (last_revision) where last_revision is not null;
create index catalogue_revisions_by_time on catalogue_revisions (created_at);

-- What the audit log has to tell that no revision does; nothing in it is a secret.
create table audit_entries (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    origin text not null,
    actor text not null,
    kind text not null,
    item_id text not null,
    action text not null,
    before json,
    after json,
    note text
);

create index audit_entries_by_time on audit_entries (at);

create trigger audit_entries_stay
    before update or delete on audit_entries
    for each statement execute function refuse_change();

-- Merge patches that wait for their time; their secrets are sealed.
create table scheduled_changes (
    id text primary key,
    kind text not null,
    item_id text not null,
    patch json not null,
    effective_at timestamptz not null,
    actor text not null,
    created_at timestamptz not null default now(),
    state text not null default 'pending'
        check (state in ('pending', 'applied', 'failed', 'cancelled')),
    settled_at timestamptz,
    revision bigint references catalogue_revisions,
    error text
);

create index scheduled_changes_due on scheduled_changes (effective_at, id) where state = 'pending';
create index scheduled_changes_listed on scheduled_changes (effective_at, id);
