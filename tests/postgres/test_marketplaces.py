"""Marketplace files on their way into a real database."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from auction.domain.breaker import PingWeight
from auction.domain.ids import CampaignId, OfferId
from auction.domain.offer_index import ANEW_UP_TO
from auction.index_upkeep import IndexUpkeep
from auction.marketplaces import (
    Marketplaces,
    _tell_unusable,
    apply_file,
    export,
    load_at_start,
    load_terms,
)
from auction.ports import Admitted, HeldBack, Snapshot
from auction.revisions import Revisions
from auction.workbench import ReadyRevision, Workbench
from buyers.notices import NoticeBoard
from buyers.transport import Origin
from config.faults import ConfigError
from config.secret_box import SecretBox
from storage.catalogue import StoredItem, latest, load, load_unread, save
from storage.database import Database
from storage.migrate import migrate
from storage.tokens import hash_token
from tests.golden.runner import ScriptedTransport
from tests.ledger_steps import VAULT

BOX = SecretBox(bytes(range(32)))
TERMS = """
campaigns:
  - {{id: auto, name: Auto, numbers: ["+18005550100"]}}
buyers:
  - id: acme
    name: Acme
    offers:
      - id: acme-auto
        campaign: auto
        destination: {{uri: "sip:sales@acme.example"}}
        ping_post:
          minimum_bid: "{minimum}"
          ping: {{url: "http://127.0.0.1:9/ping", caller_id: hashed{auth}}}
"""
SECRET = ', auth: {type: bearer, token: "correct horse"}'


def a_file(folder: Path, name: str = "market.yaml", minimum: int = 5, auth: str = "") -> Path:
    path = folder / name
    path.write_text(TERMS.format(minimum=minimum, auth=auth))
    return path


async def test_services_that_start_together_on_an_empty_database_load_the_file_once(
    database: Database, tmp_path: Path
) -> None:
    path = a_file(tmp_path, auth=SECRET)
    starts = [load_at_start(database, BOX, path, {}) for _ in range(4)]
    applied = await asyncio.gather(*starts)
    assert [each.revision for each in applied] == [1] * 4
    assert sorted(each.changed for each in applied) == [False, False, False, True]


async def test_a_start_that_another_file_overtakes_is_refused(
    database: Database, tmp_path: Path
) -> None:
    files = [a_file(tmp_path, f"market-{number}.yaml", number) for number in (1, 2)]
    starts = [load_at_start(database, BOX, path, {}) for path in files]
    first, second = await asyncio.gather(*starts, return_exceptions=True)
    refused = [each for each in (first, second) if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [ConfigError]
    newest = await latest(database)
    assert newest is not None
    assert newest.revision == 1


async def test_the_file_that_was_loaded_last_is_loaded_again_with_its_changes(
    database: Database, tmp_path: Path
) -> None:
    await load_at_start(database, BOX, a_file(tmp_path), {})
    again = await load_at_start(database, BOX, a_file(tmp_path, minimum=6), {})
    assert (again.revision, again.changed) == (2, True)


@pytest.mark.parametrize("origin", ["api", "file"])
async def test_a_marketplace_that_was_changed_by_other_means_is_left_alone(
    database: Database, tmp_path: Path, origin: str
) -> None:
    path = a_file(tmp_path)
    await load_at_start(database, BOX, path, {})
    if origin == "api":
        stored = await load(database)
        await save(database, stored.items[:-1], origin="api", actor="an operator")
    else:
        await apply_file(database, BOX, a_file(tmp_path, "other.yaml", 7), {})
    before = await load(database)
    with pytest.raises(ConfigError, match="changed by other means"):
        await load_at_start(database, BOX, path, {})
    assert await load(database) == before


async def test_a_start_leaves_an_offer_paused_that_an_alert_has_paused(
    database: Database, tmp_path: Path
) -> None:
    path = a_file(tmp_path)
    await load_at_start(database, BOX, path, {})
    await save(database, (await load(database)).items[:-1], origin="alert")
    same = await load_at_start(database, BOX, path, {})
    assert (same.revision, same.changed) == (2, False)
    changed = await load_at_start(database, BOX, a_file(tmp_path, minimum=6), {})
    assert (changed.revision, changed.changed) == (3, True)
    await save(database, (await load(database)).items[:-1], origin="api")
    await save(database, (await load(database)).items[:-1], origin="alert")
    with pytest.raises(ConfigError, match="changed by other means"):
        await load_at_start(database, BOX, path, {})


async def test_an_export_of_a_file_without_secrets_applies_to_an_empty_database(
    database: Database, empty_dsn: str, tmp_path: Path
) -> None:
    await apply_file(database, BOX, a_file(tmp_path), {})
    exported = tmp_path / "exported.yaml"
    exported.write_text(await export(database))
    await migrate(empty_dsn)
    other = await Database.connect(empty_dsn)
    try:
        assert (await apply_file(other, BOX, exported, {})).revision == 1
        assert (await load(other)).items == (await load(database)).items
    finally:
        await other.close()


async def test_offers_are_compiled_before_calls_need_them_and_unusable_ones_are_told(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = ", auth: {type: bearer, token: {env: TOKEN_THAT_IS_NOT_SET}}"
    environ = {"TOKEN_THAT_IS_NOT_SET": "correct horse"}
    await apply_file(database, BOX, a_file(tmp_path, auth=secret), environ)
    on_loop = threading.get_ident()
    changed_in: list[int] = []
    marketplaces = Marketplaces(
        database,
        BOX,
        ScriptedTransport({}),
        NoticeBoard(ScriptedTransport({})),
        {},
        VAULT,
        lambda _: changed_in.append(threading.get_ident()),
    )
    with caplog.at_level(logging.WARNING):
        await marketplaces.take_up(1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "acme-auto" in caplog.text
    assert "correct horse" not in caplog.text
    assert on_loop not in changed_in


async def test_whom_a_new_revision_will_ask_is_told_on_the_event_loop(
    database: Database, tmp_path: Path
) -> None:
    await apply_file(database, BOX, a_file(tmp_path), {})
    transport = ScriptedTransport({})
    told: list[tuple[int, list[Origin]]] = []
    marketplaces = Marketplaces(
        database,
        BOX,
        transport,
        NoticeBoard(transport),
        {},
        VAULT,
        lambda _: None,
        warm=lambda origins: told.append((threading.get_ident(), list(origins))),
    )
    await marketplaces.take_up(1)
    [(thread, origins)] = told
    assert thread == threading.get_ident()
    assert origins


def test_of_many_unusable_offers_a_few_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _tell_unusable({OfferId(f"offer-{number}"): "no secret" for number in range(100)})
    assert len(caplog.records) == 20
    assert "81 more" in caplog.text


async def test_those_who_ask_for_an_old_revision_at_once_load_it_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply_file(database, BOX, a_file(tmp_path), {})
    transport = ScriptedTransport({})
    board = NoticeBoard(transport)
    marketplaces = Marketplaces(database, BOX, transport, board, {}, VAULT, lambda _: None)
    loaded: list[int] = []

    async def counted(where: Database, revision: int) -> Sequence[StoredItem]:
        loaded.append(revision)
        return await load_unread(where, revision)

    monkeypatch.setattr("auction.revisions.catalogue.load_unread", counted)
    found = await asyncio.gather(*(marketplaces.catalogue_at(1) for _ in range(20)))
    assert loaded == [1]
    assert {each is found[0] is not None for each in found} == {True}


async def test_a_marketplace_of_which_one_offer_changes_keeps_what_was_made_of_the_others(
    database: Database, tmp_path: Path
) -> None:
    buyer = """
  - id: beacon
    offers:
      - {id: beacon-auto, campaign: auto, destination: {uri: "sip:a@b.example"}, static_price: 9}
"""
    transport = ScriptedTransport({})
    board = NoticeBoard(transport)
    marketplaces = Marketplaces(database, BOX, transport, board, {}, VAULT, lambda _: None)
    catalogues = []
    for minimum in (5, 6):
        path = a_file(tmp_path, minimum=minimum)
        path.write_text(path.read_text() + buyer)
        await apply_file(database, BOX, path, {})
        await marketplaces.take_up(marketplaces.revision + 1)
        catalogues.append(marketplaces.current().catalogue)
    before, after = catalogues
    kept, changed = OfferId("beacon-auto"), OfferId("acme-auto")
    assert after.offers[kept] is before.offers[kept]
    terms = [each.offers[changed].ping_post for each in catalogues]
    assert [each and each.minimum_bid for each in terms] == [Decimal(5), Decimal(6)]
    old = await marketplaces.catalogue_at(1)
    assert old is not None
    assert (old.revision, old.offers) == (1, before.offers)
    assert old.offers[kept] is before.offers[kept]


async def test_a_breaker_stays_open_over_a_change_of_the_marketplace(
    database: Database, tmp_path: Path
) -> None:
    breaker = "}\n          breaker: {minimum_pings: 1"
    transport = ScriptedTransport({})
    board = NoticeBoard(transport)
    marketplaces = Marketplaces(database, BOX, transport, board, {}, VAULT, lambda _: None)
    for revision in (1, 2):
        await apply_file(database, BOX, a_file(tmp_path, minimum=revision, auth=breaker), {})
        await marketplaces.take_up(revision)
        asked = marketplaces.current().guards[OfferId("acme-auto")].ask(0.0)
        if isinstance(asked, Admitted):
            guard = marketplaces.current().guards[OfferId("acme-auto")]
            guard.pinged(asked, PingWeight.TIMED_OUT, 0.0)
    assert isinstance(asked, HeldBack)


async def test_a_sources_token_is_good_while_the_file_has_it(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "sources.yaml"
    transport = ScriptedTransport({})
    board = NoticeBoard(transport)
    marketplaces = Marketplaces(database, BOX, transport, board, {}, VAULT, lambda _: None)
    for token, known in (("correct horse", True), ("battery staple", False)):
        path.write_text(f"sources: [{{id: pub, token: {token}}}]\n")
        applied = await apply_file(database, BOX, path, {})
        await marketplaces.take_up(applied.revision)
        found = marketplaces.source_tokens().get(hash_token("correct horse"))
        assert (found is not None and found.source == "pub") is known


def an_offer(name: str, minimum: int = 5) -> str:
    """A line of a marketplace file."""
    ping_post = f'{{minimum_bid: {minimum}, ping: {{url: "http://127.0.0.1:9/ping"}}}}'
    terms = f'destination: {{uri: "sip:a@b.c"}}, ping_post: {ping_post}'
    return f"      - {{id: {name}, campaign: auto, {terms}}}\n"


def a_market_of(folder: Path, *offers: str, zone: str = "America/Chicago") -> Path:
    path = folder / "market.yaml"
    buyers = "buyers:\n  - id: acme\n    offers:\n" + "".join(offers)
    path.write_text(f"time_zone: {zone}\ncampaigns:\n  - id: auto\n{buyers}")
    return path


async def test_each_revision_is_the_same_whether_all_of_it_is_read_or_what_has_changed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Revisions(database, Workbench(lambda _: "", lambda _: b""))
    read_whole: list[int] = []
    make = Workbench.make

    def counted(bench: Workbench, items: Sequence[StoredItem], revision: int) -> ReadyRevision:
        read_whole.append(revision)
        return make(bench, items, revision)

    monkeypatch.setattr(Workbench, "make", counted)
    here, elsewhere = "America/Chicago", "Europe/Madrid"
    for revision, (zone, offers) in enumerate(
        (
            (here, [an_offer("one"), an_offer("two")]),
            (here, [an_offer("one"), an_offer("two", 6)]),
            (here, [an_offer("three"), an_offer("two", 6)]),
            (elsewhere, [an_offer("three"), an_offer("two", 6)]),
            (elsewhere, [an_offer("two", 6)]),
        ),
        1,
    ):
        await apply_file(database, BOX, a_market_of(tmp_path, *offers, zone=zone), {})
        ready = await followed.ready(revision)
        assert ready.catalogue == await load_terms(database, revision)
        assert set(ready.lines) == set(ready.catalogue.offers)
    assert read_whole == [1]
    assert (await followed.ready(2)).catalogue == await load_terms(database, 2)


async def test_a_database_that_was_restored_is_not_taken_for_the_one_it_was(
    database: Database, tmp_path: Path
) -> None:
    followed = Revisions(database, Workbench(lambda _: "", lambda _: b""))
    for minimum in (5, 6):
        await apply_file(database, BOX, a_market_of(tmp_path, an_offer("one", minimum)), {})
    await followed.ready(2)
    async with database.connection() as connection:
        await connection.execute("delete from catalogue_items where first_revision = 2")
        await connection.execute("update catalogue_items set last_revision = null")
        await connection.execute("delete from catalogue_revisions where revision = 2")
    for offers in ([an_offer("one", 7)], [an_offer("one", 7), an_offer("two")]):
        await apply_file(database, BOX, a_market_of(tmp_path, *offers), {})
    ready = await followed.ready(3)
    assert ready.catalogue == await load_terms(database, 3)


async def with_changes(
    database: Database, folder: Path, marketplaces: Marketplaces, counts: Sequence[int]
) -> list[Snapshot]:
    """The snapshots of as many revisions, in which so many of the first offers have changed."""
    snapshots = []
    for changed in counts:
        names = [f"o-{each:03}" for each in range(ANEW_UP_TO + 20)]
        offers = [an_offer(each, 6 if at < changed else 5) for at, each in enumerate(names)]
        await apply_file(database, BOX, a_market_of(folder, *offers), {})
        await marketplaces.take_up(marketplaces.revision + 1)
        snapshots.append(marketplaces.current())
    return snapshots


def following(database: Database) -> Marketplaces:
    transport = ScriptedTransport({})
    board = NoticeBoard(transport)
    return Marketplaces(database, BOX, transport, board, {}, VAULT, lambda _: None)


AUTO, MUCH = CampaignId("auto"), ANEW_UP_TO // 8


async def test_a_campaign_of_which_much_has_changed_is_indexed_anew_beside_the_calls(
    database: Database, tmp_path: Path
) -> None:
    marketplaces = following(database)
    upkeep = IndexUpkeep(marketplaces)
    await upkeep.tidy()
    _, worn = await with_changes(database, tmp_path, marketplaces, (0, MUCH))
    assert worn.indexes[AUTO].worn
    await upkeep.tidy()
    tidied = marketplaces.current()
    assert not tidied.indexes[AUTO].worn
    assert tidied.catalogue is worn.catalogue
    await upkeep.tidy()
    assert marketplaces.current() is tidied


async def test_a_revision_that_comes_while_campaigns_are_indexed_anew_stays_in_force(
    database: Database, tmp_path: Path
) -> None:
    marketplaces = following(database)
    _, worn, newest = await with_changes(database, tmp_path, marketplaces, (0, MUCH, MUCH + 1))
    seen = iter([worn])

    class SeenEarlier:
        exchange = staticmethod(marketplaces.exchange)

        @staticmethod
        def in_force() -> Snapshot | None:
            return next(seen, marketplaces.in_force())

    await IndexUpkeep(SeenEarlier()).tidy()
    tidied = marketplaces.current()
    assert tidied is not newest
    assert tidied.catalogue is newest.catalogue
    assert not tidied.indexes[AUTO].worn
    offers = newest.catalogue.campaigns[AUTO].offers
    assert tidied.indexes[AUTO].updated(offers) is tidied.indexes[AUTO]
