"""What subscribers are told: written with the fact, claimed once, settled, kept for a while."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from auction.domain.call_record import AttemptRecord
from auction.domain.ids import CallId
from auction.domain.plan import RoutedBy
from auction.domain.terms import WebhookEvent
from storage.database import Database
from storage.deliveries import LEASE_S, Deliveries, Delivery, Key, Plan, PutOff, Room, count_dead
from storage.outbox import SILENT
from storage.queries import query
from storage.records import CallRecords
from storage.snapshots import as_it_was, offers_of
from tests.builders import NOON
from tests.ledger_steps import VAULT
from tests.webhook_steps import (
    ACME,
    OWNER,
    a_fact,
    age,
    an_outbox,
    rows,
    states,
    store_attempt,
    store_call,
    store_conversion,
    subscriber,
    tell,
)

W: Key = (OWNER, "w")


class RefusedError(Exception):
    pass


@dataclass(frozen=True)
class Planned:
    """The same plan for every webhook."""

    room: int = 0
    every_s: float | None = None
    error: str = ""
    given_up_after_s: float | None = None

    def batches(self, due: Sequence[Key]) -> Sequence[Room]:
        return [] if self.every_s is None else self.plan(due).rooms

    def plan(self, due: Sequence[Key]) -> Plan:
        if not self.room:
            return Plan(put_off=[PutOff(key, self.error, self.given_up_after_s) for key in due])
        return Plan([Room(key, self.room, self.every_s) for key in due])


def room_for(room: int, every_s: float | None = None) -> Planned:
    return Planned(room, every_s)


def put_off(error: str, given_up_after_s: float | None = None) -> Planned:
    return Planned(error=error, given_up_after_s=given_up_after_s)


def calls(deliveries: Sequence[Delivery]) -> list[str]:
    return [each.call_id for each in deliveries]


async def test_every_subscriber_that_asks_for_the_event_gets_one_delivery(
    database: Database,
) -> None:
    outbox = an_outbox(
        subscriber(OWNER, "all"),
        subscriber(OWNER, "ends", WebhookEvent.CALL_ENDED),
        subscriber(ACME, "theirs"),
        subscriber("buyer:beacon", "others"),
    )
    await tell(database, "call-1", "call-2", outbox=outbox, data={"attempt": 1, "note": None})
    assert await rows(database, "call_id", "owner", "webhook", "event", "state") == [
        ("call-1", ACME, "theirs", "call.routed", "pending"),
        ("call-1", OWNER, "all", "call.routed", "pending"),
        ("call-2", ACME, "theirs", "call.routed", "pending"),
        ("call-2", OWNER, "all", "call.routed", "pending"),
    ]
    assert {orjson.loads(data)["attempt"] for (data,) in await rows(database, "data")} == {1}
    ids = await rows(database, "event_id")
    assert len(set(ids)) == 4


async def test_a_fact_without_a_buyer_is_no_business_of_any(database: Database) -> None:
    outbox = an_outbox(subscriber(), subscriber(ACME))
    await tell(database, "call-1", outbox=outbox, buyer=None)
    assert await rows(database, "owner") == [(OWNER,)]


async def test_nobody_is_told_where_nobody_asks(database: Database) -> None:
    await tell(database, "call-1", outbox=SILENT)
    assert await rows(database, "owner") == []


async def test_facts_and_their_deliveries_are_stored_together_or_not_at_all(
    database: Database,
) -> None:
    async def rolled_back() -> None:
        async with database.transaction() as connection:
            await store_call(connection)
            await an_outbox().write(connection, [a_fact()])
            raise RefusedError

    with pytest.raises(RefusedError):
        await rolled_back()
    assert await rows(database, "call_id") == []
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from calls") == 0


async def test_a_delivery_keeps_the_record_as_its_transaction_left_it(database: Database) -> None:
    async with database.transaction() as connection:
        await store_call(connection)
        await store_attempt(connection, attempt=2, offer="beacon-auto", buyer="beacon", price="40")
        await connection.execute(
            "update reservations set state = 'failed', reason = 'busy' where attempt = 1"
        )
        await connection.execute(
            "update calls set state = 'ended', attempt = 2, offer = 'beacon-auto',"
            " buyer = 'beacon', price = 40, answered_at = received_at, ended_at = received_at,"
            " total_duration_s = 95.4, connected_duration_s = 89.6, ended_by = 'caller'"
        )
        await store_conversion(connection, "buyer", "40", attempt=2)
        await store_conversion(connection, "source", "10.5", attempt=2)
        await an_outbox().write(connection, [a_fact()])
    async with database.connection() as connection:
        await connection.execute(
            "update calls set state = 'lost', ended_by = null, answered_at = null, price = 1"
        )
        await connection.execute("delete from conversions")
        await connection.execute("update reservations set state = 'x'")
    [delivery] = await Deliveries(database).claim(room_for(1))
    now = await CallRecords(database, VAULT).get_call(CallId("call-1"))
    assert now is not None
    record = as_it_was(now, delivery.facts)
    assert (record.state, record.ended_by, record.price) == ("ended", "caller", Decimal(40))
    assert (record.offer, record.buyer, record.routed_by) == (
        "beacon-auto",
        "beacon",
        RoutedBy.AUCTION,
    )
    assert record.answered_at == now.call.received_at == record.ended_at
    durations = (record.total_duration_s, record.connected_duration_s)
    assert durations == (Decimal("95.4"), Decimal("89.6"))
    assert (record.converted, record.conversion_trigger) == (True, "answered")
    assert (record.revenue, record.payout) == (Decimal(40), Decimal("10.5"))
    assert [(each.attempt, each.offer, each.outcome, each.reason) for each in record.attempts] == [
        (1, "acme-auto", "failed", "busy"),
        (2, "beacon-auto", "routed", None),
    ]
    assert isinstance(record.attempts[0], AttemptRecord)
    assert offers_of("acme", delivery.facts) == {"acme-auto"}
    assert offers_of("cobalt", delivery.facts) == frozenset()
    assert record.call == now.call


async def test_a_record_names_who_pays_and_a_withdrawn_conversion_is_none(
    database: Database,
) -> None:
    async with database.transaction() as connection:
        await store_call(connection)
        await store_attempt(connection, attempt=2, offer="beacon-auto", buyer="beacon")
        await connection.execute("update calls set offer = 'beacon-auto', buyer = 'beacon'")
        await store_conversion(connection, "buyer", "52", attempt=1)
        await an_outbox(subscriber(OWNER, "before")).write(connection, [a_fact()])
        await connection.execute("update conversions set withdrawn = true, amount = 0")
        await an_outbox(subscriber(OWNER, "later")).write(connection, [a_fact()])
    before, later = [orjson.loads(facts) for (facts,) in await rows(database, "facts")]
    assert (before["offer"], before["converted_by"], before["revenue"]) == (
        "acme-auto",
        "answered",
        "52.0000",
    )
    assert (later["offer"], later["converted_by"]) == ("beacon-auto", None)
    assert later["revenue"] is None


async def test_a_claimed_delivery_is_nobody_elses_until_its_lease_ends(database: Database) -> None:
    await tell(database, "call-1")
    mine, others = Deliveries(database), Deliveries(database)
    [first] = await mine.claim(room_for(10))
    assert await others.claim(room_for(10)) == []
    await age(database, LEASE_S + 1, "due_at")
    [again] = await others.claim(room_for(10))
    assert again.event_id == first.event_id
    assert (first.tries, again.tries) == (1, 2)


async def test_workers_that_claim_at_once_never_get_the_same(database: Database) -> None:
    await tell(database, *(f"call-{number}" for number in range(60)))
    claims = [Deliveries(database).claim(room_for(10)) for _ in range(8)]
    claimed = [each.event_id for some in await asyncio.gather(*claims) for each in some]
    assert len(claimed) == len(set(claimed))
    assert 10 <= len(claimed) <= 60


async def test_who_comes_too_late_can_not_undo_what_another_settled(database: Database) -> None:
    await tell(database, "call-1")
    deliveries = Deliveries(database)
    first = await deliveries.claim(room_for(1))
    await age(database, LEASE_S + 1, "due_at")
    second = await deliveries.claim(room_for(1))
    assert await deliveries.failed(first, "late", 1.0) == []
    assert await rows(database, "last_error") == [(None,)]
    await deliveries.delivered(second)
    await deliveries.failed(second, "late", 1.0)
    assert await states(database) == ["delivered"]


async def test_a_failed_delivery_is_due_again_after_its_pause(database: Database) -> None:
    await tell(database, "call-1")
    deliveries = Deliveries(database)
    assert await deliveries.failed(await deliveries.claim(room_for(1)), "HTTP 503", 30.0) == []
    assert await rows(database, "state", "tries", "last_error") == [("pending", 1, "HTTP 503")]
    assert await deliveries.claim(room_for(1)) == []
    await age(database, 31, "due_at")
    [again] = await deliveries.claim(room_for(1))
    assert again.tries == 2


async def test_a_delivery_is_tried_once_more_when_its_day_is_over_and_then_dead(
    database: Database,
) -> None:
    await tell(database, "call-1")
    deliveries = Deliveries(database)
    await age(database, 86_400 - 60)
    claimed = await deliveries.claim(room_for(1))
    assert await deliveries.failed(claimed, "HTTP 503", 3600.0) == []
    assert await states(database) == ["pending"]
    await age(database, 61)
    claimed = await deliveries.claim(room_for(1))
    assert await deliveries.failed(claimed, "HTTP 500", 3600.0) == [claimed[0].event_id]
    assert await rows(database, "state", "tries", "last_error") == [("dead", 2, "HTTP 500")]


async def test_each_webhook_has_room_of_its_own_and_the_oldest_go_first(
    database: Database,
) -> None:
    await tell(database, "call-1", "call-2", "call-3", outbox=an_outbox(subscriber(OWNER, "a")))
    await tell(database, "call-4", outbox=an_outbox(subscriber(OWNER, "b")))
    async with database.connection() as connection:
        await connection.execute(
            "update webhook_deliveries set due_at = now() - interval '1 s' where call_id = 'call-3'"
        )
    claimed = await Deliveries(database).claim(room_for(2))
    assert len(claimed) == 3
    assert [each.webhook for each in claimed] == ["a", "a", "b"]
    assert "call-3" in calls(claimed)


async def test_a_batch_is_ripe_when_it_is_full(database: Database) -> None:
    deliveries = Deliveries(database)
    await tell(database, "call-1", "call-2")
    assert await deliveries.claim(room_for(3, every_s=60)) == []
    assert await rows(database, "tries") == [(0,), (0,)]
    await tell(database, "call-3", "call-4")
    assert len(await deliveries.claim(room_for(3, every_s=60))) == 3
    assert await deliveries.claim(room_for(3, every_s=60)) == []


async def test_a_batch_that_others_have_begun_to_take_is_not_ripe_any_more(
    database: Database,
) -> None:
    await tell(database, "call-1", "call-2", "call-3")
    async with database.transaction() as others:
        await others.execute(
            "select * from webhook_deliveries where call_id <> 'call-2' for update"
        )
        assert await Deliveries(database).claim(room_for(2, every_s=60)) == []
    assert len(await Deliveries(database).claim(room_for(2, every_s=60))) == 2


async def test_a_batch_is_ripe_when_the_oldest_has_waited_long_enough(database: Database) -> None:
    deliveries = Deliveries(database)
    await tell(database, "call-1")
    await age(database, 61)
    await tell(database, "call-2")
    assert calls(await deliveries.claim(room_for(100, every_s=60))) == ["call-1", "call-2"]


async def test_what_can_not_be_sent_waits_and_is_dead_after_its_day(database: Database) -> None:
    await tell(database, "call-1")
    deliveries = Deliveries(database)
    assert await deliveries.claim(put_off("no secret")) == []
    assert await rows(database, "state", "tries", "last_error") == [("pending", 0, "no secret")]
    await age(database, 86_401)
    await deliveries.claim(put_off("no secret"))
    assert await states(database) == ["dead"]


async def test_events_of_a_webhook_that_is_gone_are_dead_once_they_are_old_enough(
    database: Database,
) -> None:
    await tell(database, "call-1")
    deliveries = Deliveries(database)
    await deliveries.claim(put_off("gone", 300))
    assert await states(database) == ["pending"]
    await age(database, 301)
    await deliveries.claim(put_off("gone", 300))
    assert await rows(database, "state", "last_error") == [("dead", "gone")]


async def test_dead_letters_are_counted_and_listed_newest_first_page_by_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = Deliveries(database)
    for number in range(5):
        await tell(database, f"call-{number}")
        await age(database, 86_401)
        await deliveries.failed(await deliveries.claim(room_for(1)), "HTTP 500", 1.0)
    first = await deliveries.dead_letters(3)
    assert [each.call_id for each in first] == ["call-4", "call-3", "call-2"]
    assert (first[0].last_error, first[0].tries, first[0].owner) == ("HTTP 500", 1, OWNER)
    rest = await deliveries.dead_letters(3, (first[-1].died_at, first[-1].event_id))
    assert [each.call_id for each in rest] == ["call-1", "call-0"]
    await tell(database, "alive")
    assert await count_dead(database) == 5
    monkeypatch.setattr("storage.deliveries.MOST_COUNTED", 3)
    assert await count_dead(database) == 3


async def test_a_dead_letter_is_sent_again_for_another_day_and_nothing_else_is(
    database: Database,
) -> None:
    await tell(database, "call-1")
    deliveries = Deliveries(database)
    [(event_id,)] = await rows(database, "event_id")
    assert not await deliveries.resend(event_id), "it is not dead"
    await age(database, 86_401)
    await deliveries.failed(await deliveries.claim(room_for(1)), "HTTP 500", 1.0)
    assert await deliveries.resend(event_id)
    assert not await deliveries.resend(event_id)
    assert not await deliveries.resend("0" * 32)
    [again] = await deliveries.claim(room_for(1))
    assert (again.event_id, again.tries) == (event_id, 1)
    assert await deliveries.failed([again], "HTTP 500", 1.0) == []


async def test_what_was_settled_long_ago_is_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.deliveries.PURGED_AT_ONCE", 2)
    deliveries = Deliveries(database)
    await tell(database, *(f"call-{number}" for number in range(5)))
    await deliveries.delivered(await deliveries.claim(room_for(10)))
    await tell(database, "dead")
    await age(database, 86_401, "give_up_at")
    await deliveries.failed(await deliveries.claim(room_for(10)), "HTTP 500", 1.0)
    await tell(database, "new")
    await age(database, 6 * 86_400)
    assert await deliveries.purge() == 0
    await age(database, 2 * 86_400)
    assert await deliveries.purge() == 5
    assert sorted(await states(database)) == ["dead", "pending"]
    await age(database, 30 * 86_400)
    assert await deliveries.purge() == 1
    assert await states(database) == ["pending"]


PLANNED: dict[str, Sequence[Any]] = {
    "write_deliveries": (["e"], ["o"], ["w"], ["call.ended"], ["c"], [NOON], ["{}"]),
    "due_webhooks": (),
    "ripe_webhooks": (["o"], ["w"], [4], [1.0]),
    "claim_deliveries": (["o"], ["w"], [4], [None], 60.0),
    "put_off_deliveries": (["o"], ["w"], ["e"], [None], 200, 30.0),
    "settle_failed": (["e"], [1], [1.0], "x"),
    "dead_letters": (100, None, None),
    "count_dead_letters": (100,),
}


@pytest.mark.parametrize("name", PLANNED)
async def test_the_outbox_is_read_by_its_indexes(database: Database, name: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(query("plan_by_keys"))
        plan = await connection.fetch("explain " + query(name), *PLANNED[name])
    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan" not in text, text


async def test_a_delivery_shows_the_times_of_the_attempt_that_was_sold(database: Database) -> None:
    async with database.transaction() as connection:
        await store_call(connection)
        await store_attempt(connection, attempt=2, offer="beacon-auto", buyer="beacon", price="40")
        await connection.execute(
            "update reservations set reason = 'busy', answered_at = '2026-11-20 12:00Z',"
            " ended_at = '2026-11-20 12:01Z', connected_duration_s = 60 where attempt = 1"
        )
        await connection.execute(
            "update calls set state = 'ended', attempt = 2, answered_at = received_at,"
            " ended_at = received_at, total_duration_s = 95.4, connected_duration_s = 89.6"
        )
        await store_conversion(connection, "buyer", "40", attempt=1)
        await an_outbox().write(connection, [a_fact()])
    [delivery] = await Deliveries(database).claim(room_for(1))
    now = await CallRecords(database, VAULT).get_call(CallId("call-1"))
    assert now is not None
    record = as_it_was(now, delivery.facts)
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (record.answered_at, record.ended_at) == (at, at + timedelta(minutes=1))
    durations = (record.connected_duration_s, record.total_duration_s)
    assert durations == (Decimal(60), Decimal("95.4"))
    assert record.attempts[0].outcome == "failed"
