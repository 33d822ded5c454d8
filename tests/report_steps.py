"""What the figures should be, counted from the raw rows; and what they are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from auction.domain.log_bins import bin_of
from auction.domain.terms import BuyerType, Catalogue
from storage.database import Database
from storage.report_folding import ReportFolding

Key = tuple[str, datetime, str, str, str, str, str]
Sums = dict[str, Any]

_TRACES = """
    select t.trace, t.attempt, t.received_at, c.test, c.campaign, c.source
    from traces as t join calls as c using (call_id)
"""
_ATTEMPTS = """
    select
        r.offer, r.buyer, r.reason, c.received_at, c.test, c.campaign, c.source,
        (r.answered_at is not null)::integer as answered,
        (r.answered_at is not null and r.ended_at is not null)::integer as completed,
        (r.converted_at is not null)::integer as converted,
        coalesce((
            select sum(change) from conversion_entries as e
            where (e.call_id, e.attempt, e.side) = (r.call_id, r.attempt, 'buyer')
        ), 0) as revenue,
        coalesce((
            select sum(change) from conversion_entries as e
            where (e.call_id, e.attempt, e.side) = (r.call_id, r.attempt, 'source')
        ), 0) as payout
    from reservations as r join calls as c using (call_id)
"""
_REVISION = "insert into catalogue_revisions (revision, origin) values (1, 'test')"
_ITEMS = """
    insert into catalogue_items (kind, id, first_revision, parent, position, document)
    values ($1, $2, 1, $3, 1, $4)
    on conflict do nothing
"""
_FAILURES = {"no_answer": 501, "busy": 502, "dial_failed": 503, "short_call": 504}
_POSTS = {401: "posts_rejected", 402: "posts_unknown", 403: "post_errors"}
_OF_PINGS = {0: "no_bids", 101: "timeouts", 106: "not_awaited", 301: "below_minimum"} | {
    **dict.fromkeys((302, 303), "invalid_bids"),
    **dict.fromkeys((100, 102, 103, 104, 105), "errors"),
}


async def store_owners(database: Database, catalogue: Catalogue) -> None:
    """Store whose offers these are, as a catalogue that was saved would."""
    async with database.connection() as connection:
        await connection.execute("truncate catalogue_items, catalogue_revisions cascade")
        await connection.execute(_REVISION)
        for offer in catalogue.offers.values():
            document = f'{{"campaign": "{offer.campaign}"}}'
            await connection.execute(_ITEMS, "offer", offer.id, offer.buyer, document)
            document = f'{{"type": "{offer.buyer_type.value}"}}'
            await connection.execute(_ITEMS, "buyer", offer.buyer, None, document)


async def fold_all(folding: ReportFolding) -> None:
    """Fold until nothing waits."""
    while await folding.fold():
        pass


async def assert_figures_agree(database: Database, catalogue: Catalogue) -> Mapping[Key, Sums]:
    """Every row of the figures is what the raw rows come to, and there is no other; the rows."""
    expected, found = await raw_figures(database, catalogue), await stored_figures(database)
    assert {key for key, sums in expected.items() if _any(sums)} == {
        key for key, sums in found.items() if _any(sums)
    }
    for key, sums in found.items():
        assert sums == expected[key], key
    return found


async def raw_figures(database: Database, catalogue: Catalogue) -> Mapping[Key, Sums]:
    """The figures by minute and by quarter of an hour, counted from traces, attempts and money."""
    sums: dict[Key, Sums] = defaultdict(_zeros)
    async with database.connection() as connection:
        traces, attempts = await connection.fetch(_TRACES), await connection.fetch(_ATTEMPTS)
    for row in traces:
        lines = orjson.loads(row["trace"])["offers"]
        if row["attempt"] == 1:
            for key in _keys(row, "", "", BuyerType.BUYER):
                sums[key]["calls"] += 1
                sums[key]["unrouted"] += not any(_took(line) for line in lines)
        for line in lines:
            offer = catalogue.offers[line["offer"]]
            for key in _keys(row, offer.id, offer.buyer, offer.buyer_type):
                _count(sums[key], line, row["attempt"])
    for row in attempts:
        offer = catalogue.offers[row["offer"]]
        for key in _keys(row, offer.id, row["buyer"], offer.buyer_type):
            for name in ("answered", "completed", "converted", "revenue", "payout"):
                sums[key][name] += row[name]
            if row["reason"] is not None:
                sums[key]["reasons"][_FAILURES[row["reason"]]] += 1
    return sums


async def stored_figures(database: Database) -> Mapping[Key, Sums]:
    """The figures by minute and by quarter of an hour as they are stored."""
    async with database.connection() as connection:
        rows = await connection.fetch("select * from report_figures where grain not like '%day'")
    found: dict[Key, Sums] = {}
    for row in rows:
        sums = dict(row)
        key = tuple(
            sums.pop(name)
            for name in ("grain", "bucket", "campaign", "offer", "buyer", "source", "class")
        )
        for name in ("reasons", "bid_sizes", "ping_times"):
            sums[name] = Counter({item >> 40: item & (2**40 - 1) for item in sums[name]})
        found[key] = sums
    return found


def _any(sums: Sums) -> bool:
    return any(sums.values())


def _zeros() -> Sums:
    names = (
        "calls unrouted eligible pinged bids no_bids timeouts errors below_minimum invalid_bids "
        "not_awaited auction_wins static_wins posts_accepted posts_rejected posts_unknown "
        "post_errors answered completed converted bid_total revenue payout ping_micros"
    )
    zeros: Sums = dict.fromkeys(names.split(), 0)
    return zeros | {name: Counter() for name in ("reasons", "bid_sizes", "ping_times")}


def _keys(row: Any, offer: str, buyer: str, kind: BuyerType) -> Iterable[Key]:
    at, group = row["received_at"], "test" if row["test"] else kind.value
    minute = at.replace(second=0, microsecond=0)
    quarter = minute.replace(minute=at.minute // 15 * 15)
    campaign = row["campaign"] or ""
    yield "minute", minute, campaign, offer, buyer, "", group
    yield "quarter", quarter, campaign, offer, buyer, "", group
    yield "source_quarter", quarter, campaign, offer, buyer, row["source"] or "", group


def _took(line: Mapping[str, Any]) -> bool:
    return line["code"] is None or bool(line.get("static"))


def _count(sums: Sums, line: Mapping[str, Any], attempt: int) -> None:
    code, pinged = line["code"], line["ms"] is not None
    fresh = attempt == 1 or pinged or line["rank"] is not None
    could_take = code is None or not 200 <= code < 300 or code in {210, 211, 212, 216}
    sums["eligible"] += attempt == 1 and could_take
    if pinged:
        micros = round(line["ms"] * 1000)
        sums["pinged"] += 1
        sums["ping_micros"] += micros
        sums["ping_times"][bin_of(micros)] += 1
        valid = code not in _OF_PINGS and line["bid"] is not None
        sums[_OF_PINGS.get(code, "bids")] += 1 if code in _OF_PINGS else valid
        if valid:
            sums["bid_total"] += Decimal(line["bid"])
            sums["bid_sizes"][bin_of(int(Decimal(line["bid"]) * 10_000))] += 1
    if line.get("static"):
        sums["static_wins"] += 1
    elif code is None:
        sums["auction_wins"] += 1
        by_policy = line["detail"] == "post unanswered, routed by policy"
        sums["posts_unknown" if by_policy else "posts_accepted"] += 1
    if code is not None and fresh:
        sums["reasons"][code] += 1
        if code in _POSTS:
            sums[_POSTS[code]] += 1
