-- name: embedded_has_database
select exists (select from pg_database where datname = $1)

-- name: embedded_create_database
create database pingpost
