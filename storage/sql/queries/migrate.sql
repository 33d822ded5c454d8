-- name: migrate_lock
select pg_advisory_xact_lock(7241530001)

-- name: migrate_table
create table if not exists schema_migrations (
    version integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)

-- name: migrate_applied
select version, name, checksum from schema_migrations order by version

-- name: migrate_record
insert into schema_migrations (version, name, checksum) values ($1, $2, $3)
