"""Alerts on a real server: one looks at a time, nothing is done twice, offers are given back."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from auction.alerts.figures import read_window
from auction.alerts.rules import RulesInForce, compile_rules
from auction.alerts.watch import AlertWatch
from auction.alerts.windows import Window
from auction.domain.alert_terms import Subject, SubjectKind
from auction.domain.alerting import AlertPhase, AlertState, Resolution
from auction.domain.log_bins import bin_of
from auction.domain.report_figures import Figures
from auction.domain.report_question import floor_to
from buyers.terms import build_catalogue
from config.check import check
from config.marketplace import read_marketplace
from storage.alert_book import AlertBook, count_active
from storage.alert_pausing import ORIGIN, switch_offers
from storage.alerts import AlertChanges, AlertNews, Fired, HeldState, alert_turn
from storage.catalogue import latest, load, save
from storage.catalogue_items import join, split
from storage.database import Database
from storage.queries import query
from storage.report_rows import RowKey, figure_columns

KEY = ("slow", "offer:acme-auto")
RULE = {
    "id": "slow",
    "offer": "acme-auto",
    "measure": "timeout_rate",
    "above": "0.10",
    "over_minutes": 5,
    "auto_pause": {"resume_after_minutes": 30},
    "webhook": {"url": "https://ops.example/in"},
}
MARKETPLACE: dict[str, Any] = {
    "campaigns": [{"id": "auto", "name": "Auto"}],
    "buyers": [
        {
            "id": "acme",
            "offers": [
                {
                    "id": "acme-auto",
                    "campaign": "auto",
                    "destination": {"uri": "sip:a@acme.example"},
                    "ping_post": {"ping": {"url": "https://acme.example/"}},
                }
            ],
        }
    ],
    "alerts": [RULE],
}
DELIVERIES = "select owner, webhook, event, data from webhook_deliveries order by created_at"


async def store(database: Database, data: Mapping[str, object] = MARKETPLACE) -> int:
    checked, _ = check(data, {}).usable()
    return await save(database, split(checked), origin="file")


async def offer_of(database: Database) -> Mapping[str, Any]:
    found: Any = join((await load(database)).items)
    offer: Mapping[str, Any] = found["buyers"][0]["offers"][0]
    return offer


async def rules_of(database: Database) -> RulesInForce:
    stored = await load(database)
    marketplace = read_marketplace(join(stored.items))
    catalogue = build_catalogue(marketplace, stored.revision)
    return RulesInForce(catalogue, compile_rules(marketplace.alerts))


async def a_watch(database: Database, every_s: float = 0.0) -> AlertWatch:
    rules = await rules_of(database)
    return AlertWatch(database, lambda: rules, every_s=every_s)


async def store_figures(database: Database, minutes_ago: float, figures: Figures) -> None:
    """What happened to acme's pings and calls then."""
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    rows = {
        RowKey(grain, floor_to(at, width), "auto", "acme-auto", "acme", "", "buyer"): figures
        for grain, width in (("minute", timedelta(minutes=1)), ("quarter", timedelta(minutes=15)))
    }
    async with database.connection() as connection:
        await connection.execute(query("add_figures"), *figure_columns(rows))


async def fetch(database: Database, statement: str, *values: object) -> list[asyncpg.Record]:
    async with database.connection() as connection:
        rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
    return rows


def firing(alert_id: str = "a" * 32, *, pauses: bool = True, minutes: int = 0) -> AlertChanges:
    now = datetime.now(UTC) - timedelta(minutes=minutes)
    fired = Fired(alert_id, KEY, "Slow", "timeout_rate", 0.5, 0.1, now, pauses)
    state = HeldState(AlertState(AlertPhase.FIRING, since=now), alert_id)
    news = AlertNews("alert:slow", "alert", "alert.fired", {"rule": "slow"})
    return AlertChanges(states={KEY: state}, fired=[fired], news=[news])


async def write(database: Database, changes: AlertChanges) -> None:
    async with alert_turn(database, 0.0) as turn:
        assert turn is not None
        await turn.save(changes)


async def test_one_looks_at_a_time_and_not_again_before_its_time(database: Database) -> None:
    async with alert_turn(database, 60.0) as mine:
        assert mine is not None
        async with alert_turn(database, 0.0) as theirs:
            assert theirs is None
        await mine.save(AlertChanges())
    async with alert_turn(database, 60.0) as soon, alert_turn(database, 0.0) as due:
        assert soon is None
        assert due is not None


async def test_what_a_look_that_dies_has_seen_was_never_seen(database: Database) -> None:
    async def killed() -> None:
        async with alert_turn(database, 0.0) as turn:
            assert turn is not None
            await turn.save(firing())
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await killed()
    assert await AlertBook(database).active() == []
    assert await fetch(database, DELIVERIES) == []
    async with alert_turn(database, 60.0) as again:
        assert again is not None
        assert await again.states() == {}


async def test_states_are_read_as_they_were_written_and_forgotten_when_quiet(
    database: Database,
) -> None:
    at = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    state = AlertState(AlertPhase.ACKNOWLEDGED, at, at, True, at, at)
    await write(database, AlertChanges(states={KEY: HeldState(state, "b" * 32)}))
    async with alert_turn(database, 0.0) as turn:
        assert turn is not None
        assert await turn.states() == {KEY: HeldState(state, "b" * 32)}
        await turn.save(AlertChanges(states={KEY: HeldState()}))
    assert await fetch(database, "select from alert_states") == []


async def test_a_bad_minute_fires_pauses_the_offer_and_tells_the_webhook(
    database: Database,
) -> None:
    await store(database)
    before = await offer_of(database)
    await store_figures(database, 2, Figures(pinged=100, timeouts=50))
    assert await (await a_watch(database)).look()
    [alert] = await AlertBook(database).active()
    assert (alert.rule, alert.subject, alert.reading, alert.phase) == (*KEY, 0.5, "firing")
    assert alert.pause == "paused"
    assert await offer_of(database) == {**before, "enabled": False}
    newest = await latest(database)
    assert newest is not None
    assert (newest.revision, newest.origin, newest.actor) == (2, ORIGIN, ORIGIN)
    assert newest.note == f"alert {alert.alert_id}"
    [told] = await fetch(database, DELIVERIES)
    assert (told["owner"], told["webhook"], told["event"]) == (
        "alert:slow",
        "alert",
        "alert.fired",
    )
    assert await count_active(database) == {"slow": 1}


FEW_ACCEPTED = Figures(posts_accepted=5, posts_rejected=15)
ALL_ACCEPTED = Figures(posts_accepted=20)
HALF_BIDS = Figures(pinged=100, bids=50)
NO_BIDS = Figures(pinged=100)
SLOW = Figures(pinged=20, ping_times={bin_of(400_000): 20})
QUICK = Figures(pinged=20, ping_times={bin_of(100_000): 20})
UNANSWERED = Figures(auction_wins=2, static_wins=2, answered=1)
ACCEPTS_LESS = {"measure": "accept_rate", "below": "0.7", "past_minutes": 1440}
SLOWS_DOWN = {"measure": "ping_p95_ms", "above": "1.5", "past_minutes": 300}
NO_CALLS = {"measure": "calls", "below": 1, "over_minutes": 30}
UNANSWERED_CALLS = {"measure": "unanswered_calls", "over_minutes": 60}


@pytest.mark.parametrize(
    ("keys", "happened", "reading"),
    [
        ({"measure": "bid_rate", "below": "0.05"}, [(2, NO_BIDS)], 0.0),
        ({"measure": "bid_rate", "below": "0.05"}, [(2, HALF_BIDS)], None),
        (ACCEPTS_LESS, [(2, FEW_ACCEPTED), (700, ALL_ACCEPTED)], 0.25),
        (ACCEPTS_LESS, [(2, ALL_ACCEPTED), (700, ALL_ACCEPTED)], None),
        (ACCEPTS_LESS, [(2, FEW_ACCEPTED)], None),
        (SLOWS_DOWN, [(2, SLOW), (60, QUICK)], 4.0),
        (SLOWS_DOWN, [(2, QUICK), (60, SLOW)], None),
        (NO_CALLS, [(40, UNANSWERED)], 0.0),
        (NO_CALLS, [(20, UNANSWERED)], None),
        ({"measure": "unanswered_calls", "at_least": 3, "over_minutes": 60}, [(9, UNANSWERED)], 3),
        (
            {"measure": "unanswered_calls", "at_least": 4, "over_minutes": 60},
            [(9, UNANSWERED)],
            None,
        ),
    ],
)
async def test_what_operators_want_to_be_told_of_fires_and_nothing_else(
    database: Database,
    keys: dict[str, object],
    happened: list[tuple[int, Figures]],
    reading: float | None,
) -> None:
    await store(database, {**MARKETPLACE, "alerts": [{"id": "r", "offer": "acme-auto", **keys}]})
    for minutes_ago, figures in happened:
        await store_figures(database, minutes_ago, figures)
    await (await a_watch(database)).look()
    found = [alert.reading for alert in await AlertBook(database).active()]
    assert found == ([] if reading is None else [pytest.approx(reading, rel=0.02)])


async def test_a_paused_offer_is_resumed_exactly_as_it_was_and_judged_anew(
    database: Database,
) -> None:
    await store(database)
    before = await offer_of(database)
    await store_figures(database, 2, Figures(pinged=100, timeouts=50))
    await (await a_watch(database)).look()
    await fetch(database, "update alert_states set paused_at = now() - interval '31 minutes'")
    await (await a_watch(database)).look()
    assert await offer_of(database) == before
    [alert] = await AlertBook(database).history(10)
    assert (alert.resolution, alert.pause, alert.phase) == ("pause_over", "resumed", "resolved")
    await (await a_watch(database)).look()
    assert await AlertBook(database).active() == []


@pytest.mark.parametrize(
    ("kind", "name", "calls"),
    [
        (SubjectKind.MARKETPLACE, "", 9),
        (SubjectKind.CAMPAIGN, "auto", 9),
        (SubjectKind.BUYER, "acme", 4),
        (SubjectKind.OFFER, "acme-auto", 4),
        (SubjectKind.SOURCE, "pub-1", 9),
    ],
)
async def test_figures_are_read_of_every_kind_of_subject(
    database: Database, kind: SubjectKind, name: str, calls: int
) -> None:
    now = floor_to(datetime.now(UTC), timedelta(minutes=15))
    ago = now - timedelta(minutes=15)
    rows = {}
    for grain, source in (("minute", ""), ("source_quarter", "pub-1")):
        place = (grain, ago, "auto")
        rows[RowKey(*place, "", "", source, "buyer")] = Figures(calls=9)
        won = Figures(pinged=9, auction_wins=4, ping_times={bin_of(10_000): 9})
        rows[RowKey(*place, "acme-auto", "acme", source, "buyer")] = won
        rows[RowKey(*place, "acme-auto", "acme", source, "test")] = won
    async with database.connection() as connection:
        await connection.execute(query("add_figures"), *figure_columns(rows))
    found = await read_window(database, Window(ago, now, kind, detailed=True))
    figures = found[Subject(kind, name)]
    assert (figures.calls, figures.pinged, sum(figures.ping_times.values())) == (calls, 9, 9)
    assert await read_window(database, Window(now, now, kind, detailed=False)) == {}


async def test_many_who_look_at_once_fire_once(dsn: str, database: Database) -> None:
    await store(database)
    await store_figures(database, 2, Figures(pinged=100, timeouts=50))
    others = [await Database.connect(dsn) for _ in range(4)]
    watches = [await a_watch(each, every_s=60.0) for each in others]
    looked = await asyncio.gather(*(watch.look() for watch in watches))
    for other in others:
        await other.close()
    assert sum(looked) == 1
    assert len(await AlertBook(database).active()) == 1
    newest = await latest(database)
    assert newest is not None
    assert newest.revision == 2


async def test_whoever_has_not_taken_up_the_newest_revision_does_not_judge(
    database: Database,
) -> None:
    await store(database)
    behind = await a_watch(database)
    await store(database, {**MARKETPLACE, "currency": "CAD"})
    assert not await behind.look()
    assert await (await a_watch(database)).look()


async def test_a_pause_that_was_decided_but_not_made_is_made_by_the_next(
    database: Database,
) -> None:
    await store(database)
    await write(database, firing())
    assert await switch_offers(database) == 1
    assert await switch_offers(database) == 0
    assert (await offer_of(database))["enabled"] is False
    [state] = await fetch(database, "select paused_at from alert_states")
    assert state["paused_at"] is not None


async def test_an_offer_that_an_operator_has_paused_is_left_so(database: Database) -> None:
    paused = {**MARKETPLACE["buyers"][0]["offers"][0], "enabled": False}
    await store(database, {**MARKETPLACE, "buyers": [{"id": "acme", "offers": [paused]}]})
    await write(database, firing())
    assert await switch_offers(database) == 0
    resolved = AlertChanges(states={KEY: HeldState()}, resolved=[("a" * 32, Resolution.CLEARED)])
    await write(database, resolved)
    assert await switch_offers(database) == 0
    [alert] = await AlertBook(database).history(10)
    assert (alert.pause, (await offer_of(database))["enabled"]) == ("left", False)


async def store_offer(database: Database, **keys: object) -> None:
    """Somebody edits the offer."""
    offer = {**MARKETPLACE["buyers"][0]["offers"][0], **keys}
    await store(database, {**MARKETPLACE, "buyers": [{"id": "acme", "offers": [offer]}]})


async def resolve(database: Database) -> tuple[str | None, Mapping[str, Any]]:
    """The alert is over: what became of the pause, and the offer."""
    resolved = AlertChanges(states={KEY: HeldState()}, resolved=[("a" * 32, Resolution.CLEARED)])
    await write(database, resolved)
    await switch_offers(database)
    [alert] = await AlertBook(database).history(10)
    return alert.pause, await offer_of(database)


@pytest.mark.parametrize("before", [{}, {"enabled": True}])
async def test_a_paused_offer_that_was_edited_otherwise_is_resumed_with_its_edits(
    database: Database, before: dict[str, object]
) -> None:
    await store_offer(database, **before)
    await write(database, firing())
    await switch_offers(database)
    await store_offer(database, enabled=False, weight=3)
    await store_offer(database, enabled=False, weight=4)
    pause, offer = await resolve(database)
    assert (pause, offer["weight"]) == ("resumed", 4)
    assert {key: each for key, each in offer.items() if key == "enabled"} == before


@pytest.mark.parametrize("last", [{"enabled": False}, {"enabled": False, "weight": 3}, {}])
async def test_an_offer_that_somebody_has_resumed_since_is_left_as_they_want_it(
    database: Database, last: dict[str, object]
) -> None:
    await store(database)
    await write(database, firing())
    await switch_offers(database)
    await store_offer(database)
    await store_offer(database, **last)
    pause, offer = await resolve(database)
    assert (pause, offer.get("enabled")) == ("left", last.get("enabled"))


async def test_an_offer_that_was_taken_away_and_made_anew_is_left_as_it_is(
    database: Database,
) -> None:
    await store(database)
    await write(database, firing())
    await switch_offers(database)
    await store(database, {**MARKETPLACE, "buyers": [], "alerts": []})
    await store_offer(database, enabled=False)
    pause, offer = await resolve(database)
    assert (pause, offer["enabled"]) == ("left", False)


async def test_a_pause_that_is_not_wanted_any_more_is_not_made(database: Database) -> None:
    await store(database)
    await write(database, firing())
    await write(
        database,
        AlertChanges(states={KEY: HeldState()}, resolved=[("a" * 32, Resolution.GONE)]),
    )
    assert await switch_offers(database) == 0
    assert "enabled" not in await offer_of(database)


async def test_an_alert_of_an_offer_that_is_gone_switches_nothing(database: Database) -> None:
    await store(database, {**MARKETPLACE, "buyers": [], "alerts": []})
    await write(database, firing())
    assert await switch_offers(database) == 0


async def test_acknowledging_is_kept_and_stops_at_what_is_over(database: Database) -> None:
    book = AlertBook(database)
    await write(database, firing(pauses=False))
    seen = await book.acknowledge("a" * 32, "tok-1")
    assert seen is not None
    assert (seen.phase, seen.acknowledged_by) == ("acknowledged", "tok-1")
    async with alert_turn(database, 0.0) as turn:
        assert turn is not None
        assert (await turn.states())[KEY].state.phase is AlertPhase.ACKNOWLEDGED
    again = await book.acknowledge("a" * 32, "tok-2")
    assert again == seen
    assert await book.acknowledge("b" * 32, "tok-1") is None


async def test_history_is_read_page_by_page_and_by_rule(database: Database) -> None:
    book = AlertBook(database)
    for number in range(3):
        await write(database, firing(f"{number}" * 32, pauses=False, minutes=number))
    first = await book.history(2)
    rest = await book.history(2, (first[-1].fired_at, first[-1].alert_id))
    assert [each.alert_id[0] for each in (*first, *rest)] == ["0", "1", "2"]
    assert await book.history(10, rule="other") == []
    assert len(await book.history(10, rule="slow")) == 3


async def test_what_fired_long_ago_is_forgotten_once_it_is_over(database: Database) -> None:
    await write(database, firing(pauses=False, minutes=401 * 1440))
    await write(database, firing("b" * 32, pauses=False, minutes=401 * 1440))
    await write(database, AlertChanges(resolved=[("a" * 32, Resolution.CLEARED)]))
    await write(database, AlertChanges())
    assert [each.alert_id[0] for each in await AlertBook(database).history(10)] == ["b"]
