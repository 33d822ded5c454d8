"""The breakers and ping rates of offers; what they have seen survives a reload of the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auction.domain.breaker import Asked, Breaker, BreakerState, BreakerTerms, PingWeight
from auction.domain.ids import OfferId
from auction.domain.ping_rate import PingRate, PingRateTerms
from auction.domain.reasons import Reason
from auction.domain.terms import Catalogue
from auction.ports import Admitted, HeldBack

OnState = Callable[[OfferId, BreakerState], None]


def _tell_nobody(_: OfferId, __: BreakerState) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Rate:
    terms: PingRateTerms
    rate: PingRate


@dataclass(slots=True)
class _Circuit:
    """A breaker that tells of its changes."""

    offer: OfferId
    terms: BreakerTerms
    breaker: Breaker
    on_state: OnState
    shown: BreakerState = BreakerState.CLOSED

    def show(self) -> None:
        """Tell the state if it has changed."""
        if self.breaker.state is not self.shown:
            self.shown = self.breaker.state
            self.on_state(self.offer, self.shown)


class OfferGuard:
    """One offer's breaker and ping rate, either or both; a ``PingGuard``."""

    __slots__ = ("_circuit", "_rate")

    def __init__(self, circuit: _Circuit | None, rate: _Rate | None) -> None:
        self._circuit = circuit
        self._rate = rate

    def ask(self, now: float) -> Admitted | HeldBack:
        """See ``PingGuard.ask``. What is held back by one uses up nothing of the other."""
        rate, shadow = self._rate, None
        too_many = self._too_many(now)
        if rate is not None and too_many is not None:
            if not rate.terms.shadow:
                return too_many
            shadow = too_many
        asked = self._ask_breaker(now)
        if asked.why is not None:
            held = HeldBack(Reason.BREAKER_OPEN, asked.why)
            if self._circuit is not None and not self._circuit.terms.shadow:
                return held
            shadow = shadow or held
        if rate is not None and too_many is None:
            rate.rate.take(now)
        return Admitted(asked.epoch if asked.why is None else _NO_EPOCH, shadow)

    def pinged(self, admitted: Admitted, weight: PingWeight, now: float) -> None:
        """See ``PingGuard.pinged``."""
        circuit = self._circuit
        if circuit is not None and admitted.epoch != _NO_EPOCH:
            circuit.breaker.pinged(admitted.epoch, weight, now)
            circuit.show()

    def posted(self, *, refused: bool, now: float) -> None:
        """See ``PingGuard.posted``."""
        circuit = self._circuit
        if circuit is not None:
            circuit.breaker.posted(refused=refused, now=now)
            circuit.show()

    def _too_many(self, now: float) -> HeldBack | None:
        rate = self._rate
        if rate is None or rate.rate.has_room(now):
            return None
        return HeldBack(Reason.THROTTLED, f"the limit is {rate.terms.per_second:g} per second")

    def _ask_breaker(self, now: float) -> Asked:
        circuit = self._circuit
        if circuit is None:
            return _ALWAYS
        asked = circuit.breaker.ask(now)
        circuit.show()
        return asked


class Guards:
    """Makes the guards of each revision of the catalogue.

    What has the same terms as before keeps its state, the rest begins anew. ``on_state`` is told
    of every change of a breaker. ``processes`` share a ping rate evenly; breakers they don't share.
    """

    def __init__(self, on_state: OnState = _tell_nobody, *, processes: int = 1) -> None:
        self._on_state = on_state
        self._processes = processes
        self._circuits: dict[OfferId, _Circuit] = {}
        self._rates: dict[OfferId, _Rate] = {}

    def of(self, catalogue: Catalogue) -> Mapping[OfferId, OfferGuard]:
        """A guard for each auctioned offer that has a breaker or a ping rate."""
        guarded = {
            offer.id: terms
            for offer in catalogue.offers.values()
            if (terms := offer.ping_post) is not None
            and offer.auctioned
            and (terms.breaker or terms.ping_rate)
        }
        circuits = {
            offer: self._circuit(offer, terms.breaker)
            for offer, terms in guarded.items()
            if terms.breaker is not None
        }
        for offer, circuit in self._circuits.items():
            if circuits.get(offer) is not circuit:
                self._retire(circuit)
        self._circuits = circuits
        self._rates = {
            offer: self._rate(offer, terms.ping_rate)
            for offer, terms in guarded.items()
            if terms.ping_rate is not None
        }
        return {
            offer: OfferGuard(self._circuits.get(offer), self._rates.get(offer))
            for offer in guarded
        }

    def _circuit(self, offer: OfferId, terms: BreakerTerms) -> _Circuit:
        known = self._circuits.get(offer)
        if known is not None and known.terms == terms:
            return known
        return _Circuit(offer, terms, Breaker(terms), self._on_state)

    def _retire(self, circuit: _Circuit) -> None:
        """Calls that began with it may still tell it something; nobody is to hear of that."""
        circuit.on_state = _tell_nobody
        self._on_state(circuit.offer, BreakerState.CLOSED)

    def _rate(self, offer: OfferId, terms: PingRateTerms) -> _Rate:
        known = self._rates.get(offer)
        if known is not None and known.terms == terms:
            return known
        return _Rate(terms, PingRate(terms.per_second / self._processes))


_ALWAYS = Asked(0)
_NO_EPOCH = -1
"""Of pings that a breaker in shadow mode would have held back: they are not its own."""
