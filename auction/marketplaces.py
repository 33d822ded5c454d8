"""The marketplace between file, database and the snapshot that calls are decided by."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from auction.alerts.rules import RulesInForce, compile_rules
from auction.announced import Announced
from auction.applying import FROM_FILE, Applied, carry_out, digest_of, name_of, plan_file
from auction.domain.ids import BuyerId, CampaignId, OfferId
from auction.domain.offer_index import OfferIndex, index_offers
from auction.domain.terms import Catalogue, Subscriber
from auction.ports import BuyerGateway, Snapshot, StorageUnavailableError
from auction.revisions import Revisions, load_all
from auction.source_tokens import compile_source_tokens
from auction.webhooks.hooks import Webhooks, compile_webhooks
from auction.workbench import ReadyRevision, Workbench, read_terms, unwatched
from buyers.gateway import HttpBuyerGateway
from buyers.guards import Guards
from buyers.notices import NoticeBoard, OfferNotices
from buyers.transport import Origin, Transport
from config.check import check_file
from config.faults import ConfigError, Fault
from config.marketplace import export_yaml, read_marketplace
from config.sealing import resolve_secret
from config.secret_box import SecretBox
from config.secret_values import Secret
from storage import catalogue
from storage.alert_pausing import ORIGIN as BY_ALERT
from storage.announcing import AT_ONCE, PACE
from storage.catalogue import RevisionInfo
from storage.catalogue_items import join
from storage.database import Database
from storage.errors import RevisionConflictError
from storage.tokens import TokenGrant
from storage.vault import CallerVault

logger = logging.getLogger(__name__)

KEPT_REVISIONS = 8
"""How many old revisions stay in memory for reading traces."""

TOLD_UNUSABLE = 19
"""How many offers that can't be asked are named in the log; one line more counts the rest."""

_LOOKS_AGAIN = 5
"""How often a start looks again after another was quicker; each time somebody got through."""


async def apply_file(
    database: Database,
    box: SecretBox,
    path: Path,
    environ: Mapping[str, str],
    *,
    instead_of: int | None = None,
    force: bool = False,
    dry_run: bool = False,
    voice_bots: bool = True,
) -> Applied:
    """Make a file the marketplace, as ``plan_file`` and ``carry_out`` do, and raising as they do.

    ``dry_run``: only find out what would change. ``voice_bots``: whether it may have voice agents.
    """
    plan = await plan_file(database, box, path, environ, voice_bots=voice_bots)
    if dry_run:
        return plan.as_applied
    # A first marketplace replaces none that calls could go on by meanwhile.
    pace = PACE if plan.base else AT_ONCE
    return await carry_out(database, plan, instead_of=instead_of, force=force, pace=pace)


_Apply = Callable[[int], Awaitable[Applied]]
"""Applies the file instead of a revision."""


async def load_at_start(
    database: Database,
    box: SecretBox,
    path: Path,
    environ: Mapping[str, str],
    *,
    voice_bots: bool = True,
) -> Applied:
    """Load a file into an empty database, or again when it is the one that was loaded last.

    Of services that start together one loads it and the others find it loaded. Raises ConfigError
    when the marketplace has been changed since by other means.
    """

    async def apply(instead_of: int) -> Applied:
        return await apply_file(
            *(database, box, path, environ),
            instead_of=instead_of,
            force=True,
            voice_bots=voice_bots,
        )

    for _ in range(_LOOKS_AGAIN):
        try:
            return await _load_if_ours(database, path, environ, apply)
        except RevisionConflictError:
            logger.info("Another start was quicker: looking again", extra={"action": "load"})
    return await _load_if_ours(database, path, environ, apply)


async def _load_if_ours(
    database: Database, path: Path, environ: Mapping[str, str], apply: _Apply
) -> Applied:
    newest = await catalogue.latest(database)
    if newest is not None and newest.origin == BY_ALERT:
        return await _load_over_alerts(database, path, environ, apply, newest.revision)
    known = 0 if newest is None else newest.revision
    if not _is_ours(newest, path):
        raise ConfigError([Fault((), _CHANGED_SINCE.format(path=path))])
    return await apply(known)


async def _load_over_alerts(
    database: Database, path: Path, environ: Mapping[str, str], apply: _Apply, revision: int
) -> Applied:
    """An alert has paused or resumed offers since: a file that says nothing new leaves them so."""
    last = await catalogue.latest(database, but=BY_ALERT)
    if not _is_ours(last, path):
        raise ConfigError([Fault((), _CHANGED_SINCE.format(path=path))])
    if last is not None and last.file_digest == digest_of(path):
        return Applied(revision, changed=False, check=check_file(path, environ))
    return await apply(revision)


def _is_ours(newest: RevisionInfo | None, path: Path) -> bool:
    return newest is None or (
        newest.origin == FROM_FILE
        and (newest.file_name == name_of(path) or newest.file_digest == digest_of(path))
    )


async def export(database: Database) -> str:
    """The marketplace as YAML that ``apply_file`` takes; stored secrets as ``{keep: true}``."""
    stored = await catalogue.load(database)
    return export_yaml(read_marketplace(join(stored.items)), stored.revision)


class Marketplaces:
    """Holds the snapshot in force and follows the revisions of the database."""

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        transport: Transport,
        board: NoticeBoard,
        environ: Mapping[str, str],
        vault: CallerVault,
        on_change: Callable[[Catalogue], None],
        *,
        aiohttp: Transport | None = None,
        warm: Callable[[Iterable[Origin]], None] | None = None,
        guards: Guards | None = None,
        through: Callable[[BuyerGateway], BuyerGateway] | None = None,
        renew_box: Callable[[], Awaitable[SecretBox]] | None = None,
    ) -> None:
        self._database = database
        self._box = box
        self._renew_box = renew_box
        self._transports = {"native": transport, "aiohttp": aiohttp or transport}
        self._connect_ahead = warm
        self._board = board
        self._environ = environ
        self._on_change = on_change
        self._guards = guards or Guards()
        self._through = through or (lambda gateway: gateway)
        self._snapshot: Snapshot | None = None
        self._webhooks = Webhooks()
        self._source_tokens: Mapping[bytes, TokenGrant] = {}
        self._alert_rules: RulesInForce | None = None
        self._old: OrderedDict[int, Catalogue] = OrderedDict()
        self._loading_old = asyncio.Lock()
        self._workbench = Workbench(self._resolve, vault.hash_key_for)
        self._revisions = Revisions(database, self._workbench)
        self._announced = Announced[_Made](self._enter)
        self._indexes: Mapping[CampaignId, OfferIndex] | None = None

    @property
    def revision(self) -> int:
        """The revision in force; 0 before the first."""
        return 0 if self._snapshot is None else self._snapshot.catalogue.revision

    def current(self) -> Snapshot:
        """See ``auction.ports.CatalogueSource``."""
        if self._snapshot is None:
            raise StorageUnavailableError("the marketplace is not loaded yet")
        return self._snapshot

    def in_force(self) -> Snapshot | None:
        """The snapshot in force, None before the first."""
        return self._snapshot

    def exchange(self, old: Snapshot, new: Snapshot) -> bool:
        """Put another of the same revision in its place; False where ``old`` is none any more."""
        if self._snapshot is not old:
            return False
        self._snapshot = new
        return True

    def terms(self) -> Catalogue | None:
        """The terms in force, None before the first."""
        return None if self._snapshot is None else self._snapshot.catalogue

    def default_country(self) -> str:
        """Where numbers without a country code belong."""
        return "US" if self._snapshot is None else self._snapshot.catalogue.default_country

    def subscribers(
        self, campaign: CampaignId | None, buyer: BuyerId | None
    ) -> Sequence[Subscriber]:
        """The webhooks of a campaign and of a buyer, by the marketplace in force."""
        if self._snapshot is None:
            return ()
        return self._snapshot.catalogue.subscribers(campaign, buyer)

    def webhooks(self) -> Webhooks:
        """The webhooks in force, compiled."""
        return self._webhooks

    def source_tokens(self) -> Mapping[bytes, TokenGrant]:
        """The tokens that sources have in the marketplace in force, by hash."""
        return self._source_tokens

    def alert_rules(self) -> RulesInForce | None:
        """The alert rules in force, None before the first revision."""
        return self._alert_rules

    @property
    def waiting(self) -> Sequence[int]:
        """The revisions that are ready and not due, the first to come into force first."""
        return self._announced.waiting

    async def take_up(self, revision: int, due: float | None = None) -> None:
        """Load a revision and put it in force for the calls that come.

        One that is ``due`` later, by the loop's clock, is only made ready here.
        """
        if self._renew_box is not None:
            self._box = await self._renew_box()
        # Compiling thousands of offers takes a while; calls go on being decided meanwhile.
        ready = await self._revisions.ready(revision)
        made = await asyncio.to_thread(self._compile, ready)
        if self._connect_ahead is not None:
            self._connect_ahead(made.gateway.native_origins())
        _tell_late(revision, due)
        await self._announced.put(revision, made, due)

    async def close(self) -> None:
        """Put nothing in force any more."""
        await self._announced.close()

    async def _enter(self, made: "_Made") -> None:
        self._snapshot = await asyncio.to_thread(self._completed, made)
        self._webhooks, self._source_tokens, self._alert_rules = made.beside
        revision = made.ready.catalogue.revision
        logger.info(
            "The marketplace is at revision %d", revision, extra={"action": "catalogue_loaded"}
        )

    async def catalogue_at(self, revision: int) -> Catalogue | None:
        """The terms of an old revision, None when they are not kept."""
        if self._snapshot is not None and self._snapshot.catalogue.revision == revision:
            return self._snapshot.catalogue
        # One at a time: each takes a connection and a thread that calls need.
        async with self._loading_old:
            if revision not in self._old:
                try:
                    items = await load_all(self._database, revision)
                except LookupError:
                    return None
                terms = self._workbench.terms
                self._old[revision] = await asyncio.to_thread(terms, items, revision)
            self._old.move_to_end(revision)
            while len(self._old) > KEPT_REVISIONS:
                self._old.popitem(last=False)
            return self._old[revision]

    def _resolve(self, secret: Secret) -> str:
        return resolve_secret(secret, self._box, self._environ)

    def _compile(self, ready: ReadyRevision) -> "_Made":
        with unwatched():
            gateway = HttpBuyerGateway(ready.lines, self._transports)
            _tell_unusable(gateway.unusable())
            webhooks = compile_webhooks(ready.marketplace, self._environ, self._box)
            tokens = compile_source_tokens(ready.marketplace.sources, self._resolve)
            alerts = RulesInForce(ready.catalogue, compile_rules(ready.marketplace.alerts))
            indexes = index_offers(ready.catalogue, self._known_indexes())
            self._indexes = indexes
            return _Made(ready, gateway, indexes, (webhooks, tokens, alerts))

    def _known_indexes(self) -> Mapping[CampaignId, OfferIndex] | None:
        """Those of the newest revision; where that is in force they may be indexed anew by now."""
        if self._announced.waiting or self._snapshot is None:
            return self._indexes
        return self._snapshot.indexes

    def _completed(self, made: "_Made") -> Snapshot:
        """Guards and metrics are of what is in force, not of what will be."""
        with unwatched():
            ready = made.ready
            self._on_change(ready.catalogue)
            notices = OfferNotices(ready.notices, self._board)
            guards = self._guards.of(ready.catalogue)
            asked = self._through(made.gateway)
            return Snapshot(ready.catalogue, asked, notices, guards, made.indexes)


@dataclass(frozen=True, slots=True)
class _Made:
    """A revision that only has to be put in force."""

    ready: ReadyRevision
    gateway: HttpBuyerGateway
    indexes: Mapping[CampaignId, OfferIndex]
    beside: tuple[Webhooks, Mapping[bytes, TokenGrant], RulesInForce]


def _tell_late(revision: int, due: float | None) -> None:
    late_s = 0.0 if due is None else asyncio.get_running_loop().time() - due
    if late_s > 0:
        text = "Revision %d was ready %.1f s after it should have been in force"
        logger.warning(text, revision, late_s, extra={"action": "catalogue_late"})


async def load_terms(database: Database, revision: int) -> Catalogue:
    """The terms of a revision; of 0, those of an empty marketplace. Raises LookupError."""
    items = await load_all(database, revision)
    return await asyncio.to_thread(read_terms, items, revision)


def _tell_unusable(unusable: Mapping[OfferId, str]) -> None:
    for offer, why in islice(unusable.items(), TOLD_UNUSABLE):
        text = "Offer %s can't be asked: %s"
        logger.warning(text, offer, why, extra={"action": "unusable_offer"})
    if len(unusable) > TOLD_UNUSABLE:
        more = len(unusable) - TOLD_UNUSABLE
        logger.warning("%d more offers can't be asked", more, extra={"action": "unusable_offer"})


_CHANGED_SINCE = (
    "the marketplace in the database was changed by other means since {path} was loaded. "
    "`pingpost apply` makes the file the marketplace, `pingpost export` shows what is in force"
)
