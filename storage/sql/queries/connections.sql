-- name: connection_limit
select current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)


-- name: session_settings
-- Whether each of these settings is as wanted; one that this server does not have is left alone.
select wish.name, wish.wanted, coalesce(current_setting(wish.name, true) = wish.wanted, true) as is_set
from unnest($1::text[], $2::text[]) as wish (name, wanted)


-- name: set_session_settings
select set_config(name, value, false) from unnest($1::text[], $2::text[]) as wish (name, value)
