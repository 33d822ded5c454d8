-- What a commit waits for.

-- name: commits_wait_for
-- Null where the server knows no such setting.
select
    current_setting('synchronous_commit', true) as level,
    current_setting('synchronous_standby_names', true) as standbys
