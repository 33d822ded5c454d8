"""What an operator wants to be told of, and what is done about it: the terms of alert rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, NewType

from auction.domain.ids import OfferId
from auction.domain.terms import Catalogue, OfferTerms

AlertRuleId = NewType("AlertRuleId", str)


class AlertMeasure(StrEnum):
    """What is looked at, over a stretch of time or, of caps, at the moment."""

    TIMEOUT_RATE = "timeout_rate"
    ERROR_RATE = "error_rate"
    BID_RATE = "bid_rate"
    ACCEPT_RATE = "accept_rate"
    ANSWER_RATE = "answer_rate"
    CONVERSION_RATE = "conversion_rate"
    CALLS = "calls"
    UNANSWERED_CALLS = "unanswered_calls"
    PING_P95_MS = "ping_p95_ms"
    CAP_USED_RATIO = "cap_used_ratio"
    CAP_FORECAST_RATIO = "cap_forecast_ratio"


OF_CAPS: Final = frozenset({AlertMeasure.CAP_USED_RATIO, AlertMeasure.CAP_FORECAST_RATIO})
COUNTED: Final = frozenset({AlertMeasure.CALLS, AlertMeasure.UNANSWERED_CALLS})
"""Measures that are numbers of calls: none is a value like any other."""


class Comparison(Enum):
    """On which side of the threshold a reading is bad."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"


class SubjectKind(StrEnum):
    """Whose figures a rule reads."""

    MARKETPLACE = "marketplace"
    CAMPAIGN = "campaign"
    BUYER = "buyer"
    OFFER = "offer"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """One of those that a rule watches; each has an alert of its own. ``id`` is empty for all."""

    kind: SubjectKind
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.id}" if self.id else self.kind.value

    @classmethod
    def read(cls, text: str) -> "Subject":
        """The subject that ``str`` has written so."""
        kind, _, name = text.partition(":")
        return cls(SubjectKind(kind), name)


EVERYTHING: Final = Subject(SubjectKind.MARKETPLACE)


@dataclass(frozen=True, slots=True)
class Condition:
    """When a reading is bad, and when it is good again.

    Minutes throughout. A reading is bad beyond ``threshold``, and good from ``clear`` on; between
    the two nothing changes. It has to be bad for ``for_minutes``, good for ``clear_after_minutes``.
    It is of the ``over_minutes`` until ``delay_minutes`` ago, None with fewer than
    ``minimum_sample``, and where ``past_minutes`` is set a share of the same over that time before.
    """

    measure: AlertMeasure
    comparison: Comparison
    threshold: float
    clear: float
    over_minutes: int = 5
    minimum_sample: int = 0
    for_minutes: int = 0
    clear_after_minutes: int = 2
    delay_minutes: int = 0
    past_minutes: int | None = None

    def is_bad(self, reading: float) -> bool:
        """Whether it is beyond the threshold."""
        if self.comparison is Comparison.BELOW:
            return reading < self.threshold
        if self.comparison is Comparison.AT_LEAST:
            return reading >= self.threshold
        return reading > self.threshold

    def is_good(self, reading: float) -> bool:
        """Whether it is on the far side of the band."""
        if self.is_bad(reading):
            return False
        return (
            reading >= self.clear if self.comparison is Comparison.BELOW else reading <= self.clear
        )


@dataclass(frozen=True, slots=True)
class AutoPause:
    """An offer is paused while it fires; ``resume_after_minutes`` None: until it is good again.

    No more offers than ``at_most`` are paused by one rule at a time.
    """

    resume_after_minutes: int | None = None
    at_most: int = 10


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule. With ``each_offer`` every offer of ``scope`` is watched by itself.

    ``told``: a webhook is told when it fires and is over. ``escalate_after_minutes`` None: nobody
    else is ever told.
    """

    id: AlertRuleId
    name: str
    condition: Condition
    scope: Subject = EVERYTHING
    each_offer: bool = False
    auto_pause: AutoPause | None = None
    escalate_after_minutes: int | None = None
    told: bool = False

    @property
    def kind(self) -> SubjectKind:
        """What its subjects are."""
        return SubjectKind.OFFER if self.each_offer else self.scope.kind

    def subjects(self, catalogue: Catalogue) -> Iterator[Subject]:
        """Whom it watches by this revision, nobody that is gone."""
        if self.each_offer:
            for offer in offers_in(self.scope, catalogue):
                yield Subject(SubjectKind.OFFER, offer.id)
        elif _is_there(self.scope, catalogue):
            yield self.scope

    def watches(self, subject: Subject, catalogue: Catalogue) -> bool:
        """Whether it is one of the ``subjects``."""
        if not self.each_offer:
            return subject == self.scope and _is_there(subject, catalogue)
        is_offer = subject.kind is SubjectKind.OFFER
        offer = catalogue.offers.get(OfferId(subject.id)) if is_offer else None
        return offer is not None and _belongs(offer, self.scope)


def offers_in(scope: Subject, catalogue: Catalogue) -> Iterator[OfferTerms]:
    """The offers whose figures add up to those of ``scope``; a source has none of its own."""
    if scope.kind is SubjectKind.OFFER:
        offer = catalogue.offers.get(OfferId(scope.id))
        yield from () if offer is None else (offer,)
        return
    for offer in catalogue.offers.values():
        if _belongs(offer, scope):
            yield offer


def _belongs(offer: OfferTerms, scope: Subject) -> bool:
    whose = {
        SubjectKind.CAMPAIGN: offer.campaign,
        SubjectKind.BUYER: offer.buyer,
        SubjectKind.OFFER: offer.id,
    }
    return scope == EVERYTHING or whose.get(scope.kind) == scope.id


def _is_there(scope: Subject, catalogue: Catalogue) -> bool:
    known: Mapping[SubjectKind, bool] = {
        SubjectKind.CAMPAIGN: scope.id in catalogue.campaigns,
        SubjectKind.OFFER: scope.id in catalogue.offers,
        SubjectKind.BUYER: any(offer.buyer == scope.id for offer in catalogue.offers.values()),
    }
    return known.get(scope.kind, True)
