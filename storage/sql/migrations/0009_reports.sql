-- Figures for reports and alerts: what calls add to them is appended to report_deltas with the fact
-- itself, and folded into report_figures in the background.

-- One row per decision, per change of an attempt and per line of the money ledger, in no order: whoever
-- folds a row deletes it in the same transaction. ``trace`` is one that was counted and is replaced:
-- it is taken out again. Only decisions name the call's facts, which a call that is decided anew changes.
create table report_deltas (
    kind text not null check (kind in ('decision', 'replaced', 'attempt', 'money')),
    call_id text collate "C" not null,
    attempt integer not null,
    received_at timestamptz,
    campaign text,
    source text,
    test boolean,
    trace bytea,
    answered smallint not null default 0,
    completed smallint not null default 0,
    converted smallint not null default 0,
    failed text,
    failed_before text,
    revenue numeric(14, 4) not null default 0,
    payout numeric(14, 4) not null default 0
) with (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);

-- Sums by the time calls came in: minutes (kept for some days), quarters of an hour, and whole days added
-- up from those; quarters and days once over all sources and once by source, which are many more rows.
-- ``offer`` and ``buyer`` are empty in the rows that count calls, ``source`` where there is none. ``class`` keeps apart what is not sold: test calls, and offers
-- of quality assurance and voice bots. Packed columns hold a count per key,
-- key * 2^40 + count, the count modulo 2^40.
create table report_figures (
    grain text not null,
    bucket timestamptz not null,
    campaign text collate "C" not null,
    offer text collate "C" not null,
    buyer text collate "C" not null,
    source text collate "C" not null,
    class text not null,
    calls bigint not null,
    unrouted bigint not null,
    eligible bigint not null,
    pinged bigint not null,
    bids bigint not null,
    no_bids bigint not null,
    timeouts bigint not null,
    errors bigint not null,
    below_minimum bigint not null,
    invalid_bids bigint not null,
    not_awaited bigint not null,
    auction_wins bigint not null,
    static_wins bigint not null,
    posts_accepted bigint not null,
    posts_rejected bigint not null,
    posts_unknown bigint not null,
    post_errors bigint not null,
    answered bigint not null,
    completed bigint not null,
    converted bigint not null,
    bid_total numeric not null,
    revenue numeric not null,
    payout numeric not null,
    ping_micros bigint not null,
    reasons bigint[] not null,
    bid_sizes bigint[] not null,
    ping_times bigint[] not null,
    primary key (grain, bucket, campaign, offer, buyer, source, class)
) partition by list (grain);

create table report_minutes partition of report_figures for values in ('minute')
    with (fillfactor = 70);
create table report_quarters partition of report_figures for values in ('quarter')
    with (fillfactor = 70);
create table report_source_quarters partition of report_figures for values in ('source_quarter')
    with (fillfactor = 70);
create table report_source_days partition of report_figures for values in ('source_day')
    with (fillfactor = 70);
create table report_days partition of report_figures for values in ('day') with (fillfactor = 70);

create index report_days_by_offer on report_days (offer, bucket);

comment on column report_figures.ping_micros is 'the time of all pings together';

-- Days of which days have everything that quarters have; they never overlap. Days were those
-- of the marketplace's time zone when they were added up.
create table report_whole_days (
    first timestamptz primary key,
    until timestamptz not null check (until > first)
);

create function add_packed(one bigint[], other bigint[]) returns bigint[]
language sql immutable strict parallel safe
begin atomic
    select coalesce(array_agg((key << 40) | count order by key), '{}')
    from (
        select item >> 40 as key, sum(item & 1099511627775)::bigint & 1099511627775 as count
        from unnest(one || other) as item
        group by item >> 40
    ) as counted
    where count <> 0;
end;

create function note_attempt() returns trigger language plpgsql as $$
begin
    insert into report_deltas (
        kind, call_id, attempt, answered, completed, converted, failed, failed_before
    )
    values (
        'attempt', new.call_id, new.attempt,
        (new.answered_at is not null)::integer - (old.answered_at is not null)::integer,
        (new.answered_at is not null and new.ended_at is not null)::integer
            - (old.answered_at is not null and old.ended_at is not null)::integer,
        (new.converted_at is not null)::integer - (old.converted_at is not null)::integer,
        new.reason, old.reason
    );
    return null;
end
$$;

create trigger reservations_to_reports after update on reservations for each row
    when (
        (old.answered_at is null) <> (new.answered_at is null)
        or (old.answered_at is null or old.ended_at is null)
            <> (new.answered_at is null or new.ended_at is null)
        or (old.converted_at is null) <> (new.converted_at is null)
        or old.reason is distinct from new.reason
    )
    execute function note_attempt();

create function note_money() returns trigger language plpgsql as $$
begin
    insert into report_deltas (kind, call_id, attempt, revenue, payout)
    values (
        'money', new.call_id, new.attempt,
        case new.side when 'buyer' then new.change else 0 end,
        case new.side when 'source' then new.change else 0 end
    );
    return null;
end
$$;

create trigger conversion_entries_to_reports after insert on conversion_entries for each row
    when (new.change <> 0)
    execute function note_money();

-- A decision that is made anew replaces its trace. What was counted of the old one is taken out; where
-- it is still to be counted, the new one will be found in its place.
create function note_replaced_trace() returns trigger language plpgsql as $$
declare
    waiting report_deltas;
begin
    delete from report_deltas as d
    where d.kind = 'decision' and d.call_id = new.call_id and d.attempt = new.attempt
        and d.received_at = new.received_at
    returning * into waiting;
    if not found then
        insert into report_deltas (
            kind, call_id, attempt, received_at, campaign, source, test, trace
        )
        select 'replaced', new.call_id, new.attempt, new.received_at, c.campaign, c.source, c.test, old.trace
        from calls as c where c.call_id = new.call_id;
    end if;
    insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
    select 'decision', new.call_id, new.attempt, new.received_at, c.campaign, c.source, c.test
    from calls as c where c.call_id = new.call_id;
    return null;
end
$$;

create trigger traces_to_reports after update on traces for each row
    when (old.trace is distinct from new.trace)
    execute function note_replaced_trace();

-- What was there before.
insert into report_deltas (kind, call_id, attempt, received_at, campaign, source, test)
select 'decision', t.call_id, t.attempt, t.received_at, c.campaign, c.source, c.test
from traces as t
join calls as c using (call_id);

insert into report_deltas (kind, call_id, attempt, answered, completed, converted, failed)
select
    'attempt', call_id, attempt, (answered_at is not null)::integer,
    (answered_at is not null and ended_at is not null)::integer, (converted_at is not null)::integer,
    reason
from reservations
where answered_at is not null or converted_at is not null or reason is not null;

insert into report_deltas (kind, call_id, attempt, revenue, payout)
select
    'money', call_id, attempt, case side when 'buyer' then change else 0 end,
    case side when 'source' then change else 0 end
from conversion_entries
where change <> 0;
