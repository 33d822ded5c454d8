"""The outcomes of one decision: every offer that was looked at ends with exactly one."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import orjson

from auction.domain.bidding import Bid, Quote
from auction.domain.ids import OfferId, SuppressionId
from auction.domain.plan import Candidate
from auction.domain.quality import Quality
from auction.domain.reasons import HELD_BACK, Reason
from auction.domain.trace import Timings
from auction.engine.outcome import JsonValue, Outcome, read_weight


class Outcomes:
    """Collects outcomes by offer and writes them down as the trace."""

    def __init__(self, revision: int) -> None:
        self.timings = Timings()
        self.suppressed: Sequence[SuppressionId] = ()
        """The lists that the caller is on."""
        self.quality: Quality | None = None
        self._revision = revision
        # None: eligible, and so far nothing more is known. Most of these get an outcome of a ping.
        self._by_offer: dict[OfferId, Outcome | None] = {}

    @classmethod
    def restored(cls, trace: bytes) -> "Outcomes":
        """The outcomes that a decider which died had stored with its plan."""
        stored = orjson.loads(trace)
        outcomes = cls(int(stored["revision"]))
        outcomes.suppressed = stored.get("suppressed", ())
        for name in ("eligible_ms", "ping_ms", "post_ms"):
            setattr(outcomes.timings, name, float(stored[name]))
        outcomes.quality = read_quality(stored.get("quality"))
        for entry in stored["offers"]:
            outcomes._restore(entry)
        return outcomes

    def _restore(self, entry: dict[str, JsonValue]) -> None:
        code, bid, ms, rank = entry["code"], entry["bid"], entry["ms"], entry["rank"]
        quote, shadow = entry.get("quote"), entry.get("shadow")
        outcome = Outcome(
            OfferId(str(entry["offer"])),
            None if code is None else Reason(int(str(code))),
            None if entry["detail"] is None else str(entry["detail"]),
            None if bid is None else Decimal(str(bid)),
            None if ms is None else float(str(ms)),
            None if rank is None else int(str(rank)),
            bool(entry.get("static", False)),
            Quote(**quote) if isinstance(quote, dict) else None,
            shadow=None if shadow is None else str(shadow),
            weight=read_weight(entry.get("multiplier"), entry.get("odds")),
        )
        self._by_offer[outcome.offer] = outcome

    def standby(self, offer: OfferId) -> None:
        """An offer that may take the call."""
        self._by_offer[offer] = None

    def refuse(self, offer: OfferId, reason: Reason, detail: str | None = None) -> None:
        """An offer that was not asked."""
        self._by_offer[offer] = Outcome(offer, reason, detail)

    def record(self, outcome: Outcome) -> None:
        """The outcome of a ping."""
        self._by_offer[outcome.offer] = outcome

    def ranked(self, ranking: Sequence[Bid]) -> None:
        """Valid bids in their order; all are outbid until one of them is taken."""
        for place, bid in enumerate(ranking, start=1):
            outcome = self._of(bid.offer)
            outcome.rank, outcome.written = place, None

    def standing(self, bids: Sequence[Candidate]) -> None:
        """Bids of an earlier attempt that still stand, in their order."""
        for place, bid in enumerate(bids, start=1):
            self._by_offer[bid.offer] = Outcome(
                bid.offer,
                Reason.OUTBID,
                "a bid of an earlier attempt",
                bid=bid.price,
                rank=place,
                ping_id=bid.ping_id,
            )

    def mark(self, offer: OfferId, reason: Reason | None, detail: str | None = None) -> None:
        """What became of a bid or a static offer later on; None: it won."""
        outcome = self._of(offer)
        outcome.reason, outcome.detail, outcome.written = reason, detail, None

    def route_statically(self, offer: OfferId, *, pinged: bool) -> None:
        """A static win; an offer that was pinged keeps its auction outcome."""
        outcome = self._of(offer)
        outcome.static, outcome.written = True, None
        if not pinged:
            self.mark(offer, None, _why_not_pinged(outcome))

    def reason_of(self, offer: OfferId) -> Reason | None:
        """The outcome so far."""
        outcome = self._by_offer[offer]
        return Reason.STANDBY if outcome is None else outcome.reason

    def was_pinged(self, offer: OfferId) -> bool:
        """Whether the outcome comes from an auction, be it that of an earlier attempt."""
        outcome = self._by_offer[offer]
        return outcome is not None and (outcome.ms is not None or outcome.ping_id is not None)

    def all(self) -> Iterable[Outcome]:
        """Every outcome, in the order in which offers were looked at."""
        return [self._of(offer) for offer in self._by_offer]

    def _of(self, offer: OfferId) -> Outcome:
        outcome = self._by_offer[offer]
        if outcome is None:
            outcome = self._by_offer[offer] = Outcome(offer, Reason.STANDBY)
        return outcome

    def dump(self) -> bytes:
        """The trace as stored: JSON, money as text."""
        timings = self.timings
        trace = {
            "revision": self._revision,
            "eligible_ms": round(timings.eligible_ms, 3),
            "ping_ms": round(timings.ping_ms, 3),
            "post_ms": round(timings.post_ms, 3),
            "total_ms": round(timings.total_ms, 3),
            "offers": [orjson.Fragment(each.entry()) for each in self.all()],
        }
        if self.suppressed:
            trace["suppressed"] = self.suppressed
        if self.quality is not None:
            trace["quality"] = quality_entry(self.quality)
        return orjson.dumps(trace)


def quality_entry(quality: Quality) -> dict[str, int]:
    """A call's quality as traces hold it."""
    return {"score": quality.score, "source_points": quality.source_points}


def read_quality(stored: object) -> Quality | None:
    """What ``quality_entry`` has written, None where it wrote nothing."""
    if not isinstance(stored, dict):
        return None
    return Quality(int(stored["score"]), int(stored["source_points"]))


def _why_not_pinged(outcome: Outcome) -> str | None:
    if outcome.reason not in HELD_BACK:
        return None
    told = "" if outcome.detail is None else f", {outcome.detail}"
    return f"not pinged: {outcome.reason.outcome}{told}"
