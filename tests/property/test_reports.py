"""Whatever calls go through and whoever folds, figures are what the raw rows come to."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from auction.domain.call import Call
from auction.domain.ids import CampaignId, OfferId
from auction.domain.offer_reasons import OfferReasons
from auction.domain.report_measures import by_fixed_terms
from auction.domain.report_question import By, Question, Summed
from auction.domain.trace import TraceEntry
from auction.web.explanation import explain, read_trace
from auction.web.offer_reasons import count
from storage.offer_reasons import TracedCalls
from storage.report_figures import FigureReader, ask
from storage.report_folding import ReportFolding
from storage.report_upkeep import ReportUpkeep
from tests.builders import CAMPAIGN, NEW_YORK
from tests.property.test_life_machine import LifeMachine
from tests.report_steps import assert_figures_agree, fold_all, store_owners


class ReportMachine(LifeMachine):
    """Whole lives, and folders that come and go meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.run(store_owners(self.database, self.catalogue))

    @rule(at_once=st.integers(1, 6))
    def some_is_folded(self, at_once: int) -> None:
        self.run(ReportFolding(self.database, at_once).fold())

    @rule(at_once=st.integers(1, 6))
    def two_fold_at_once(self, at_once: int) -> None:
        folders = [ReportFolding(self.database, at_once) for _ in range(2)]
        self.run(asyncio.gather(*(each.fold() for each in folders)))

    @rule(turns=st.integers(1, 40))
    def a_folder_dies(self, turns: int) -> None:
        self.run(self.die_folding(turns))

    @rule()
    def the_day_is_added_up(self) -> None:
        upkeep = ReportUpkeep(self.database, lambda: NEW_YORK)
        self.run(upkeep.add_up(datetime.now(UTC) + timedelta(days=3)))

    async def die_folding(self, turns: int) -> None:
        folding = asyncio.create_task(ReportFolding(self.database).fold())
        for _ in range(turns):
            await asyncio.sleep(0)
        folding.cancel()
        await asyncio.gather(folding, return_exceptions=True)

    async def everything_ends(self) -> None:
        await super().everything_ends()
        await fold_all(ReportFolding(self.database, 7))
        await assert_figures_agree(self.database, self.catalogue)
        await self.reasons_are_those_of_every_decision()
        await self.every_decision_is_accounted_for()
        by_days = [await self.asked(by) for by in By]
        async with self.database.connection() as connection:
            await connection.execute("truncate report_whole_days")
        assert [await self.asked(by) for by in By] == by_days

    async def reasons_are_those_of_every_decision(self) -> None:
        """An offer's breakdown is what explaining each call on its own comes to."""
        campaign = self.catalogue.campaigns[CampaignId(CAMPAIGN)]
        since, until = datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) + timedelta(days=9)
        explained = [each for life in self.lives for each in await self.explained(life.call)]
        for offer in campaign.offers:
            counted = OfferReasons()
            async for some in TracedCalls(self.world.records).read(campaign.id, since, until):
                count(counted, some.calls, offer)
            own = [each for each in explained if each.offer == offer.id]
            won = [each for each in own if each.reason is None or each.static]
            assert (counted.calls, counted.won, counted.untold) == (len(own), len(won), 0)
            others = Counter(each.reason for each in own if each not in won)
            assert counted.reasons == others

    async def every_decision_is_accounted_for(self) -> None:
        """What reports tell of offers is of every first decision, in a trace or not."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("select trace from traces where attempt = 1")
        traces = [read_trace(row["trace"]) for row in rows]
        lines = Counter(line.offer for trace in traces for line in trace.offers)
        since, until = datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) + timedelta(days=9)
        question = Question(since, until, [since], By.OFFER)
        told, _ = await FigureReader(self.database).report(question)
        for row in told.summed:
            calls = told.calls.of(By.OFFER, row.figure_class, row.place)
            assert calls == len(traces)
            assert by_fixed_terms(row.figures, calls) == calls - lines[OfferId(row.place.name)]
        offers = self.catalogue.campaigns[CampaignId(CAMPAIGN)].offers
        assert told.calls.total() == len(traces) * len(offers)

    async def explained(self, call: Call) -> tuple[TraceEntry, ...]:
        record = await self.world.records.get_call(call.call_id)
        if record is None or record.trace is None:
            return ()
        campaign = self.catalogue.campaigns[CampaignId(CAMPAIGN)]
        return explain(campaign, record.call, read_trace(record.trace))

    async def asked(self, by: By) -> list[Summed]:
        """All there is, from days where there are any."""
        since, until = datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) + timedelta(days=9)
        found = await ask(self.database, Question(since, until, [since], by))
        return sorted(found, key=lambda each: (each.figure_class.value, each.place))


def test_figures_are_what_the_raw_rows_come_to(dsn: str) -> None:
    machine = type("Machine", (ReportMachine,), {"dsn": dsn})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=7,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
            report_multiple_bugs=False,
        ),
    )
