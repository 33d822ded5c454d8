"""Everything that a call meets in its life, in one process on a real database, without HTTP."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from auction.domain.call import Call
from auction.domain.ids import CallId
from auction.domain.next_attempt import FailReason, NextRequest
from auction.domain.opening import OtherContent
from auction.domain.postbacks import NamedBy, Postback, PostbackResult, ReportStatus
from auction.domain.returns import Claim, ClaimKind
from auction.domain.switch_events import CallEvent, EventResult, EventType
from auction.domain.terms import (
    Catalogue,
    ConversionRule,
    PayoutRule,
    Subscriber,
    Trigger,
    WebhookEvent,
)
from auction.engine.reception import Reception
from auction.engine.rerouting import Refused, Rerouter
from auction.engine.world import Ports
from auction.ports import Snapshot
from storage.claims import Claims
from storage.database import Database
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.outbox import Outbox
from storage.postbacks import Postbacks
from storage.records import CallRecords
from storage.sweeper import Sweeper
from storage.switch_calls import SwitchCalls
from storage.usage_view import PostgresUsageView
from tests.builders import CAMPAIGN, a_call, a_campaign, a_catalogue, an_offer, ping_post
from tests.ledger_steps import VAULT, from_number
from tests.unit.engine.harness import CountingIds, CountingRecorder, ScriptedGateway

ALL_EVENTS = Subscriber(f"campaign:{CAMPAIGN}", "all", frozenset(WebhookEvent))
TIMER = ConversionRule(Trigger.TIMER, 90)
ATTEMPT = ConversionRule(Trigger.ATTEMPT, amount=Decimal("7.00"))
POSTBACK = ConversionRule(Trigger.POSTBACK)
PAYOUTS = (
    PayoutRule(None, Trigger.TIMER, 90, percent=Decimal("33.33")),
    PayoutRule(None, Trigger.ANSWERED, amount=Decimal("3.0000")),
)

TABLES = (
    "calls, reservations, usage_counters, plans, traces, events, conversions, conversion_entries, "
    "next_steps, postbacks, webhook_deliveries, caps_reached, report_deltas, report_figures, "
    "report_whole_days, report_rosters, call_claims"
)


async def empty_tables(database: Database) -> None:
    """Forget every call."""
    async with database.connection() as connection:
        await connection.execute(f"truncate {TABLES}")


class SystemClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class FreshIds(CountingIds):
    """Identifiers that no other process gives."""

    def token(self) -> str:
        return f"{time.monotonic_ns():x}-{super().token()}"


@dataclass(slots=True)
class World:
    """One process's share of the work: throw it away and make another, as a restart does."""

    database: Database
    catalogue: Catalogue
    gateway: ScriptedGateway = field(default_factory=ScriptedGateway)
    reception: Reception = field(init=False)
    rerouter: Rerouter = field(init=False)
    events: CallEvents = field(init=False)
    postbacks: Postbacks = field(init=False)
    switches: SwitchCalls = field(init=False)
    sweeper: Sweeper = field(init=False)
    records: CallRecords = field(init=False)
    claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        database, outbox = self.database, Outbox(self.catalogue.subscribers)
        usage = PostgresUsageView(database, time.monotonic)
        ledger = PostgresLedger(
            database, VAULT, on_usage=usage.note, known_usage=usage.read, outbox=outbox
        )
        ports = Ports(ledger, usage, SystemClock(), FreshIds(), CountingRecorder())
        self.reception = Reception(self, ports)
        self.rerouter = Rerouter(self, ports, ledger)
        self.events = CallEvents(database, usage.note, outbox=outbox)
        self.postbacks = Postbacks(database, usage.note, outbox=outbox)
        self.switches = SwitchCalls(database, usage.note, outbox=outbox)
        self.sweeper = Sweeper(database, usage.note, outbox=outbox)
        self.records = CallRecords(database, VAULT)
        self.claims = Claims(database, self.records)

    def current(self) -> Snapshot:
        return Snapshot(self.catalogue, self.gateway)

    async def decide(self, call: Call) -> dict[str, Any]:
        answer = await self.reception.decide(call, call.call_id.encode())
        assert not isinstance(answer, OtherContent)
        decision: dict[str, Any] = orjson.loads(answer)
        return decision

    async def fail(
        self, call_id: CallId, attempt: int, reason: FailReason = FailReason.BUSY
    ) -> dict[str, Any] | Refused:
        request = NextRequest(call_id, attempt, reason, f"{call_id}/{attempt}".encode(), 0)
        answer = await self.rerouter.decide(request, 2000)
        if not isinstance(answer, bytes):
            return answer
        decision: dict[str, Any] = orjson.loads(answer)
        return decision

    async def report(
        self,
        call: Call,
        kind: EventType,
        at_s: float,
        *,
        event_id: str,
        attempt: int | None = None,
        connected_s: Decimal | None = None,
    ) -> EventResult:
        return await self.events.record(
            CallEvent(
                call.call_id,
                event_id,
                kind,
                attempt,
                call.received_at + timedelta(seconds=at_s),
                f"{event_id}{kind}{at_s}{attempt}{connected_s}".encode(),
                connected_duration_s=connected_s,
            )
        )

    async def post_back(
        self,
        call_id: CallId,
        event_id: str,
        *,
        amount: Decimal | None = None,
        status: ReportStatus = ReportStatus.CONVERTED,
    ) -> PostbackResult:
        fingerprint = f"{event_id}{amount}{status}".encode()
        return await self.postbacks.report(
            Postback(NamedBy.CALL_ID, call_id, None, status, fingerprint, event_id, amount)
        )

    async def give_back(
        self, call_id: CallId, event_id: str, *, claws_back: bool
    ) -> PostbackResult:
        """As the buyer returns a call that its terms let it return."""
        claim = Claim(ClaimKind.RETURN, "wrong_number", claws_back=claws_back)
        status, fingerprint = ReportStatus.WITHDRAWN, f"{event_id}{claws_back}".encode()
        return await self.postbacks.report(
            Postback(NamedBy.CALL_ID, call_id, None, status, fingerprint, event_id, claim=claim)
        )

    async def complain(self, call_id: CallId, event_id: str, reason: str) -> bool | None:
        """As the buyer complains; None also where nothing was sold to it."""
        record = await self.records.get_call(call_id)
        if record is None or record.buyer is None:
            return None
        claim = Claim(ClaimKind.COMPLAINT, reason)
        return await self.claims.complain(record, event_id, claim, reason.encode())


def a_live_call(call_id: str, *, caller: int = 1, **changes: Any) -> Call:
    """A call that comes in now, from a switch."""
    values: dict[str, Any] = {
        "received_at": datetime.now(UTC),
        "caller": from_number(caller),
        "switch": "switch-1",
        **changes,
    }
    return a_call(call_id, **values)


def a_busy_catalogue(**limits: Any) -> Catalogue:
    """Offers of every kind of conversion: an auction, then static places, all with limits."""
    idempotent = ping_post(post_idempotent=True, ping_timeout_ms=1500, post_timeout_ms=1500)
    campaign = a_campaign(
        an_offer("auction", buyer="acme", ping_post=idempotent, conversions=(TIMER,), **limits),
        _static("postback", 2, POSTBACK, **limits),
        _static("plain", 3, ConversionRule(Trigger.ANSWERED), **limits),
        _static("attempt", 4, ATTEMPT, **limits),
        payouts=PAYOUTS,
        subscribers=(ALL_EVENTS,),
    )
    return a_catalogue(campaign)


def _static(name: str, priority: int, rule: ConversionRule, **limits: Any) -> Any:
    return an_offer(
        name,
        buyer=f"{name}-buyer",
        ping_post=None,
        static_price=Decimal("20.00"),
        priority=priority,
        conversions=(rule,),
        **limits,
    )


async def assert_returns_add_up(database: Database) -> None:
    """Each return tells what its entries took off either side, and none takes without telling."""
    async with database.connection() as connection:
        wrong = await connection.fetch(_RETURNS_THAT_DIFFER)
    assert wrong == [], wrong


_RETURNS_THAT_DIFFER = """
    select call_id, event_id, k.credited, e.credited, k.withheld, e.withheld
    from (select * from call_claims where kind = 'return') as k
    full join (
        select
            call_id, event_id,
            -coalesce(sum(change) filter (where side = 'buyer'), 0) as credited,
            -coalesce(sum(change) filter (where side = 'source'), 0) as withheld
        from conversion_entries where event_id like 'return-%' group by call_id, event_id
    ) as e using (call_id, event_id)
    where k.call_id is null
        or k.credited <> coalesce(e.credited, 0) or k.withheld <> coalesce(e.withheld, 0)
        or k.credited < 0 or k.withheld < 0
"""


async def assert_money_adds_up(database: Database) -> dict[str, Decimal]:
    """Both sides of every call are the sum of its entries, once each; their totals."""
    async with database.connection() as connection:
        wrong = await connection.fetch(_MONEY_THAT_DIFFERS)
        totals = await connection.fetch(_TOTALS)
        shown = await connection.fetchrow(_SHOWN)
    assert wrong == [], wrong
    found = {row["side"]: row["total"] for row in totals}
    assert shown is not None
    assert (shown["revenue"], shown["payout"]) == (
        found.get("buyer", Decimal(0)),
        found.get("source", Decimal(0)),
    )
    return found


_MONEY_THAT_DIFFERS = """
    select call_id, side, c.amount, e.total, e.booked
    from conversions as c
    full join (
        select
            call_id, side, sum(change) as total,
            count(*) filter (where kind = 'booked') as booked
        from conversion_entries group by call_id, side
    ) as e using (call_id, side)
    where c.amount is distinct from e.total or e.booked <> 1 or (c.withdrawn and c.amount <> 0)
"""
_TOTALS = "select side, sum(change) as total from conversion_entries group by side"
_SHOWN = """
    select
        coalesce(sum(c.amount) filter (where side = 'buyer'), 0) as revenue,
        coalesce(sum(c.amount) filter (where side = 'source'), 0) as payout
    from calls join conversions as c using (call_id)
"""
