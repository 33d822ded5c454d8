"""Pings and posts between the offers' guards and what became of them."""

from collections.abc import Sequence

from auction.domain.bidding import PostReply
from auction.domain.blame import had_its_time, ping_weight, post_refused
from auction.domain.ids import OfferId
from auction.domain.terms import OfferTerms
from auction.engine.fanout import Invited
from auction.engine.outcomes import Outcomes
from auction.ports import Admitted, Clock, HeldBack, PingGuard, PostOrder, Recorder, Snapshot


class Guarding:
    """One round's questions to the guards, each answered once with the ping's end."""

    __slots__ = ("_admitted", "_clock", "_guards", "_outcomes", "_recorder")

    def __init__(
        self, snapshot: Snapshot, clock: Clock, outcomes: Outcomes, recorder: Recorder
    ) -> None:
        self._guards = snapshot.guards
        self._clock = clock
        self._outcomes = outcomes
        self._recorder = recorder
        self._admitted: dict[OfferId, tuple[PingGuard, Admitted]] = {}

    def admits(self, offer: OfferTerms) -> bool:
        """Whether an offer that has a guard may be pinged; if not, that is its outcome."""
        guard = self._guards[offer.id]
        answer = guard.ask(self._clock.monotonic())
        if isinstance(answer, HeldBack):
            self._outcomes.refuse(offer.id, answer.reason, answer.detail)
            self._recorder.pinged(offer.id, answer.reason.outcome, None)
            return False
        self._admitted[offer.id] = guard, answer
        return True

    def tell(self, invited: Sequence[Invited]) -> None:
        """How the pings have ended."""
        if not self._admitted:
            return
        now = self._clock.monotonic()
        for each in invited:
            admitted = self._admitted.pop(each.order.offer.id, None)
            if admitted is not None:
                self._tell(each, *admitted, now)

    def _tell(self, invited: Invited, guard: PingGuard, admitted: Admitted, now: float) -> None:
        outcome, terms = invited.outcome, invited.order.offer.ping_post
        assert outcome is not None, "the fan-out gives every invited offer an outcome"
        assert terms is not None, "only ping-post offers are pinged"
        weight = ping_weight(
            outcome.reason,
            blames_buyer=invited.blames_buyer,
            had_time=had_its_time(invited.order.timeout_ms, terms.ping_timeout_ms),
        )
        guard.pinged(admitted, weight, now)
        if admitted.shadow is not None:
            outcome.shadow = f"{admitted.shadow.reason.outcome}, {admitted.shadow.detail}"
            self._recorder.shadowed(outcome.offer, admitted.shadow.reason)


def tell_post(snapshot: Snapshot, order: PostOrder, reply: PostReply, clock: Clock) -> None:
    """What became of one post."""
    guard, terms = snapshot.guards.get(order.offer.id), order.offer.ping_post
    if guard is None or terms is None:
        return
    had_time = had_its_time(order.timeout_ms, terms.post_timeout_ms)
    refused = post_refused(reply, had_time=had_time)
    if refused is not None:
        guard.posted(refused=refused, now=clock.monotonic())
