"""Calls that buyers give back: credited once, and taken from the source where agreed."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from auction.domain.ids import BuyerId
from auction.domain.postbacks import (
    NamedBy,
    Postback,
    Refused,
    Reported,
    ReportResult,
    ReportStatus,
)
from auction.domain.returns import Claim, ClaimKind
from auction.domain.switch_events import EventType
from auction.domain.terms import PayoutRule, Trigger
from storage.claims import Claims
from storage.database import Database
from storage.erasing import Erase, erase
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.postbacks import Postbacks
from storage.records import CallRecords
from tests.ledger_steps import (
    VAULT,
    a_candidate,
    a_ledger,
    a_recent_call,
    an_event,
    assert_balanced,
    route,
)
from tests.money_steps import entries
from tests.postgres.test_postbacks import money

FIXED = PayoutRule(None, Trigger.ANSWERED, amount=Decimal(11))
PERCENT = PayoutRule(None, Trigger.ANSWERED, percent=Decimal(50))
SOLD = a_candidate(payouts=(FIXED,))


@pytest_asyncio.fixture
async def ledger(database: Database) -> PostgresLedger:
    return a_ledger(database)


@pytest_asyncio.fixture
async def events(database: Database) -> CallEvents:
    return CallEvents(database, lambda _: None)


def a_return(*, claws_back: bool = False, **changes: Any) -> Postback:
    """Acme gives the one call there is back."""
    values: dict[str, Any] = {
        "named_by": NamedBy.CALL_ID,
        "name": "call-1",
        "buyer": BuyerId("acme"),
        "status": ReportStatus.WITHDRAWN,
        "fingerprint": b"a return",
        "event_id": "return",
        "note": "returned: duplicate",
        "claim": Claim(ClaimKind.RETURN, "duplicate", "had it before", claws_back),
        **changes,
    }
    return Postback(**values)


async def claims(database: Database) -> list[tuple[object, ...]]:
    """The claims that are kept."""
    async with database.connection() as connection:
        rows = await connection.fetch("select * from call_claims order by kind, event_id")
    names = ("kind", "event_id", "reason", "note", "offer", "credited", "withheld")
    return [tuple(row[name] for name in names) for row in rows]


async def result_of(database: Database, postback: Postback) -> ReportResult | Refused:
    reported = await Postbacks(database).report(postback)
    return reported.result if isinstance(reported, Reported) else reported


@pytest.mark.parametrize(
    ("payout", "claws_back", "left", "withheld"),
    [(FIXED, False, 11, 0), (FIXED, True, 0, 11), (PERCENT, False, 0, 26), (PERCENT, True, 0, 26)],
)
async def test_a_return_credits_the_buyer_once_and_the_source_as_agreed(
    database: Database,
    ledger: PostgresLedger,
    events: CallEvents,
    payout: PayoutRule,
    claws_back: bool,
    left: int,
    withheld: int,
) -> None:
    call = a_recent_call()
    await route(ledger, call, a_candidate(payouts=(payout,)))
    await events.record(an_event(call, EventType.ANSWERED, 8))
    for expected in (ReportResult.WITHDRAWN, ReportResult.REPEATED):
        assert await result_of(database, a_return(claws_back=claws_back)) is expected

    assert await money(database) == {"buyer": (1, Decimal(0)), "source": (1, Decimal(left))}
    kept = ("return", "return", "duplicate", "had it before", "acme-auto", Decimal(52), withheld)
    assert await claims(database) == [kept]
    ended = an_event(call, EventType.ENDED, 99, connected_duration_s=Decimal(90))
    await events.record(ended)
    assert await money(database) == {"buyer": (1, Decimal(0)), "source": (1, Decimal(left))}
    total = sum(change for _, _, change, _ in await entries(database))
    assert total == left
    await assert_balanced(database)


async def test_another_return_of_the_same_event_is_refused(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, SOLD)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    await result_of(database, a_return())
    other = a_return(fingerprint=b"another")
    assert await result_of(database, other) is Refused.OTHER_CONTENT
    assert len(await claims(database)) == 1


async def test_what_has_not_converted_or_was_withdrawn_can_not_be_given_back(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, SOLD)
    assert await result_of(database, a_return()) is Refused.NOTHING_SOLD
    await events.record(an_event(call, EventType.ANSWERED, 8))
    assert await result_of(database, a_return()) is ReportResult.WITHDRAWN
    again = a_return(event_id="again", fingerprint=b"again")
    assert await result_of(database, again) is Refused.NOTHING_SOLD
    assert await result_of(database, a_return(buyer=BuyerId("beacon"))) is Refused.UNKNOWN_CALL
    assert len(await claims(database)) == 1


async def test_a_test_call_is_not_given_back(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call(test=True)
    await route(ledger, call, SOLD)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    assert await result_of(database, a_return()) is Refused.NOTHING_SOLD


async def test_a_call_that_was_given_back_can_be_converted_again_by_its_buyer(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, SOLD)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    await result_of(database, a_return(claws_back=True))
    restored = a_return(
        claim=None, status=ReportStatus.CONVERTED, event_id="e-2", fingerprint=b"again"
    )
    assert await result_of(database, restored) is ReportResult.AMENDED
    assert await money(database) == {"buyer": (1, Decimal(52)), "source": (1, Decimal(11))}
    await assert_balanced(database)


async def test_a_complaint_is_kept_once_and_moves_no_money(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, SOLD)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    before = await money(database)
    record = await CallRecords(database, VAULT).get_call(call.call_id)
    assert record is not None
    kept, complaint = Claims(database, database), Claim(ClaimKind.COMPLAINT, "rude caller")
    results = [
        await kept.complain(record, event_id, complaint, fingerprint)
        for event_id, fingerprint in (("e-1", b"1"), ("e-1", b"1"), ("e-1", b"2"), ("e-2", b"1"))
    ]
    assert results == [True, False, None, True]
    assert await money(database) == before
    listed = await kept.of_call(call.call_id, ClaimKind.COMPLAINT, None)
    assert [(each.event_id, each.reason, each.note) for each in listed] == [
        ("e-1", "rude caller", None),
        ("e-2", "rude caller", None),
    ]
    assert await kept.of_call(call.call_id, ClaimKind.COMPLAINT, "beacon") == []
    assert await kept.of_call(call.call_id, ClaimKind.RETURN, None) == []


async def test_rates_count_the_calls_that_came_in_in_the_period(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, SOLD)
    await events.record(an_event(call, EventType.ANSWERED, 8))
    await result_of(database, a_return(claws_back=True))
    since, until = (call.received_at + timedelta(hours=hours) for hours in (-1, 1))
    for by, name in (("offer", "acme-auto"), ("source", call.source)):
        [rates] = await Claims(database, database).rates(since, until, by)
        assert (rates.name, rates.returned, rates.complaints) == (name, 1, 0)
        assert rates.converted == 1
        assert (rates.credited, rates.withheld) == (Decimal(52), Decimal(11))
    assert await Claims(database, database).rates(until, until + timedelta(hours=1), "offer") == []


async def test_erasing_a_call_takes_a_buyers_words_and_forgetting_it_takes_the_claim(
    database: Database, ledger: PostgresLedger, events: CallEvents
) -> None:
    call = a_recent_call()
    await route(ledger, call, SOLD)
    for kind in (EventType.ANSWERED, EventType.ENDED):
        await events.record(an_event(call, kind, 8, event_id=kind.value))
    await result_of(database, a_return())
    async with database.transaction() as connection:
        # As if it were over for a while and all of it in the reports.
        await connection.execute("update calls set ended_at = now() - interval '2 minutes'")
        await connection.execute("delete from report_deltas")
        erased = await erase(connection, Erase.PII, [call.call_id])
    assert (erased.in_use, erased.rows["call_claims"]) == ([], 1)
    [kept] = await claims(database)
    assert kept[2:4] == ("erased", None)
    async with database.transaction() as connection:
        forgotten = await erase(connection, Erase.CALLS, [call.call_id])
    assert forgotten.rows["call_claims"] == 1
    assert await claims(database) == []
