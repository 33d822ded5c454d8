-- How many calls an offer was there for, without counting offers: calls are counted by the roster of their
-- campaign, the offers that it has from one revision on until it has others.

-- Which offers a campaign has had, and whose, from first_revision to last_revision, both included. Only
-- what makes another roster ends a row: an offer that is paused or edited keeps its own.
create table offer_places (
    campaign text collate "C" not null,
    offer text collate "C" not null,
    buyer text collate "C" not null,
    class text not null,
    first_revision bigint not null references catalogue_revisions,
    last_revision bigint,
    primary key (offer, first_revision),
    check (last_revision >= first_revision)
);

create index offer_places_begun on offer_places (campaign, first_revision);
create index offer_places_ended on offer_places (campaign, last_revision);
create index offer_places_of_buyers on offer_places (buyer) where last_revision is null;

comment on column offer_places.class is 'the type of the buyer, which figures are kept apart by';

-- Triggers, since older programs change the marketplace too while they are replaced.
create function end_offer_place() returns trigger language plpgsql as $$
begin
    update offer_places set last_revision = new.last_revision
    where offer = new.id and last_revision is null;
    return null;
end
$$;

create trigger catalogue_items_end_place after update of last_revision on catalogue_items
    for each row
    when (new.kind = 'offer' and old.last_revision is null and new.last_revision is not null)
    execute function end_offer_place();

create function begin_offer_places() returns trigger language plpgsql as $$
begin
    -- The row before is ended when it is replaced: where nothing of its place has changed that goes on.
    update offer_places as p set last_revision = null
    from added as o
    left join catalogue_items as b on b.kind = 'buyer' and b.id = o.parent and b.last_revision is null
    where o.kind = 'offer'
        and p.offer = o.id
        and p.last_revision = o.first_revision - 1
        and (p.campaign, p.buyer, p.class) = (
            o.document ->> 'campaign', o.parent, coalesce(b.document ->> 'type', 'buyer')
        );
    insert into offer_places (campaign, offer, buyer, class, first_revision)
    select
        o.document ->> 'campaign', o.id, o.parent, coalesce(b.document ->> 'type', 'buyer'),
        o.first_revision
    from added as o
    left join catalogue_items as b on b.kind = 'buyer' and b.id = o.parent and b.last_revision is null
    where o.kind = 'offer'
        and o.document ->> 'campaign' is not null
        and not exists (select from offer_places where offer = o.id and last_revision is null);
    -- A buyer that becomes one of another type takes its offers with it, though they stay as they are.
    with ended as (
        update offer_places as p set last_revision = b.first_revision - 1
        from added as b
        where b.kind = 'buyer'
            and p.buyer = b.id
            and p.last_revision is null
            and p.first_revision < b.first_revision
            and p.class <> coalesce(b.document ->> 'type', 'buyer')
        returning p.campaign, p.offer, p.buyer
    )
    insert into offer_places (campaign, offer, buyer, class, first_revision)
    select
        ended.campaign, ended.offer, ended.buyer, coalesce(b.document ->> 'type', 'buyer'),
        b.first_revision
    from ended
    join added as b on b.kind = 'buyer' and b.id = ended.buyer;
    return null;
end
$$;

create trigger catalogue_items_begin_places after insert on catalogue_items
    referencing new table as added
    for each statement execute function begin_offer_places();

-- First decisions by the roster that they were made with, named by its first revision. Grains, sources and
-- classes are those of report_figures, but for minutes, which nobody asks this of.
create table report_rosters (
    grain text not null,
    bucket timestamptz not null,
    campaign text collate "C" not null,
    source text collate "C" not null,
    class text not null,
    roster bigint not null,
    calls bigint not null,
    primary key (grain, bucket, campaign, source, class, roster)
) with (fillfactor = 70);

-- All calls of a quarter, to tell whether those of its rosters are all of them.
create index report_quarters_of_calls on report_quarters (bucket) where offer = '';
create index report_source_quarters_of_calls on report_source_quarters (bucket) where offer = '';

-- What was there before: rows of an item that follow each other with the same place are one place.
with item as (
    select
        kind, id, parent, first_revision, last_revision,
        case kind when 'offer' then document ->> 'campaign' end as campaign,
        case kind when 'buyer' then coalesce(document ->> 'type', 'buyer') end as class
    from catalogue_items
    where kind in ('offer', 'buyer')
),
begun as (
    select
        item.*,
        (
            lag(last_revision) over row_before is distinct from first_revision - 1
            or lag((parent, campaign, class)) over row_before is distinct from (parent, campaign, class)
        )::integer as begins
    from item
    window row_before as (partition by kind, id order by first_revision)
),
numbered as (
    select begun.*, sum(begins) over (partition by kind, id order by first_revision) as number
    from begun
),
spell as (
    select
        kind, id, parent, campaign, class, min(first_revision) as first_revision,
        case when bool_and(last_revision is not null) then max(last_revision) end as last_revision
    from numbered
    group by kind, id, parent, campaign, class, number
)
insert into offer_places (campaign, offer, buyer, class, first_revision, last_revision)
select
    o.campaign, o.id, o.parent, b.class, greatest(o.first_revision, b.first_revision),
    least(o.last_revision, b.last_revision)
from spell as o
join spell as b
    on b.kind = 'buyer'
    and b.id = o.parent
    and b.first_revision <= coalesce(o.last_revision, b.first_revision)
    and o.first_revision <= coalesce(b.last_revision, o.first_revision)
where o.kind = 'offer' and o.campaign is not null;
