"""A file on its way to being the marketplace: what it would change, and doing so."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auction.differences import differences
from auction.lent_numbers import still_lent
from config.check import CheckResult, check_file
from config.faults import ConfigError, Fault
from config.sealing import seal
from config.secret_box import SecretBox
from storage import catalogue
from storage.announcing import PACE, Due, Pace, due
from storage.catalogue import About, StoredMarketplace
from storage.catalogue_items import CatalogueItem, Changes, changes, join, split
from storage.database import Database
from storage.errors import RevisionConflictError

FROM_FILE = "file"


@dataclass(frozen=True, slots=True)
class Applied:
    """The newest revision after applying a file; ``changed`` False: it was the newest before.

    ``differences``: a line for each object that the file changes. ``due``: when it comes into
    force, None: it is.
    """

    revision: int
    changed: bool
    check: CheckResult
    differences: Sequence[str] = ()
    due: Due | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file would make of the revision ``base``, which is stored.

    ``differences`` as of ``Applied``; ``refusal``: why it is refused, unless forced.
    """

    file: Path
    check: CheckResult
    base: int
    difference: Changes
    differences: Sequence[str]
    refusal: Fault | None
    warnings: Sequence[str]

    @property
    def as_applied(self) -> Applied:
        """What there is to tell where nothing is done."""
        told = [*self.differences, *self.warnings]
        return Applied(self.base, bool(self.differences), self.check, told)


async def plan_file(
    database: Database,
    box: SecretBox,
    path: Path,
    environ: Mapping[str, str],
    *,
    voice_bots: bool = True,
) -> Plan:
    """Find out what a file would change. Raises ConfigError with every fault.

    Refused is one that was exported from another revision than the newest unless it changes
    nothing, and one that takes numbers out of a pool which visitors hold.
    """
    result = await asyncio.to_thread(check_file, path, environ)
    data, marketplace = result.usable()
    if marketplace.voice_agents and not voice_bots:
        raise ConfigError([Fault(("voice_agents",), _NO_VOICE_BOTS)])
    stored = await catalogue.load(database)
    wanted = await asyncio.to_thread(_wanted, data, box, stored)
    difference = await asyncio.to_thread(changes, stored.items, wanted)
    changed = await asyncio.to_thread(differences, stored.items, difference)
    async with database.connection() as connection:
        lent = await still_lent(connection, stored.items, wanted)
    other_base = _of_other_base(data, stored.revision) if changed else None
    warned = [*lent, *([f"! {other_base}"] if other_base else [])]
    return Plan(
        path, result, stored.revision, difference, changed, _refusal(other_base, lent), warned
    )


async def carry_out(
    database: Database,
    plan: Plan,
    *,
    instead_of: int | None = None,
    force: bool = False,
    pace: Pace = PACE,
) -> Applied:
    """Make the file the marketplace in one transaction; what it omits is archived.

    Raises ConfigError for one that is refused and not forced, RevisionConflictError when another
    revision is the newest than when it was planned, or than ``instead_of``, if given.
    """
    if plan.refusal is not None and not force:
        raise ConfigError([plan.refusal])
    if instead_of is not None and instead_of != plan.base:
        raise RevisionConflictError(instead_of, plan.base)
    told = (None, name_of(plan.file), digest_of(plan.file))
    about = About(FROM_FILE, *told)
    revision = await catalogue.write(database, plan.base, plan.difference, about, pace)
    waits = await due(database, revision)
    return Applied(revision, revision != plan.base, plan.check, plan.differences, waits)


def name_of(path: Path) -> str:
    """What a file is known by in the database."""
    return str(path.resolve())


def digest_of(path: Path) -> str:
    """What a file's content is known by in the database."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _refusal(other_base: str | None, lent: Sequence[str]) -> Fault | None:
    if other_base is not None:
        return Fault(("revision",), other_base)
    return Fault(("pools",), _STILL_LENT.format("; ".join(lent))) if lent else None


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


_NO_VOICE_BOTS = "can't be had here: set PINGPOST_VOICE_BOTS=true where they may be"
_OTHER_BASE = (
    "the file was exported from revision {base}, and revision {revision} is in force: export "
    "again, or apply it all the same with --force"
)

_STILL_LENT = (
    "{}. Apply the file when they are free, or all the same with --force: until its lease is over "
    "no other visitor gets such a number"
)
