"""Making a stored revision ready for calls: what it repeats of the last one is taken over from it.

Offers are read one by one, since the documents and models of thousands take many times the memory
of what is made of them.
"""

import gc
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from auction.domain.ids import OfferId
from auction.domain.terms import Catalogue, OfferTerms
from buyers.authentication import Resolve
from buyers.notice_requests import NoticeRequests, compile_requests
from buyers.offer_dialect import HashKeyFor, Line, compile_line
from buyers.terms import TermsOf
from config.delivery_profiles import PROFILES, Settings, known_profiles
from config.marketplace import Buyer, Marketplace, read_marketplace, read_offer
from config.offers import Offer
from storage.catalogue import StoredItem
from storage.catalogue_items import BUYER, OFFER, join


@dataclass(frozen=True, slots=True)
class ReadyOffer:
    """All that is made of one stored offer; ``line`` None: it is not auctioned.

    ``digest`` stands for its document, ``surroundings`` for all else that it was made of.
    """

    digest: bytes
    surroundings: bytes
    terms: OfferTerms
    line: Line | None
    notices: NoticeRequests | None


@dataclass(frozen=True, slots=True)
class ReadyRevision:
    """A revision made ready; ``marketplace`` lacks its offers."""

    marketplace: Marketplace
    catalogue: Catalogue
    lines: Mapping[OfferId, Line]
    notices: Mapping[OfferId, NoticeRequests]


class Workbench:
    """Makes revisions ready, one after the other, in a thread of its own beside the loop.

    Who asks no offers needs no secrets for it, and is made the terms only.
    """

    def __init__(
        self, resolve: Resolve | None = None, hash_key_for: HashKeyFor | None = None
    ) -> None:
        self._resolve = resolve
        self._hash_key_for = hash_key_for
        self._ready: dict[OfferId, ReadyOffer] = {}

    @property
    def unusable(self) -> Sequence[OfferId]:
        """The offers that could not be asked; that may be possible by now."""
        return [key for key, each in self._ready.items() if isinstance(each.line, str)]

    def make(self, items: Sequence[StoredItem], revision: int) -> ReadyRevision:
        """The revision, which the next one is compared with. Raises ConfigError."""
        plan = _Plan.of(items)
        ready: dict[OfferId, ReadyOffer] = {}
        for item in plan.offers:
            known = self._ready.get(OfferId(item.id))
            usable = known is not None and not isinstance(known.line, str)
            if known is None or not usable or not plan.repeats(known, item):
                known = self._make(plan, item)
            ready[known.terms.id] = known
        return self._made(plan, ready, revision)

    def begin(self, items: Sequence[StoredItem], closed: Collection[str]) -> "Update":
        """Begin what ``make`` does, knowing all that are no offers and those that have changed.

        ``closed`` are gone or have changed. Raises ConfigError.
        """
        plan = _Plan.of(items)
        gone = {*closed, *(item.id for item in plan.offers)}
        ready = {key: each for key, each in self._ready.items() if key not in gone}
        stale = [key for key, each in ready.items() if not plan.surrounds(each)]
        return Update(plan, ready, stale)

    def finish(self, update: "Update", stale: Sequence[StoredItem], revision: int) -> ReadyRevision:
        """The revision, with those offers read anew that the update found to be stale.

        Raises ConfigError.
        """
        ready = dict(update.ready)
        for item in (*update.plan.offers, *stale):
            made = self._make(update.plan, item)
            ready[made.terms.id] = made
        return self._made(update.plan, ready, revision)

    def _made(
        self, plan: "_Plan", ready: dict[OfferId, ReadyOffer], revision: int
    ) -> ReadyRevision:
        catalogue = plan.terms.catalogue([each.terms for each in ready.values()], revision)
        self._ready = ready
        made = ready.values()
        return ReadyRevision(
            plan.marketplace,
            catalogue,
            {each.terms.id: each.line for each in made if each.line is not None},
            {each.terms.id: each.notices for each in made if each.notices is not None},
        )

    def terms(self, items: Sequence[StoredItem], revision: int) -> Catalogue:
        """The terms of another revision. Raises ConfigError."""
        plan, ready = _Plan.of(items), self._ready
        offers: list[OfferTerms] = []
        for item in plan.offers:
            known = ready.get(OfferId(item.id))
            if known is not None and plan.repeats(known, item):
                offers.append(known.terms)
            else:
                offers.append(plan.terms_of(plan.read(item), item))
        return plan.terms.catalogue(offers, revision)

    def _make(self, plan: "_Plan", item: StoredItem) -> ReadyOffer:
        offer = plan.read(item)
        terms, line, notices = plan.terms_of(offer, item), None, None
        resolve, keys = self._resolve, self._hash_key_for
        if offer.ping_post is not None and resolve is not None and keys is not None:
            line = compile_line(offer, resolve, keys)
            if offer.ping_post.notices is not None:
                notices = compile_requests(offer.ping_post.notices)
        around = plan.around(terms.buyer, terms.campaign)
        return ReadyOffer(_digest(item.text), around, terms, line, notices)


def read_terms(items: Sequence[StoredItem], revision: int) -> Catalogue:
    """The terms of a revision alone. Raises ConfigError."""
    plan = _Plan.of(items)
    offers = [plan.terms_of(plan.read(item), item) for item in plan.offers]
    return plan.terms.catalogue(offers, revision)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The items of one revision: all but its offers are read."""

    marketplace: Marketplace
    terms: TermsOf
    buyers: Mapping[str, Buyer]
    offers: Sequence[StoredItem]
    profiles: Mapping[str, Settings]
    buyer_texts: Mapping[str, str]
    common: str
    """All that every offer is made of, as text."""

    _around: dict[tuple[str, str], bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[StoredItem]) -> "_Plan":
        rest = [item.read() for item in items if item.kind != OFFER]
        data = join(rest) if rest else {}
        marketplace = read_marketplace(data)
        return cls(
            marketplace,
            TermsOf(marketplace),
            {buyer.id: buyer for buyer in marketplace.buyers},
            [item for item in items if item.kind == OFFER],
            known_profiles(data),
            {item.id: item.text for item in items if item.kind == BUYER},
            repr(data.get(PROFILES)),
        )

    def around(self, buyer: str, campaign: str) -> bytes:
        """Stands for all but itself that an offer of this buyer and campaign is made of."""
        known = self._around.get((buyer, campaign))
        if known is None:
            text = repr((self.common, self.terms.surroundings(campaign), self.buyer_texts[buyer]))
            known = self._around[buyer, campaign] = _digest(text)
        return known

    def surrounds(self, known: ReadyOffer) -> bool:
        """Whether what an offer was made of beside its document is the same here."""
        buyer, campaign = known.terms.buyer, known.terms.campaign
        here = buyer in self.buyers
        return here and known.surroundings == self.around(buyer, campaign)

    def repeats(self, known: ReadyOffer, item: StoredItem) -> bool:
        """Whether an offer would be made as it was before."""
        same = item.parent == known.terms.buyer and known.digest == _digest(item.text)
        return same and self.surrounds(known)

    def read(self, item: StoredItem) -> Offer:
        return read_offer(item.read().document, self.profiles)

    def terms_of(self, offer: Offer, item: StoredItem) -> OfferTerms:
        return self.terms.offer(offer, self.buyers[item.parent or ""])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Update:
    """A revision that is being built upon the one before.

    ``ready`` offers are taken over; ``stale`` ones have not changed, and what surrounds them has.
    """

    plan: _Plan
    ready: Mapping[OfferId, ReadyOffer]
    stale: Sequence[OfferId]


@contextmanager
def unwatched() -> Iterator[None]:
    """Whatever is made in here for good is never looked at by the garbage collection.

    To look at the hundreds of thousands of objects of a large marketplace stops the loop for long.
    What has been dropped so far goes first: it would stay, and its memory is needed. Of two threads
    in here at once the first one ends it.
    """
    gc.collect()
    watching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if watching:
            gc.enable()
