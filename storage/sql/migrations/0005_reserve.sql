-- Whether calls and usage are still as a decider knows them, with all of it locked in the ledger's
-- order. Null when they are (or when nothing is asked); the owners' counters when only these are
-- others; empty when the locks must be had before anything can be decided.
-- A function, since each of its statements sees what was committed before it began: what is read
-- under a lock is read after the lock was had.
create function other_than_known(
    call_ids text[], epochs bigint[], arrivals timestamptz[],
    caller_keys bigint[], callers bytea[], owners text[], known text[]
) returns text[] language plpgsql as $$
declare
    unchanged bigint;
    counted text[];
begin
    if call_ids is null then
        return null;
    end if;
    perform set_config('lock_timeout', '250ms', true);
    select count(*) into unchanged
    from unnest(call_ids, epochs, arrivals) as item (call_id, epoch, arrival)
    cross join lateral (
        select calls.epoch, calls.state, calls.received_at from calls
        where calls.call_id = item.call_id
        for update
    ) as c
    where c.epoch = item.epoch and c.received_at = item.arrival and c.state = 'deciding';
    if unchanged <> cardinality(call_ids) then
        return '{}';
    end if;
    perform pg_advisory_xact_lock(key) from unnest(caller_keys) as key;
    if exists (
        select from unnest(call_ids) as item (call_id)
        cross join lateral (
            select from reservations where reservations.call_id = item.call_id offset 0
        ) as held
    ) or exists (
        select from unnest(callers) as item (caller_hash)
        cross join lateral (
            select from reservations where reservations.caller_hash = item.caller_hash offset 0
        ) as past
    ) then
        return '{}';
    end if;
    select coalesce(array_agg(u.counters::text order by item.place), '{}') into counted
    from unnest(owners) with ordinality as item (owner, place)
    cross join lateral (
        select usage_counters.counters from usage_counters where usage_counters.owner = item.owner
        for update
    ) as u;
    if counted = known then
        return null;
    elsif cardinality(counted) = cardinality(owners) then
        return counted;
    end if;
    return '{}';
end
$$;
