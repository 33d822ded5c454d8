-- name: connection_limit
select current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)


-- name: server_process
select pg_backend_pid()


-- name: lacking_session_settings
-- Settings that are not as wanted; one that this server does not have is left alone.
select name, wanted from unnest($1::text[], $2::text[]) as wish (name, wanted)
where current_setting(name, true) <> wanted


-- name: set_session_settings
select set_config(name, value, false) from unnest($1::text[], $2::text[]) as wish (name, value)
