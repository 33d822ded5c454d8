"""The decision trace as it is read: what was stored, and what fixed terms tell again."""

from dataclasses import replace
from decimal import Decimal

import orjson

from auction.domain.call import Call
from auction.domain.eligibility import fixed_refusal
from auction.domain.ids import OfferId
from auction.domain.money import render
from auction.domain.reasons import WON, Reason
from auction.domain.terms import Campaign, OfferTerms
from auction.domain.trace import Timings, Trace, TraceEntry
from auction.engine.outcome import read_weight, weight_entry
from auction.engine.outcomes import read_quality
from auction.redaction import mask_numbers


def read_trace(stored: bytes) -> Trace:
    """A trace from its stored JSON."""
    content = orjson.loads(stored)
    timings = Timings(
        eligible_ms=content["eligible_ms"],
        ping_ms=content["ping_ms"],
        post_ms=content["post_ms"],
        total_ms=content["total_ms"],
    )
    offers = tuple(_entry(**each) for each in content["offers"])
    suppressed = tuple(content.get("suppressed", ()))
    quality = read_quality(content.get("quality"))
    return Trace(content["revision"], timings, offers, suppressed, quality)


def explain(campaign: Campaign | None, call: Call, trace: Trace) -> tuple[TraceEntry, ...]:
    """One entry for every offer of the campaign, in order of id.

    An offer that is not in the trace was refused by its fixed terms, which give the same reason
    again for the same call; one that they allow was not reached by the decision.
    """
    call = with_quality(call, trace)
    entries = {entry.offer: entry for entry in trace.offers}
    for offer in campaign.offers if campaign else ():
        if offer.id not in entries:
            entries[offer.id] = _recomputed(call, offer)
    return tuple(entries[offer] for offer in sorted(entries))


def with_quality(call: Call, trace: Trace) -> Call:
    """The call as it was scored when it was decided."""
    return call if trace.quality is None else replace(call, quality=trace.quality.score)


def render_entry(entry: TraceEntry, *, unmasked: bool) -> dict[str, object]:
    """One offer's line as JSON. Numbers in a buyer's own words are masked unless ``unmasked``."""
    detail = entry.detail
    line: dict[str, object] = {
        "offer": entry.offer,
        "outcome": WON if entry.reason is None else entry.reason.outcome,
        "code": None if entry.reason is None else entry.reason.value,
        "detail": detail if unmasked or detail is None else mask_numbers(detail),
        "bid": None if entry.bid is None else render(entry.bid),
        "ms": entry.ms,
        "rank": entry.rank,
    }
    if entry.static:
        line["static"] = True
    if entry.shadow is not None:
        line["shadow"] = entry.shadow
    if entry.weight is not None:
        line.update(weight_entry(entry.weight))
    return line


def _entry(
    *,
    offer: str,
    code: int | None,
    detail: str | None = None,
    bid: str | None = None,
    ms: float | None = None,
    rank: int | None = None,
    static: bool = False,
    shadow: str | None = None,
    multiplier: str | None = None,
    odds: object = None,
    **_: object,
) -> TraceEntry:
    return TraceEntry(
        offer=OfferId(offer),
        reason=None if code is None else Reason(code),
        detail=detail,
        bid=None if bid is None else Decimal(bid),
        ms=ms,
        rank=rank,
        static=static,
        shadow=shadow,
        weight=read_weight(multiplier, odds),
    )


def _recomputed(call: Call, offer: OfferTerms) -> TraceEntry:
    refused = fixed_refusal(call, offer)
    if refused is None:
        return TraceEntry(offer.id, Reason.NOT_ASKED)
    return TraceEntry(offer.id, refused.reason, refused.detail)
