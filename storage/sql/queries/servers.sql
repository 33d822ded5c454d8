-- Servers that stand in for one another.

-- name: server_history
-- The number of the history that this primary writes: one more after each promotion.
select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer
