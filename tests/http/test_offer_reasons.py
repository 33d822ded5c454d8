"""``GET /v1/reports/offers/{id}/reasons``: calls that the real engine decides, counted again."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from auction.domain.filters import Op, prepare
from auction.domain.ids import CampaignId
from auction.domain.terms import Catalogue
from auction.web.drain import Drain
from auction.web.edge import edge
from auction.web.in_force import TermsInForce
from auction.web.offer_reasons import OfferReasonHandlers
from auction.web.reports import ReportHandlers
from auction.web.services import Grant
from storage.database import Database
from storage.offer_reasons import TracedCalls
from storage.report_figures import FigureReader
from storage.report_folding import ReportFolding
from tests.builders import a_campaign, a_catalogue, an_offer, ping_post
from tests.http.api_fakes import FakeGrant, a_client, a_grant, serving
from tests.report_steps import fold_all, store_owners
from tests.unit.engine.harness import Answering, ScriptedGateway
from tests.whole_lives import SystemClock, World, a_live_call

AUTO = (prepare("vertical", Op.EQ, "auto"),)
OFFERS = (
    an_offer("anyone", buyer="acme", ping_post=ping_post(ping_timeout_ms=1500)),
    an_offer("auto-only", buyer="beacon", filters=AUTO),
    an_offer("paused", buyer="cobalt", enabled=False),
)
CATALOGUE = a_catalogue(
    a_campaign(*OFFERS),
    a_campaign(an_offer("elsewhere", campaign="other"), campaign_id="other", numbers=()),
)


class Stage(SystemClock):
    """Calls that are decided, and one token that asks what became of them."""

    def __init__(self, database: Database, session: aiohttp.ClientSession) -> None:
        self.database, self.session, self.base = database, session, ""
        self.grant: FakeGrant | None = a_grant("read")
        self.revisions = {CATALOGUE.revision: CATALOGUE}
        answers = Answering(after_ms=0, post_after_ms=0)
        gateway = ScriptedGateway({"anyone": answers, "auto-only": Answering(after_ms=0)})
        self.world = World(database, CATALOGUE, gateway)

    async def lookup(self, token: str) -> FakeGrant | None:
        return self.grant

    def wait_s(self, grant: Grant) -> float:
        return 0.0

    def terms(self) -> Catalogue:
        return CATALOGUE

    async def newest(self) -> int:
        return CATALOGUE.revision

    async def catalogue_at(self, revision: int) -> Catalogue | None:
        return self.revisions.get(revision)

    async def decide(self, *names: str, **changes: Any) -> None:
        for number, name in enumerate(names):
            await self.world.decide(a_live_call(name, caller=number, **changes))

    async def ask(self, path: str, status: int = 200) -> dict[str, Any]:
        return await self.report(f"offers/{path}", status)

    async def report(self, path: str, status: int = 200) -> dict[str, Any]:
        url, headers = f"{self.base}/v1/reports/{path}", {"Authorization": "Bearer x"}
        async with self.session.get(url, headers=headers) as response:
            assert response.status == status, await response.text()
            content: dict[str, Any] = await response.json()
            return content

    async def told(self, offer: str) -> tuple[int, int, int, dict[str, int]]:
        found = await self.ask(f"{offer}/reasons")
        assert found["calls"] == found["won"] + found["untold"] + sum(found["reasons"].values())
        return found["calls"], found["eligible"], found["won"], found["reasons"]


@pytest_asyncio.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    async with a_client() as session:
        stage = Stage(database, session)
        calls = TracedCalls(stage.world.records)
        in_force = TermsInForce(stage.terms, stage.newest)
        handlers = OfferReasonHandlers(calls, stage, stage, stage, in_force)
        application = web.Application(middlewares=[edge(Drain())])
        handlers.add_to(application.router)
        reader = FigureReader(database)
        ReportHandlers(reader, stage, stage, stage.terms).add_to(application.router)
        async with serving(application) as port:
            stage.base = f"http://127.0.0.1:{port}"
            yield stage


async def test_every_call_of_the_campaign_has_its_outcome_for_every_offer(stage: Stage) -> None:
    await stage.decide("a", "b", fields={"vertical": "home"})
    await stage.decide("c", fields={"vertical": "auto"})
    await stage.decide("t", fields={"vertical": "auto"}, test=True)
    assert await stage.told("anyone") == (3, 3, 2, {"outbid": 1})
    assert await stage.told("auto-only") == (3, 1, 1, {"filtered": 2})
    assert await stage.told("paused") == (3, 0, 0, {"paused": 3})
    assert await stage.told("elsewhere") == (0, 0, 0, {})


async def test_pages_of_calls_are_all_counted_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.offer_reasons.AT_ONCE", 2)
    await stage.decide(*"abcde", fields={"vertical": "home"})
    async with stage.database.connection() as connection:
        await connection.execute("update calls set campaign = 'other' where call_id in ('b', 'e')")
        await connection.execute(
            "update calls set received_at = (select min(received_at) from calls)"
        )
        await connection.execute(
            "update traces set received_at = (select min(received_at) from calls)"
        )
    assert await stage.told("paused") == (3, 0, 0, {"paused": 3})


async def test_the_terms_are_those_of_the_revision_that_the_call_was_decided_by(
    stage: Stage,
) -> None:
    await stage.decide("before", fields={"vertical": "home"})
    campaign = CATALOGUE.campaigns[CampaignId("auto-insurance")]
    closed = replace(OFFERS[1], enabled=False)
    renewed = replace(campaign, offers=(OFFERS[0], closed, OFFERS[2]))
    later = replace(
        CATALOGUE,
        revision=CATALOGUE.revision + 1,
        campaigns={**CATALOGUE.campaigns, campaign.id: renewed},
        offers={**CATALOGUE.offers, closed.id: closed},
    )
    stage.revisions[later.revision] = later
    stage.world.catalogue = later
    await stage.decide("after", fields={"vertical": "home"})
    assert await stage.told("auto-only") == (2, 0, 0, {"filtered": 1, "paused": 1})
    del stage.revisions[CATALOGUE.revision]
    assert await stage.told("auto-only") == (1, 0, 0, {"paused": 1})


async def test_of_erased_calls_and_lost_traces_nobody_can_tell(stage: Stage) -> None:
    await stage.decide("erased", "lost", "kept", fields={"vertical": "home"})
    async with stage.database.connection() as connection:
        await connection.execute(
            "update calls set sealed = '', erased_at = now() where call_id = 'erased'"
        )
        await connection.execute("delete from traces where call_id = 'lost'")
    found = await stage.ask("auto-only/reasons")
    assert (found["calls"], found["untold"], found["reasons"]) == (3, 2, {"filtered": 1})
    assert (await stage.ask("anyone/reasons"))["untold"] == 1


@pytest.mark.parametrize(
    ("limits", "offer", "status"),
    [
        ({"buyer": "acme"}, "anyone", 200),
        ({"buyer": "acme"}, "auto-only", 404),
        ({"source": "pub-17"}, "anyone", 404),
        ({}, "nobody", 404),
    ],
)
async def test_who_may_see_an_offers_page_may_see_its_reasons(
    stage: Stage, limits: dict[str, str], offer: str, status: int
) -> None:
    stage.grant = a_grant("read", **limits)
    await stage.ask(f"{offer}/reasons", status)


@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-11-21&to=2026-11-20", "bucket=day", "from=1&from=2"]
)
async def test_a_question_that_makes_no_sense_is_refused(stage: Stage, query: str) -> None:
    assert (await stage.ask(f"anyone/reasons?{query}", 422))["errors"]


@pytest.mark.parametrize("limit", ["MOST_CALLS", "MOST_REVISIONS"])
async def test_more_than_can_be_counted_at_once_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"auction.web.offer_reasons.{limit}", 0)
    await stage.decide("a")
    found = await stage.ask("anyone/reasons", 422)
    assert "ask for a shorter time" in str(found["errors"])


async def some_calls(stage: Stage) -> None:
    await store_owners(stage.database, CATALOGUE)
    await stage.decide("a", "b", fields={"vertical": "home"}, source="pub-17")
    await stage.decide("c", fields={"vertical": "auto"}, source="pub-18")
    await stage.decide("t", fields={"vertical": "auto"}, test=True)
    await fold_all(ReportFolding(stage.database))


def accounted(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["offer_calls"], row["eligible"], row["reasons"].get("fixed_terms", 0)


async def test_a_row_of_a_report_accounts_for_the_calls_of_the_page(stage: Stage) -> None:
    await some_calls(stage)
    rows = {row["offer"]: row for row in (await stage.report("offers"))["rows"]}
    assert rows.keys() == {"anyone", "auto-only"}, "no call looked at the others"
    for offer in ("anyone", "auto-only", "paused"):
        page, report = (
            await stage.ask(f"{offer}/reasons"),
            await stage.report(f"offers?offer={offer}"),
        )
        (row,) = report["rows"]
        assert row["reasons"] == rows.get(offer, row)["reasons"]
        assert (row["offer_calls"], row["eligible"]) == (page["calls"], page["eligible"])
        fixed = sum(page["reasons"].get(each, 0) for each in ("filtered", "paused"))
        assert row["reasons"].get("fixed_terms", 0) == fixed
        assert [accounted(each)[0] for each in report["apart"]["test"]] == [1]
    (paused,) = (await stage.report("offers?offer=paused"))["rows"]
    assert (paused["buyer"], paused["campaign"]) == ("cobalt", "auto-insurance")
    assert accounted(paused) == (3, 0, 3)
    assert (await stage.report("offers?offer=elsewhere"))["rows"] == []


async def test_rows_of_many_offers_are_the_sums_of_theirs(stage: Stage) -> None:
    await some_calls(stage)
    for name in ("offers", "buyers", "campaigns", "sources"):
        report = await stage.report(name)
        assert accounted(report["totals"]) == (9, 4, 5), name
        assert report["denominators"]["eligible_rate"] == "eligible / offer_calls"
    sources = (await stage.report("sources"))["rows"]
    assert [accounted(row) for row in sources] == [(6, 2, 4), (3, 2, 1)]
    (campaign,) = (await stage.report("campaigns"))["rows"]
    assert (campaign["calls"], *accounted(campaign)) == (3, 9, 4, 5)


async def test_an_offer_that_no_call_looks_at_any_more_is_compared_with_what_was(
    stage: Stage,
) -> None:
    await some_calls(stage)
    async with stage.database.connection() as connection:
        for table in ("report_figures", "report_rosters"):
            await connection.execute(f"update {table} set bucket = bucket - interval '30 hours'")
    await stage.decide("d", fields={"vertical": "home"})
    await fold_all(ReportFolding(stage.database))
    rows = (await stage.report("offers?compare=previous"))["rows"]
    (row,) = (each for each in rows if each["offer"] == "auto-only")
    assert accounted(row) == (1, 0, 1)
    assert (row["previous"]["offer_calls"], row["previous"]["eligible"]) == (3, 1)
    assert row["trend"]["offer_calls"] == -0.6667


async def test_what_was_decided_before_it_was_counted_is_not_guessed(stage: Stage) -> None:
    await some_calls(stage)
    async with stage.database.connection() as connection:
        await connection.execute("delete from report_rosters where source = 'pub-17'")
        await connection.execute("update report_rosters set calls = 1 where source = ''")
    report = await stage.report("offers?compare=previous")
    for row in (*report["rows"], report["totals"]):
        assert (row["offer_calls"], row["eligible_rate"]) == (None, None)
        assert "fixed_terms" not in row["reasons"]
        assert row["trend"]["offer_calls"] is None
    (one,) = (await stage.report("sources?source=pub-18"))["rows"]
    assert accounted(one) == (3, 2, 1)


async def test_a_buyer_is_told_of_its_own_offers_and_not_what_a_source_sends(stage: Stage) -> None:
    await some_calls(stage)
    stage.grant = a_grant("read", buyer="beacon")
    assert accounted((await stage.report("offers"))["totals"]) == (3, 1, 2)
    assert (await stage.report("offers?offer=paused"))["rows"] == []
    for path in ("sources", "offers?source=pub-17"):
        for row in (report := await stage.report(path))["rows"]:
            assert {"offer_calls", "eligible_rate"}.isdisjoint(row)
            assert "fixed_terms" not in row["reasons"]
        assert "offer_calls" not in report["totals"]
    stage.grant = a_grant("read", source="pub-17")
    for name in ("offers", "sources", "campaigns"):
        assert "offer_calls" not in (await stage.report(name))["totals"]
