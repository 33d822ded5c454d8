"""How the parts that handle calls are put together, on one database."""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from aiohttp import web

from auction.alerts.watch import AlertWatch
from auction.background import Background
from auction.caller_keeping import CallerKeeping, blocklists_of, campaigns_of
from auction.engine.reception import Reception
from auction.engine.rerouting import Rerouter
from auction.engine.world import Ports
from auction.forecasting import HistoryForecasts
from auction.index_upkeep import IndexUpkeep
from auction.known_tokens import KnownTokens
from auction.marketplaces import Marketplaces
from auction.ports import LedgerStep
from auction.token_keeping import TokenKeeping
from auction.tracing.starting import Tracing, Untraced
from auction.web.alerts import AlertHandlers
from auction.web.api import CallLife, Routes, build_api
from auction.web.callers import CallerHandlers, CallerServices
from auction.web.claims import ClaimHandlers
from auction.web.coverage import CoverageHandlers
from auction.web.drain import Drain
from auction.web.in_force import TermsInForce
from auction.web.management.due import DueChanges
from auction.web.management.handlers import CurrentBox
from auction.web.management.routes import Managed, management
from auction.web.offer_pages import OfferPageHandlers
from auction.web.offer_reasons import OfferReasonHandlers
from auction.web.pools import PoolHandlers
from auction.web.reports import ReportHandlers
from auction.web.services import ApiServices, Signing
from auction.web.suppressions import SuppressionHandlers
from auction.web.tokens import TokenHandlers
from auction.web.webhook_view import WebhookView
from auction.webhooks.sender import WebhookSender
from auction.webhooks.worker import WebhookWorker
from metrics.load import LoadTerms, LoadWatch
from metrics.registry import Metrics
from storage.alert_book import AlertBook
from storage.call_lists import CallLists
from storage.catalogue import revision_in_force
from storage.claims import Claims
from storage.database import Database
from storage.deliveries import Deliveries
from storage.events import CallEvents
from storage.ledger import PostgresLedger
from storage.number_leases import NumberLeases
from storage.offer_history import OfferHistory
from storage.offer_pages import OfferPages
from storage.offer_reasons import TracedCalls
from storage.outbox import Outbox
from storage.partitions import keep_partitions
from storage.postbacks import Postbacks
from storage.records import CallRecords
from storage.report_figures import FigureReader
from storage.report_folding import ReportFolding
from storage.report_upkeep import ReportUpkeep
from storage.retention import Retention
from storage.snapshots import as_it_was, offers_of
from storage.suppressions import SuppressedNumbers
from storage.sweeper import Sweeper
from storage.switch_calls import SwitchCalls
from storage.tokens import TokenStore
from storage.usage_view import PostgresUsageView
from storage.vault import CallerVault


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)
    """The monotonic clock, in seconds; an event loop's own may count in milliseconds."""


class RandomIds:
    """Identifiers from the system's random source."""

    def token(self) -> str:
        """32 hexadecimal characters."""
        return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class Parts:
    """What handling calls is built on.

    ``readers``: how many reads of records run at once; ``max_requests``: how many are handled;
    ``signing``: see ``auction.web.services``; ``voice_bots``: whether voice agents may be saved.
    """

    database: Database
    box: CurrentBox
    vault: CallerVault
    marketplaces: Marketplaces
    tokens: TokenStore
    metrics: Metrics
    drain: Drain
    bootstrap_token: str | None
    readers: int
    load_terms: LoadTerms
    max_requests: int
    signing: Signing = field(default_factory=Signing)
    voice_bots: bool = False
    tracing: Tracing = field(default_factory=Untraced)


class CallHandling:
    """Everything that happens to calls in one process."""

    def __init__(self, parts: Parts) -> None:
        database, marketplaces, metrics = parts.database, parts.marketplaces, parts.metrics
        clock = SystemClock()
        outbox = Outbox(marketplaces.subscribers)
        self._usage = PostgresUsageView(database, clock.monotonic)
        note, earned, observe = self._usage.note, metrics.earned, metrics.ledger_batch
        reports = partial(observe, LedgerStep.REPORT)
        self.ledger = PostgresLedger(
            database,
            parts.vault,
            on_usage=note,
            known_usage=self._usage.read,
            on_earned=earned,
            outbox=outbox,
            observe=observe,
        )
        self.events = CallEvents(database, note, on_earned=earned, outbox=outbox, observe=reports)
        self._sweeper = Sweeper(database, note, on_earned=earned, outbox=outbox)
        self._load = LoadWatch(
            parts.load_terms,
            calls=lambda: self.reception.in_flight + self.rerouter.in_flight,
            queued=lambda: self.ledger.waiting + self.events.waiting,
            on_level=metrics.load_level,
            on_reading=metrics.in_flight,
        )
        history = OfferHistory(database)
        self._forecasts = HistoryForecasts(history, clock, marketplaces.terms)
        ledger = parts.tracing.ledger(self.ledger)
        ports = Ports(ledger, self._usage, clock, RandomIds(), metrics, self._load, self._forecasts)
        self.reception = Reception(marketplaces, ports)
        self.rerouter = Rerouter(marketplaces, ports, ledger)
        self._deliveries = Deliveries(database)
        self._leases = NumberLeases(database, parts.vault)
        records = self._records = CallRecords(database, parts.vault, at_once=parts.readers)
        self._parts = parts
        tokens = KnownTokens(parts.tokens, parts.bootstrap_token, marketplaces.source_tokens)
        self.services = ApiServices(
            reception=self.reception,
            rerouter=self.rerouter,
            events=self.events,
            records=records,
            revisions=marketplaces,
            tokens=tokens,
            clock=clock,
            default_country=marketplaces.default_country,
            fingerprint=parts.vault.fingerprint,
            drain=parts.drain,
            max_requests=parts.max_requests,
            signing=parts.signing,
        )
        self.life = CallLife(
            lists=CallLists(records),
            postbacks=Postbacks(database, note, on_earned=earned, outbox=outbox),
            switch_calls=SwitchCalls(database, note, on_earned=earned, outbox=outbox),
            dead_letters=self._deliveries,
        )

    def application(self) -> web.Application:
        """The API of port 8080."""
        api = build_api(self.services, self.life, *self._routes())
        # Outside of the edge, which makes answers of errors: a span says what is answered.
        api.middlewares[:0] = self._parts.tracing.middlewares
        return api

    def _routes(self) -> tuple[Routes, ...]:
        parts, services = self._parts, self.services
        tokens, clock, terms = services.tokens, services.clock, parts.marketplaces.terms
        in_force = TermsInForce(terms, partial(revision_in_force, parts.database))
        numbers = SuppressedNumbers(parts.database)
        hashed = parts.vault.hash_number
        return (
            ClaimHandlers(
                services, self.life.postbacks, Claims(parts.database, self._records)
            ).add_to,
            ReportHandlers(FigureReader(self._records), tokens, clock, terms).add_to,
            OfferReasonHandlers(
                TracedCalls(self._records), parts.marketplaces, tokens, clock, in_force
            ).add_to,
            OfferPageHandlers(
                OfferPages(self._records), self.life.lists, tokens, clock, in_force
            ).add_to,
            TokenHandlers(TokenKeeping(parts.database), tokens, clock).add_to,
            SuppressionHandlers(numbers, tokens, in_force, hashed, parts.drain).add_to,
            CallerHandlers(services, self._caller_services(numbers)).add_to,
            PoolHandlers(self._leases, in_force, tokens).add_to,
            CoverageHandlers(in_force, tokens, clock).add_to,
            # Before those of rules, which would take `active` for an id.
            AlertHandlers(AlertBook(parts.database), tokens).add_to,
            management(
                Managed(parts.database, parts.box, voice_bots=parts.voice_bots), tokens, clock
            ),
        )

    def _caller_services(self, numbers: SuppressedNumbers) -> CallerServices:
        parts = self._parts
        return CallerServices(
            CallerKeeping(parts.database),
            numbers,
            lambda number: blocklists_of(parts.marketplaces.terms(), number),
            parts.vault.hash_number,
        )

    def keep_running(self, background: Background, sender: WebhookSender) -> None:
        """Begin the work that goes on beside calls; ``sender`` takes webhooks to subscribers."""
        parts = self._parts
        # Its own reads: those of the API must not wait behind them.
        records = CallRecords(parts.database, parts.vault)
        view = WebhookView(records, parts.marketplaces, as_it_was, offers_of)
        hooks = parts.marketplaces.webhooks
        worker = WebhookWorker(self._deliveries, hooks, view.show, sender)
        due = DueChanges(parts.database, parts.box)
        background.keep_running("scheduled changes", due.run)
        background.keep_running("indexes", IndexUpkeep(parts.marketplaces).run)
        background.keep_running("load", self._load.run)
        background.keep_running("usage view", self._usage.run)
        background.keep_running("forecasts", self._forecasts.run)
        background.keep_running("sweeper", self._sweeper.run)
        background.keep_running("figures", ReportFolding(parts.database).run)
        background.keep_running("whole days", ReportUpkeep(parts.database, self._zone).run)
        alerts = AlertWatch(parts.database, parts.marketplaces.alert_rules)
        background.keep_running("alerts", alerts.run)
        background.keep_running("partitions", partial(keep_partitions, parts.database))
        retention = Retention(
            parts.database,
            lambda: campaigns_of(parts.marketplaces.terms()),
            SuppressedNumbers(parts.database),
        )
        background.keep_running("retention", retention.run)
        background.keep_running("forgetting leases", self._leases.keep_forgetting)
        background.keep_running("webhooks", worker.run)
        background.keep_running("purge of deliveries", worker.keep_purged)

    def _zone(self) -> ZoneInfo:
        return self._parts.marketplaces.current().catalogue.zone

    async def finish_late_decisions(self) -> None:
        """Wait for decisions that nobody waits for any more."""
        await self.reception.drain()
        await self.rerouter.drain()
