"""How likely an offer's bids become revenue, estimated from what became of its calls lately.

Each chance is a beta-binomial mean: the offer's own share of successes, drawn towards that of its
campaign by a prior worth ``PRIOR_TRIALS`` trials; the campaign's is drawn to that of all campaigns
in the same way, and that one to one half by a prior of two trials. What lies ``HALF_LIFE`` back
counts half.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from auction.domain.ids import CampaignId, OfferId, SourceId
from auction.domain.scoring import Odds, OddsBook

WINDOW: Final = timedelta(days=30)
HALF_LIFE: Final = timedelta(days=7)
PRIOR_TRIALS: Final = 20.0

_STEP: Final = Decimal("0.000001")
_CERTAIN: Final = Decimal(1)
_HUNDREDTH: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Results:
    """What became of an offer's calls in a stretch of time that began ``at``.

    ``refused`` counts posts that were not accepted; ``converted`` may exceed ``answered``.
    """

    campaign: CampaignId
    offer: OfferId
    at: datetime
    accepted: int = 0
    refused: int = 0
    routed: int = 0
    answered: int = 0
    converted: int = 0


@dataclass(frozen=True, slots=True)
class SourceResults:
    """How many calls of a source were answered and converted in a time that began ``at``."""

    source: SourceId
    at: datetime
    answered: int = 0
    converted: int = 0


@dataclass(slots=True)
class _Chance:
    """Weighted successes and trials."""

    successes: float = 0.0
    trials: float = 0.0

    def add(self, successes: float, trials: float) -> None:
        self.successes += successes
        self.trials += max(trials, successes)

    def mean(self, prior: float, prior_trials: float = PRIOR_TRIALS) -> float:
        return (self.successes + prior * prior_trials) / (self.trials + prior_trials)


_Chances = tuple[_Chance, _Chance, _Chance]
_Means = tuple[float, float, float]

_EVEN: Final[_Means] = (0.5, 0.5, 0.5)


def estimate(results: Iterable[Results], now: datetime) -> OddsBook:
    """The odds of every offer that has results in the window before ``now``."""
    offers: defaultdict[tuple[CampaignId, OfferId], _Chances] = defaultdict(_chances)
    campaigns: defaultdict[CampaignId, _Chances] = defaultdict(_chances)
    everywhere = _chances()
    for each in results:
        weight = _weight(each.at, now)
        if not weight:
            continue
        for chances in (offers[each.campaign, each.offer], campaigns[each.campaign], everywhere):
            _add(chances, each, weight)
    market = _means(everywhere, _EVEN, prior_trials=2.0)
    of_campaigns = {name: _means(chances, market) for name, chances in campaigns.items()}
    return OddsBook(
        offers={
            offer: _odds(_means(chances, of_campaigns[campaign]))
            for (campaign, offer), chances in offers.items()
        },
        campaigns={name: _odds(means) for name, means in of_campaigns.items()},
        otherwise=_odds(market),
    )


def standings(results: Iterable[SourceResults], now: datetime) -> dict[SourceId, Decimal]:
    """How each source's calls convert beside those of all: -1 never, 0 as often, 1 twice or more.

    With at most 2 decimals.
    """
    sources: defaultdict[SourceId, _Chance] = defaultdict(_Chance)
    everywhere = _Chance()
    for each in results:
        weight = _weight(each.at, now)
        for chance in (sources[each.source], everywhere):
            chance.add(weight * each.converted, weight * each.answered)
    mean = everywhere.mean(0.5, prior_trials=2.0)
    return {
        source: Decimal(min(chance.mean(mean) / mean - 1, 1.0)).quantize(_HUNDREDTH)
        for source, chance in sources.items()
    }


def _weight(at: datetime, now: datetime) -> float:
    age = max(now - at, timedelta())
    return 0.5 ** (age / HALF_LIFE) if age <= WINDOW else 0.0


def _chances() -> _Chances:
    return _Chance(), _Chance(), _Chance()


def _add(chances: _Chances, each: Results, weight: float) -> None:
    accepted, answered, converted = chances
    accepted.add(weight * each.accepted, weight * (each.accepted + each.refused))
    answered.add(weight * each.answered, weight * each.routed)
    converted.add(weight * each.converted, weight * each.answered)


def _means(chances: _Chances, prior: _Means, prior_trials: float = PRIOR_TRIALS) -> _Means:
    first, second, third = (
        chance.mean(before, prior_trials) for chance, before in zip(chances, prior, strict=True)
    )
    return first, second, third


def _odds(means: _Means) -> Odds:
    return Odds(*(_rounded(mean) for mean in means))


def _rounded(mean: float) -> Decimal:
    return min(max(Decimal(mean).quantize(_STEP), _STEP), _CERTAIN)
