"""The order in which static offers are tried."""

from collections.abc import Sequence
from typing import Final

from auction.domain.ids import CallId, OfferId
from auction.domain.ranking import weight_key
from auction.domain.terms import OfferTerms

_SALT: Final = b"static"


def static_order(offers: Sequence[OfferTerms], call_id: CallId) -> tuple[OfferTerms, ...]:
    """The offers with a static price: lowest priority first, then by weight, then by id."""

    def place(offer: OfferTerms) -> tuple[int, float, OfferId]:
        key = weight_key(call_id, offer.id, offer.weight, _SALT)
        return (offer.priority, key, offer.id)

    return tuple(sorted((o for o in offers if o.static_amount is not None), key=place))
