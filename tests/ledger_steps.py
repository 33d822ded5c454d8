"""Steps of calls through the ledger, for tests: builders, and counting what the ledger must say."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import orjson

from auction.domain.call import Call, Caller
from auction.domain.finishing import Action, Finish, Finished
from auction.domain.ids import (
    BuyerId,
    CallId,
    CampaignId,
    OfferId,
    OwnerId,
    PostId,
    buyer_owner,
    offer_owner,
)
from auction.domain.money import to_units
from auction.domain.opening import Opened, Opening
from auction.domain.plan import Candidate, RoutedBy
from auction.domain.reserving import Reserved, ReserveRequest
from auction.domain.switch_events import CallEvent, EventType
from auction.domain.terms import Cap, Destination, Measure, OwnerLimits, Period
from auction.domain.usage import Usage
from config.secret_box import SecretBox
from storage.books import load_holding
from storage.database import Database
from storage.holds import HoldTerms
from storage.ledger import PostgresLedger
from storage.usage_rows import decode
from storage.vault import CallerVault
from tests.builders import CAMPAIGN, NEW_YORK, a_call

VAULT = CallerVault(SecretBox(b"k" * 32), b"identity")
LEASE_MS = 60_000
OFFER_OWNER = offer_owner(OfferId("acme-auto"))
BUYER_OWNER = buyer_owner(BuyerId("acme"))


def a_ledger(database: Database, **options: Any) -> PostgresLedger:
    """A ledger on a test's database that knows what it has seen; its deciders count from 1."""
    seen: dict[OwnerId, Usage] = {}
    knowing = {"on_usage": seen.update, "known_usage": lambda: seen, "new_epoch": lambda: 1}
    return PostgresLedger(database, VAULT, **{**knowing, **options})


def daily_calls(limit: int) -> Cap:
    """A cap on calls per day."""
    return Cap(Measure.CALLS, Period.DAY, limit)


def limits(
    owner: OwnerId, *caps: Cap, concurrency: int | None = None, zone: Any = NEW_YORK
) -> OwnerLimits:
    """An owner's limits in New York."""
    return OwnerLimits(owner, zone, concurrency, caps)


def a_candidate(
    offer: str = "acme-auto",
    *,
    buyer: str = "acme",
    price: str = "52.00",
    offer_limits: OwnerLimits | None = None,
    buyer_limits: OwnerLimits | None = None,
    **changes: Any,
) -> Candidate:
    """A valid bid as a place of the plan, without limits unless some are given."""
    values: dict[str, Any] = {
        "offer": OfferId(offer),
        "buyer": BuyerId(buyer),
        "routed_by": RoutedBy.AUCTION,
        "price": Decimal(price),
        "destination": Destination(f"sip:{offer}@buyer.example", 20),
        "posts": True,
        "owners": (
            offer_limits or limits(offer_owner(OfferId(offer))),
            buyer_limits or limits(buyer_owner(BuyerId(buyer))),
        ),
        "units": (1, 1, 1, to_units(Decimal(price))),
        "post_id": PostId(f"{offer}-post"),
        **changes,
    }
    return Candidate(**values)


def a_recent_call(call_id: str = "call-1", **changes: Any) -> Call:
    """A call that comes in now."""
    return a_call(call_id, **{"received_at": datetime.now(UTC), **changes})


def from_number(last_digits: int) -> Caller:
    """A caller of their own."""
    return Caller(f"+1310555{last_digits:04}", "310", "CA", "US")


def an_opening(call: Call, **changes: Any) -> Opening:
    """A call's claim, for ten seconds."""
    values: dict[str, Any] = {
        "fingerprint": hashlib.sha256(call.call_id.encode()).digest(),
        "decide_within_ms": 10_000,
        "revision": 1,
        "campaign": CAMPAIGN,
        **changes,
    }
    return Opening(call=call, **values)


def a_request(call: Call, *candidates: Candidate, **changes: Any) -> ReserveRequest:
    """A plan to reserve from, for a minute."""
    values: dict[str, Any] = {
        "campaign": CampaignId(CAMPAIGN),
        "epoch": 1,
        "attempt": 1,
        "candidates": candidates or (a_candidate(),),
        "start": 0,
        "trace": b"so far",
        "lease_ms": LEASE_MS,
        **changes,
    }
    return ReserveRequest(call=call, **values)


def a_finish(call: Call, candidate: Candidate | None, **changes: Any) -> Finish:
    """A decision in time; without a candidate no route."""
    answer = {"call_id": call.call_id, "offer": candidate and candidate.offer}
    values: dict[str, Any] = {
        "epoch": 1,
        "attempt": 1,
        "action": Action.NO_ROUTE if candidate is None else Action.ROUTE,
        "answer": orjson.dumps(answer),
        "trace": b"trace",
        "candidate": candidate,
        "destination": candidate and candidate.destination,
        "reason": None if candidate else "no_eligible_offer",
        "lease_ms": LEASE_MS,
        "currency": "USD",
        "campaign": CAMPAIGN,
        **changes,
    }
    return Finish(call=call, **values)


def an_event(call: Call, kind: EventType, at_s: float = 0.0, **changes: Any) -> CallEvent:
    """A report, so many seconds after the call came in."""
    event_id = changes.pop("event_id", f"{call.call_id}-{kind.value}")
    values: dict[str, Any] = {
        "attempt": 1,
        "at": call.received_at + timedelta(seconds=at_s),
        "fingerprint": f"{event_id}{at_s}".encode(),
        **changes,
    }
    return CallEvent(call_id=call.call_id, event_id=event_id, type=kind, **values)


async def open_call(ledger: PostgresLedger, call: Call) -> Opened:
    """The claim of a call that nobody has claimed before."""
    opened = await ledger.open(an_opening(call))
    assert isinstance(opened, Opened)
    return opened


async def reserve(ledger: PostgresLedger, call: Call, *candidates: Candidate) -> int:
    """Open and reserve; the place that holds."""
    opened = await open_call(ledger, call)
    reserved = await ledger.reserve(a_request(call, *candidates, epoch=opened.epoch))
    assert isinstance(reserved, Reserved)
    return reserved.position


async def route(
    ledger: PostgresLedger, call: Call, candidate: Candidate | None = None, **changes: Any
) -> Candidate:
    """A whole decision for one candidate."""
    candidate = candidate or a_candidate()
    await reserve(ledger, call, candidate)
    finished = await ledger.finish(a_finish(call, candidate, **changes))
    assert finished == Finished()
    return candidate


async def usage_of(database: Database, owner: OwnerId = OFFER_OWNER) -> Usage:
    """An owner's stored usage."""
    return (await all_usage(database)).get(owner, Usage())


async def all_usage(database: Database) -> dict[OwnerId, Usage]:
    """Every owner's stored usage."""
    async with database.connection() as connection:
        rows = await connection.fetch("select owner, counters from usage_counters")
    return {row["owner"]: decode(row["counters"]) for row in rows}


async def assert_balanced(database: Database) -> dict[OwnerId, Usage]:
    """Every owner's counters are the sum of what reservations hold; returns them."""
    async with database.connection() as connection:
        rows = await connection.fetch("select terms, holding from reservations")
    usage = await all_usage(database)
    live: Counter[OwnerId] = Counter()
    used: Counter[tuple[OwnerId, Period, int, Measure]] = Counter()
    pending: Counter[tuple[OwnerId, Period, int, Measure]] = Counter()
    for row in rows:
        holding = load_holding(row["holding"])
        for owner, starts in HoldTerms.load(row["terms"]).owners:
            live[owner] += holding.live
            for period, measure in product(Period, Measure):
                used[owner, period, starts[period], measure] += holding.used[measure]
                pending[owner, period, starts[period], measure] += holding.pending[measure]
    for owner, counted in usage.items():
        assert counted.live == live.pop(owner, 0), owner
        for period in Period:
            kept = counted.periods[period]
            windows = (kept.current,) if period is Period.TOTAL else (kept.current, kept.previous)
            for window, measure in product(windows, Measure):
                key = (owner, period, window.start, measure)
                assert window.used[measure] == used[key], key
                assert window.pending[measure] == pending[key], key
    assert not +live
    return usage


def today(usage: Usage) -> tuple[Sequence[int], Sequence[int]]:
    """Used and pending of the current day."""
    window = usage.periods[Period.DAY].current
    return window.used, window.pending


async def rewind(database: Database, statement: str, call_ids: Iterable[CallId]) -> None:
    """Change stored times of calls, as if time had passed."""
    async with database.connection() as connection:
        await connection.execute(statement, list(call_ids))


LEASE_OVER = """
    update reservations set lease_until = now() - interval '1 second',
        sweep_at = case when sweep_at is not null then now() - interval '1 second' end
    where call_id = any($1)
"""
LOCK_OWNER = "select from usage_counters where owner = $1 for update"
LOCK_CALL = "select from calls where call_id = $1 for update"
CLAIM_OVER = "update calls set decide_by = now() - interval '1 minute' where call_id = any($1)"
