"""The marketplace between file, database and the snapshot that calls are decided by."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from auction.alerts.rules import RulesInForce, compile_rules
from auction.differences import differences
from auction.domain.ids import BuyerId, CampaignId, OfferId
from auction.domain.terms import Catalogue, Subscriber
from auction.lent_numbers import still_lent
from auction.ports import BuyerGateway, Snapshot, StorageUnavailableError
from auction.revisions import Revisions, load_all
from auction.source_tokens import compile_source_tokens
from auction.webhooks.hooks import Webhooks, compile_webhooks
from auction.workbench import ReadyRevision, Workbench, read_terms, unwatched
from buyers.gateway import HttpBuyerGateway
from buyers.guards import Guards
from buyers.notices import NoticeBoard, OfferNotices
from buyers.transport import Origin, Transport
from config.check import CheckResult, check_file
from config.faults import ConfigError, Fault
from config.marketplace import export_yaml, read_marketplace
from config.sealing import resolve_secret, seal
from config.secret_box import SecretBox
from config.secret_values import Secret
from storage import catalogue
from storage.alert_pausing import ORIGIN as BY_ALERT
from storage.catalogue import RevisionInfo, StoredMarketplace
from storage.catalogue_items import CatalogueItem, join, split
from storage.database import Database
from storage.errors import RevisionConflictError
from storage.tokens import TokenGrant
from storage.vault import CallerVault

logger = logging.getLogger(__name__)

KEPT_REVISIONS = 8
"""How many old revisions stay in memory for reading traces."""

TOLD_UNUSABLE = 19
"""How many offers that can't be asked are named in the log; one line more counts the rest."""

FROM_FILE = "file"

_LOOKS_AGAIN = 5
"""How often a start looks again after another was quicker; each time somebody got through."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The revision in force after applying a file; ``changed`` False: it was in force before.

    ``differences``: a line for each object that the file changes.
    """

    revision: int
    changed: bool
    check: CheckResult
    differences: Sequence[str] = ()


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
    """Make a file the marketplace; what it omits is archived. Raises ConfigError with every fault.

    Not forced, a file that was exported from another revision than the one in force is refused
    unless it changes nothing, and so is one that takes numbers out of a pool which visitors hold.
    ``dry_run``: only find out what would change. ``voice_bots``: whether
    it may have voice agents.
    Raises RevisionConflictError when another revision than ``instead_of`` is in force, if given.
    """
    result = check_file(path, environ)
    data, marketplace = result.usable()
    if marketplace.voice_agents and not voice_bots:
        raise ConfigError([Fault(("voice_agents",), _NO_VOICE_BOTS)])
    stored = await catalogue.load(database)
    wanted = _wanted(data, box, stored)
    changed = differences(stored.items, wanted)
    async with database.connection() as connection:
        lent = await still_lent(connection, stored.items, wanted)
    refusal = None if force or not changed else _of_other_base(data, stored.revision)
    if dry_run:
        warned = [f"! {refusal}"] if refusal else []
        return Applied(stored.revision, bool(changed), result, [*changed, *lent, *warned])
    if refusal:
        raise ConfigError([Fault(("revision",), refusal)])
    if lent and not force:
        raise ConfigError([Fault(("pools",), _STILL_LENT.format("; ".join(lent)))])
    revision = await catalogue.save(
        database,
        wanted,
        origin=FROM_FILE,
        file_name=_name(path),
        file_digest=_digest(path),
        expected_revision=stored.revision if instead_of is None else instead_of,
    )
    return Applied(revision, revision != stored.revision, result, changed)


def _wanted(
    data: Mapping[str, object], box: SecretBox, stored: StoredMarketplace
) -> Sequence[CatalogueItem]:
    plain = {key: value for key, value in data.items() if key != "revision"}
    return split(seal(plain, box, join(stored.items) if stored.items else None))


def _of_other_base(data: Mapping[str, object], revision: int) -> str | None:
    """Why the file is refused when another revision than the one it was exported from is there."""
    base = data.get("revision")
    # An empty database has nothing that a file could undo.
    if base is None or revision in (0, base):
        return None
    return _OTHER_BASE.format(base=base, revision=revision)


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
    if last is not None and last.file_digest == _digest(path):
        return Applied(revision, changed=False, check=check_file(path, environ))
    return await apply(revision)


def _is_ours(newest: RevisionInfo | None, path: Path) -> bool:
    return newest is None or (
        newest.origin == FROM_FILE
        and (newest.file_name == _name(path) or newest.file_digest == _digest(path))
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

    async def take_up(self, revision: int) -> None:
        """Load a revision and put it in force for the calls that come."""
        if self._renew_box is not None:
            self._box = await self._renew_box()
        # Compiling thousands of offers takes a while; calls go on being decided meanwhile.
        ready = await self._revisions.ready(revision)
        compiled = await asyncio.to_thread(self._compile, ready)
        self._snapshot, self._webhooks, self._source_tokens, self._alert_rules, origins = compiled
        if self._connect_ahead is not None:
            self._connect_ahead(origins)
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

    def _compile(
        self, ready: ReadyRevision
    ) -> tuple[Snapshot, Webhooks, Mapping[bytes, TokenGrant], RulesInForce, Iterable[Origin]]:
        with unwatched():
            self._on_change(ready.catalogue)
            gateway = HttpBuyerGateway(ready.lines, self._transports)
            _tell_unusable(gateway.unusable())
            notices = OfferNotices(ready.notices, self._board)
            webhooks = compile_webhooks(ready.marketplace, self._environ, self._box)
            tokens = compile_source_tokens(ready.marketplace.sources, self._resolve)
            guards = self._guards.of(ready.catalogue)
            asked = self._through(gateway)
            known = None if self._snapshot is None else self._snapshot.indexes
            snapshot = Snapshot(ready.catalogue, asked, notices, guards, known)
            alerts = RulesInForce(ready.catalogue, compile_rules(ready.marketplace.alerts))
            return snapshot, webhooks, tokens, alerts, gateway.native_origins()


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


def _name(path: Path) -> str:
    return str(path.resolve())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_NO_VOICE_BOTS = "can't be had here: set PINGPOST_VOICE_BOTS=true where they may be"
_OTHER_BASE = (
    "the file was exported from revision {base}, and revision {revision} is in force: export "
    "again, or apply it all the same with --force"
)

_STILL_LENT = (
    "{}. Apply the file when they are free, or all the same with --force: until its lease is over "
    "no other visitor gets such a number"
)

_CHANGED_SINCE = (
    "the marketplace in the database was changed by other means since {path} was loaded. "
    "`pingpost apply` makes the file the marketplace, `pingpost export` shows what is in force"
)
