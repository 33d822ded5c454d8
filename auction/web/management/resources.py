"""What can be managed: one row per kind of object.

To add a kind: give its list to ``storage.catalogue_items.LISTS`` and ``config.marketplace`` (the
file knows it then) and to ``config.identifiers`` (ids made from names), its secrets to
``config.sealing``, its checks between objects to ``config.references``, and add one ``Resource`` to
``RESOURCES``. Paths, filters, audit and the OpenAPI document follow from the row; so does
``tests/http/test_management_round_trip.py``, which asks for an example of each kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from auction.domain.terms import BuyerType
from config.alerts import Alert
from config.delivery_profiles import DeliveryProfile
from config.marketplace import Buyer, Campaign, Source
from config.numbers import Number, Pool, VoiceAgent
from config.offers import Offer
from config.suppressions import Suppression
from config.values import Model
from storage.catalogue_items import BUYER, OFFER, VOICE_AGENT


class FilterKind(StrEnum):
    """How a query parameter is compared with the key of its name."""

    TEXT = "text"
    FLAG = "flag"
    MEMBER = "member"
    """The key's list has it."""
    PARENT = "parent"
    """It is the object that owns this one."""
    CHOICE = "choice"
    """It is one of the filter's ``choices``."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter of a list, compared with ``key`` (by default the one of its name).

    ``default`` is what an absent key stands for.
    """

    kind: FilterKind = FilterKind.TEXT
    default: object = None
    key: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an object names another: ``path`` is a SQL/JSON path such as ``$.payouts[*].source``.

    The other can't be deleted meanwhile. When one of the ``matters`` keys of the other changes, the
    objects that name it are checked again. ``path`` None: it belongs to the other (``parent``).
    ``harmful``: texts that are new under a key that matters do harm only where they are mentioned.
    """

    kind: str
    path: str | None
    matters: tuple[str, ...] = ()
    harmful: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """Objects of ``kind`` that have under ``key`` what is under the ``own`` key here.

    Both are a text or a list of texts.
    """

    own: str
    kind: str
    key: str


def _dialled(own: str) -> tuple[Share, ...]:
    """Whoever may have a dialled number, which stands in one place only."""
    return (
        Share(own, "campaign", "numbers"),
        Share(own, "number", "number"),
        Share(own, "pool", "numbers"),
    )


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object. ``kind`` is the storage's, ``path`` comes after ``/v1/``.

    ``parent``: the key of the object's JSON that names its owner, which has it in ``list_name``;
    the file nests it there. ``nested``: keys that objects of other kinds have here in the file.
    ``told``: keys that an answer to a change may have besides, with what they list.
    ``shares``: what it must be compared with besides. ``makes``: lists of the file in which it
    makes objects of other kinds. ``switchable``: it has ``enabled``, and with it ``pause`` and
    ``resume``.
    """

    kind: str
    path: str
    list_name: str
    model: type[Model]
    title: str
    references: tuple[Reference, ...] = ()
    filters: Mapping[str, Filter] = field(default_factory=lambda: MappingProxyType({}))
    parent: str | None = None
    nested: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    shares: tuple[Share, ...] = ()
    makes: tuple[str, ...] = ()
    switchable: bool = False

    @property
    def parent_kind(self) -> str | None:
        """The kind of the owner."""
        return next((each.kind for each in self.references if each.path is None), None)

    @property
    def one(self) -> str:
        """One of them, with its article."""
        return f"{'an' if self.title[0] in 'aeiou' else 'a'} {self.title}"


_BUYER_TYPES: Final = tuple(each.value for each in BuyerType)
PROFILE_SETTINGS: Final = tuple(set(DeliveryProfile.model_fields) - {"id", "name"})

RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(
        kind="campaign",
        path="campaigns",
        list_name="campaigns",
        model=Campaign,
        title="campaign",
        references=(Reference("source", "$.payouts[*].source"),),
        shares=_dialled("numbers"),
    ),
    Resource(
        kind="source",
        path="sources",
        list_name="sources",
        model=Source,
        title="source",
        shares=(Share("id", "number", "source"),),
    ),
    Resource(
        kind=BUYER,
        path="buyers",
        list_name="buyers",
        model=Buyer,
        title="buyer",
        filters={
            "company": Filter(),
            "type": Filter(FilterKind.CHOICE, default="buyer", choices=_BUYER_TYPES),
            "enabled": Filter(FilterKind.FLAG, default=True),
            "tag": Filter(FilterKind.MEMBER, key="tags"),
        },
        nested=("offers",),
        told={
            "destroyed": "Conversion rules that saving quality_assurance has destroyed.",
            "warnings": "Offers that bill every answered call now that the buyer is billed again.",
        },
    ),
    Resource(
        kind=OFFER,
        path="offers",
        list_name="offers",
        model=Offer,
        title="offer",
        references=(
            Reference("campaign", "$.campaign", matters=("private_fields",), harmful=True),
            Reference("delivery_profile", "$.ping_post.profile", matters=PROFILE_SETTINGS),
            Reference(BUYER, None, matters=("type",)),
        ),
        filters={
            "buyer": Filter(FilterKind.PARENT),
            "campaign": Filter(),
            "enabled": Filter(FilterKind.FLAG, default=True),
        },
        parent="buyer",
        switchable=True,
    ),
    Resource(
        kind="delivery_profile",
        path="delivery-profiles",
        list_name="delivery_profiles",
        model=DeliveryProfile,
        title="delivery profile",
    ),
    Resource(
        kind="number",
        path="numbers",
        list_name="numbers",
        model=Number,
        title="number",
        references=(
            Reference("campaign", "$.campaign"),
            Reference("source", "$.source"),
            Reference(OFFER, "$.rules[*].offers[*]"),
        ),
        filters={"campaign": Filter(), "source": Filter(), "number": Filter()},
        shares=(*_dialled("number"), Share("source", "number", "source")),
    ),
    Resource(
        kind="pool",
        path="pools",
        list_name="pools",
        model=Pool,
        title="pool",
        references=(Reference("campaign", "$.campaign"), Reference("source", "$.source")),
        filters={"campaign": Filter(), "source": Filter()},
        shares=_dialled("numbers"),
    ),
    Resource(
        kind=VOICE_AGENT,
        path="voice-agents",
        list_name="voice_agents",
        model=VoiceAgent,
        title="voice agent",
        references=(Reference("campaign", "$.campaign"),),
        filters={"campaign": Filter(), "enabled": Filter(FilterKind.FLAG, default=True)},
        makes=("buyers",),
        switchable=True,
    ),
    Resource(
        kind="alert",
        path="alerts",
        list_name="alerts",
        model=Alert,
        title="alert rule",
        references=(
            Reference("campaign", "$.campaign"),
            Reference(BUYER, "$.buyer"),
            Reference(OFFER, "$.offer"),
        ),
        filters={
            "campaign": Filter(),
            "buyer": Filter(),
            "offer": Filter(),
            "source": Filter(),
            "measure": Filter(),
            "enabled": Filter(FilterKind.FLAG, default=True),
        },
        switchable=True,
    ),
    Resource(
        kind="suppression",
        path="suppressions",
        list_name="suppressions",
        model=Suppression,
        title="suppression list",
        references=(Reference("campaign", "$.campaign"), Reference(BUYER, "$.buyer")),
        filters={"scope": Filter(default="global"), "campaign": Filter(), "buyer": Filter()},
    ),
)

BY_KIND: Final[Mapping[str, Resource]] = {each.kind: each for each in RESOURCES}


def referrers(kind: str) -> list[tuple[Resource, Reference]]:
    """Who may name an object of this kind, and where."""
    return [
        (resource, reference)
        for resource in RESOURCES
        for reference in resource.references
        if reference.kind == kind
    ]
