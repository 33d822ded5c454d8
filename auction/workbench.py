"""Making a stored revision ready for calls: what it repeats of the last one is taken over from it.

Offers are read one by one, since the documents and models of thousands take many times the memory
of what is made of them.
"""

import gc
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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

    ``digest`` stands for everything it was made of, ``surroundings`` for all of that but itself.
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
    """Makes revisions ready, one after the other, in a thread of its own beside the loop."""

    def __init__(self, resolve: Resolve, hash_key_for: HashKeyFor) -> None:
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
            if known is None or known.digest != plan.digest(item) or not usable:
                known = self._make(plan, item)
            ready[known.terms.id] = known
        return self._made(plan, ready, revision)

    def update(
        self, items: Sequence[StoredItem], closed: Collection[str], revision: int
    ) -> ReadyRevision | None:
        """As ``make`` of all items, from those that are no offers and the offers that have changed.

        ``closed`` are gone or have changed. None where others would have to be made anew, too.
        Raises ConfigError.
        """
        plan = _Plan.of(items)
        ready = {key: each for key, each in self._ready.items() if key not in closed}
        for item in plan.offers:
            ready.pop(OfferId(item.id), None)
        around = plan.surroundings
        if any(each.surroundings != around.get(each.terms.buyer) for each in ready.values()):
            return None
        for item in plan.offers:
            made = self._make(plan, item)
            ready[made.terms.id] = made
        return self._made(plan, ready, revision)

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
            if known is None or known.digest != plan.digest(item):
                offers.append(plan.terms_of(plan.read(item), item))
            else:
                offers.append(known.terms)
        return plan.terms.catalogue(offers, revision)

    def _make(self, plan: "_Plan", item: StoredItem) -> ReadyOffer:
        offer = plan.read(item)
        terms, line, notices = plan.terms_of(offer, item), None, None
        if offer.ping_post is not None:
            line = compile_line(offer, self._resolve, self._hash_key_for)
            if offer.ping_post.notices is not None:
                notices = compile_requests(offer.ping_post.notices)
        around = plan.surroundings[item.parent or ""]
        return ReadyOffer(plan.digest(item), around, terms, line, notices)


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
    surroundings: Mapping[str, bytes]
    """Of an offer, by its buyer: the digest of all but itself that it is made of."""

    profiles: Mapping[str, Settings]

    @classmethod
    def of(cls, items: Sequence[StoredItem]) -> "_Plan":
        rest = [item.read() for item in items if item.kind != OFFER]
        data = join(rest) if rest else {}
        marketplace = read_marketplace(data)
        terms = TermsOf(marketplace)
        common = repr((terms.surroundings, data.get(PROFILES)))
        texts = {item.id: item.text for item in items if item.kind == BUYER}
        return cls(
            marketplace,
            terms,
            {buyer.id: buyer for buyer in marketplace.buyers},
            [item for item in items if item.kind == OFFER],
            {buyer: _digest(common.encode(), text) for buyer, text in texts.items()},
            known_profiles(data),
        )

    def digest(self, item: StoredItem) -> bytes:
        return _digest(self.surroundings[item.parent or ""], item.text)

    def read(self, item: StoredItem) -> Offer:
        return read_offer(item.read().document, self.profiles)

    def terms_of(self, offer: Offer, item: StoredItem) -> OfferTerms:
        return self.terms.offer(offer, self.buyers[item.parent or ""])


def _digest(surroundings: bytes, text: str) -> bytes:
    return hashlib.blake2b(surroundings + text.encode(), digest_size=16).digest()


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
