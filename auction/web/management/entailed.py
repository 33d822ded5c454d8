"""What changing one object does to others, or forbids: buyers' types, leases of pools."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from auction.domain.terms import BuyerType
from auction.lent_numbers import given_up, held_by
from auction.web import problems
from auction.web.management.relatives import users_of
from auction.web.problems import CallerMistakeError, Fault, ProblemKind, invalid
from config.marketplace import Marketplace, to_plain
from config.numbers import Pool
from config.quality_assurance import CONVERSIONS, QUALITY_ASSURANCE
from config.voice_bots import VOICE_BOT, made_from_agent, with_voice_bots
from storage.catalogue_items import BUYER, OFFER, POOL, VOICE_AGENT, CatalogueItem, Key, split
from storage.managing import CatalogueChange
from storage.number_leases import live_leases

MADE_BY_AGENT: Final = ProblemKind(409, "made-by-voice-agent", "A voice agent makes this")
LEASED: Final = ProblemKind(409, "in-use", "Visitors hold its numbers")

_LEASED_TOLD: Final = (
    "It can't be deleted while visitors hold its numbers: {} of them, until {} unless they stay. "
    'A PATCH with {{"cap": 0}} lends to nobody new: delete the pool when they are gone, or '
    "end each lease with DELETE /v1/pools/{}/leases/{{session_id}}."
)
_LENT_TOLD: Final = (
    "Numbers that are taken out are lent: {}. Take them out when they are free, end each lease "
    "with DELETE /v1/pools/{}/leases/{{session_id}}, or `pingpost apply --force` a file."
)
_BY_HAND: Final = (
    "can't be voice_bot by hand: save a voice agent with PUT /v1/voice-agents/{id}, which makes "
    "its buyer"
)
_LINKED_BY_HAND: Final = "is set by saving a voice agent with PUT /v1/voice-agents/{id}"
_BILLS_ANSWERED: Final = (
    "has no conversion rules, so it bills each call that is answered: what it had before stands in "
    "the audit log"
)
_NO_RULES: Final = f"can't be given: a buyer of type {QUALITY_ASSURANCE} has no conversion rules"


@dataclass(frozen=True, slots=True)
class Entailed:
    """What else a change closes and adds; ``told`` stands in the answer beside the object."""

    closed: tuple[Key, ...] = ()
    added: tuple[CatalogueItem, ...] = ()
    told: Mapping[str, object] = field(default_factory=dict)


NOTHING: Final = Entailed()


async def entailed_by(
    change: CatalogueChange, item: CatalogueItem, before: CatalogueItem | None
) -> Entailed:
    """What saving an item entails. Raises CallerMistakeError: 409, 422."""
    if item.kind == VOICE_AGENT:
        return await _buyer_of_agent(change, item)
    if item.kind == BUYER:
        refuse_made(before)
        _refuse_by_hand(item, before)
        if before is not None and not _billed(before) and _billed(item):
            return await _without_rules(change, item)
        return await _destroyed_rules(change, item)
    if item.kind == OFFER:
        await _check_owner(change, item)
    if item.kind == POOL and before is not None:
        await _refuse_taking_lent(change, item, before)
    return NOTHING


async def entailed_by_end(change: CatalogueChange, item: CatalogueItem) -> Entailed:
    """What deleting an item entails. Raises CallerMistakeError: 409."""
    if item.kind == VOICE_AGENT:
        made = await _made_by(change, item.id)
        for each in made:
            if each.kind == OFFER and (users := await users_of(change, OFFER, each.id)):
                told = f"Its offer {each.id} can't be deleted while {', '.join(users)} refer to it."
                raise CallerMistakeError(problems.IN_USE, told)
        return Entailed(closed=tuple(each.key for each in made))
    if item.kind == POOL:
        await _refuse_leased(change, item)
    if item.kind == BUYER:
        refuse_made(item)
    if item.kind == OFFER:
        await _check_owner(change, replace(item, document={}))
    return NOTHING


async def _refuse_leased(change: CatalogueChange, pool: CatalogueItem) -> None:
    """Raises CallerMistakeError (409) while visitors who hold its numbers may call."""
    numbers = Pool.model_validate(pool.document).numbers
    live = await live_leases(change.connection, pool.id, numbers)
    if live is None:
        return
    raise CallerMistakeError(LEASED, _LEASED_TOLD.format(live.visitors, live.until_text, pool.id))


async def _refuse_taking_lent(
    change: CatalogueChange, pool: CatalogueItem, before: CatalogueItem
) -> None:
    """Raises CallerMistakeError (409) when numbers are taken out that visitors hold."""
    live = await given_up(change.connection, before, pool)
    if live is not None:
        raise CallerMistakeError(LEASED, _LENT_TOLD.format(held_by(live), pool.id))


def refuse_made(buyer: CatalogueItem | None) -> None:
    """Raises CallerMistakeError (409) when a voice agent makes the buyer."""
    if buyer is not None and made_from_agent(buyer.document):
        agent = buyer.document["voice_agent"]
        raise CallerMistakeError(
            MADE_BY_AGENT, f"It follows from voice agent {agent}: change that agent instead."
        )


def _refuse_by_hand(buyer: CatalogueItem, before: CatalogueItem | None) -> None:
    if made_from_agent(buyer.document):
        raise invalid(Fault("voice_agent", _LINKED_BY_HAND))
    was = None if before is None else before.document.get("type")
    if buyer.document.get("type") == VOICE_BOT and was != VOICE_BOT:
        raise invalid(Fault("type", _BY_HAND))


async def _destroyed_rules(change: CatalogueChange, buyer: CatalogueItem) -> Entailed:
    """Of a buyer of type quality_assurance: its offers lose their conversion rules."""
    if buyer.document.get("type") != BuyerType.QUALITY_ASSURANCE.value:
        return NOTHING
    offers = [each for each in await change.children(OFFER, buyer.id) if _rules_of(each)]
    if not offers:
        return NOTHING
    left = tuple(
        replace(each, document={k: v for k, v in each.document.items() if k != CONVERSIONS})
        for each in offers
    )
    destroyed = [{"offer": each.id, CONVERSIONS: _rules_of(each)} for each in offers]
    return Entailed(tuple(each.key for each in offers), left, {"destroyed": destroyed})


async def _without_rules(change: CatalogueChange, buyer: CatalogueItem) -> Entailed:
    """Of a buyer that is billed from now on: its offers without rules bill every answered call."""
    bare = [each for each in await change.children(OFFER, buyer.id) if not _rules_of(each)]
    warnings = [{"offer": each.id, "message": _BILLS_ANSWERED} for each in bare]
    return Entailed(told={"warnings": warnings} if warnings else {})


def _billed(buyer: CatalogueItem) -> bool:
    return buyer.document.get("type", BuyerType.BUYER.value) == BuyerType.BUYER.value


def _rules_of(offer: CatalogueItem) -> object:
    return offer.document.get(CONVERSIONS)


async def _check_owner(change: CatalogueChange, offer: CatalogueItem) -> None:
    owner = await change.item(BUYER, offer.parent or "")
    if owner is None:
        return
    refuse_made(owner.item)
    if owner.item.document.get("type") == QUALITY_ASSURANCE and _rules_of(offer):
        raise invalid(Fault(CONVERSIONS, _NO_RULES))


async def _buyer_of_agent(change: CatalogueChange, agent: CatalogueItem) -> Entailed:
    before = {each.key: each for each in await _made_by(change, agent.id)}
    data = with_voice_bots({"voice_agents": [agent.document]})
    del data["voice_agents"]
    made = [each for each in split(_checked(data)) if each.kind in {BUYER, OFFER}]
    placed: list[CatalogueItem] = []
    for each in made:
        known = before.get(each.key)
        if known is None and await change.item(each.kind, each.id) is not None:
            raise invalid(Fault("id", f"is the id of another {each.kind} already: choose another"))
        if known is not None:
            placed.append(replace(each, position=known.position))
            continue
        position = await change.next_position(each.kind, each.parent)
        placed.append(replace(each, position=position))
    return Entailed(tuple(before), tuple(placed))


def _checked(data: Mapping[str, object]) -> Mapping[str, object]:
    """As a file with it is stored: its keys in the order of the models."""
    return to_plain(Marketplace.model_validate(data), as_given=True)


async def _made_by(change: CatalogueChange, agent: str) -> list[CatalogueItem]:
    """The buyer that an agent has made, with its offer."""
    held = await change.item(BUYER, agent)
    if held is None or held.item.document.get("voice_agent") != agent:
        return []
    return [held.item, *await change.children(OFFER, agent)]
