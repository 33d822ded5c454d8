-- The marketplace: a row of an item stands from first_revision to last_revision, both included.
create table catalogue_revisions (
    revision bigint primary key,
    created_at timestamptz not null default now(),
    origin text not null,
    actor text,
    file_name text,
    file_digest text,
    note text
);

create table catalogue_items (
    kind text not null,
    id text not null,
    first_revision bigint not null references catalogue_revisions,
    last_revision bigint,
    parent text,
    position bigint not null,
    document json not null,
    primary key (kind, id, first_revision),
    check (last_revision >= first_revision)
);

create unique index catalogue_items_current on catalogue_items (kind, id) where last_revision is null;

-- Tokens are kept as the SHA-256 of what the caller presents.
create table tokens (
    id text primary key,
    name text not null,
    hash bytea not null unique check (octet_length(hash) = 32),
    scopes text[] not null check (
        cardinality(scopes) > 0
        and scopes <@ array['calls', 'read', 'admin', 'pii', 'postback']
    ),
    buyer text,
    source text,
    switch text,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

-- One row, counted up by every change of a token, so that a poll reads one number.
create table token_revision (
    only_row boolean primary key default true check (only_row),
    revision bigint not null
);

insert into token_revision (revision) values (0);

-- Keys that are never rotated, each wrapped by the secret key, which can be.
create table service_keys (
    name text primary key,
    wrapped bytea not null,
    created_at timestamptz not null default now()
);
