"""What a marketplace says that is allowed and probably not meant."""

from collections.abc import Iterator, Mapping

from config.credential_advice import plain_credentials
from config.delivery_profiles import expanded
from config.faults import Fault, place
from config.plain_data import Item, Steps, below, listed, offers, text_of
from config.references import Finding, early_tokens
from config.routing_advice import routing_advice
from config.sealing import variables
from config.secret_values import OWN_VARIABLE, is_own

_OF_PINGS = frozenset({"timeout_rate", "error_rate", "bid_rate", "accept_rate", "ping_p95_ms"})
"""What rules read of pings and posts, which a paused offer gets none of."""


def advice_on(data: Mapping[str, object], environ: Mapping[str, str]) -> list[Fault]:
    """Every warning about plain data, whatever else may be wrong with it."""
    top = Item((), expanded(data))
    findings = [
        *_unset_variables(data, environ),
        *_unknown_sources(top),
        *routing_advice(top),
        *_never_resumed(top),
        *_forgotten_too_early(top),
        *plain_credentials(Item((), data)),
        *(finding for offer in offers(top) for finding in _of_offer(offer)),
    ]
    return [place(data, steps, message) for steps, message in findings]


def own_variables(data: Mapping[str, object]) -> list[Fault]:
    """Where the service's own settings are named: whoever may change an offer gets none of them."""
    found = ((*steps, "env") for steps, name in variables(data) if is_own(name))
    return [place(data, steps, OWN_VARIABLE) for steps in found]


def _unset_variables(data: Mapping[str, object], environ: Mapping[str, str]) -> Iterator[Finding]:
    places: dict[str, list[Steps]] = {}
    for steps, name in variables(data):
        if not environ.get(name):
            places.setdefault(name, []).append((*steps, "env"))
    for name, found in places.items():
        yield found[0], f"the environment variable {name} is not set here{_more(found)}"


def _more(places: list[Steps]) -> str:
    return f" (so in {len(places)} places)" if len(places) > 1 else ""


def _unknown_sources(top: Item) -> Iterator[Finding]:
    known = {"*", *(source.id for source in listed(top, "sources"))}
    for campaign in listed(top, "campaigns"):
        for payout in listed(campaign, "payouts"):
            if text_of(payout.data.get("source")) not in {None, *known}:
                yield (*payout.steps, "source"), "names a source that is not in this file"


def _never_resumed(top: Item) -> Iterator[Finding]:
    for alert in listed(top, "alerts"):
        pause = below(alert, "auto_pause")
        if pause is None or pause.data.get("resume_after_minutes") is not None:
            continue
        if alert.data.get("measure") in _OF_PINGS:
            yield (
                pause.steps,
                "is never lifted: a paused offer is not pinged, so set resume_after_minutes",
            )


def _forgotten_too_early(top: Item) -> Iterator[Finding]:
    """Rules that look at callers for longer than their campaign knows them."""
    days: dict[str, int] = {}
    for campaign in listed(top, "campaigns"):
        retention = below(campaign, "retention")
        kept = None if retention is None else _least_days(retention.data)
        if kept is not None and campaign.id is not None:
            days[campaign.id] = kept
            yield from _beyond(campaign, ("payouts",), kept)
    for offer in offers(top):
        kept = days.get(text_of(offer.data.get("campaign")) or "")
        if kept is not None:
            yield from _beyond(offer, ("conversions",), kept)


def _least_days(retention: Mapping[str, object]) -> int | None:
    days = [
        each for key in ("pii_days", "calls_days") if isinstance(each := retention.get(key), int)
    ]
    return min(days, default=None)


def _beyond(owner: Item, rules: tuple[str, ...], kept: int) -> Iterator[Finding]:
    duplicates = below(owner, "duplicates")
    places = [] if duplicates is None else [(duplicates, "within_days")]
    places += [(rule, "dedupe_days") for key in rules for rule in listed(owner, key)]
    for item, key in places:
        days = item.data.get(key)
        if isinstance(days, int) and days > kept:
            told = f"looks no further back than {kept} days: retention takes callers away then"
            yield (*item.steps, key), told


def _of_offer(offer: Item) -> Iterator[Finding]:
    buyer = offer.owner.data if offer.owner else {}
    billed = buyer.get("type", "buyer") == "buyer"
    bids = offer.data.get("ping_post") is not None
    if bids and not billed:
        yield (
            (*offer.steps, "ping_post"),
            f"is never used: a {buyer.get('type')} buyer is not pinged",
        )
    if billed and not bids and offer.data.get("static_price") is None:
        yield offer.steps, "gets no calls: it has neither static_price nor ping_post"
    if bids and billed and offer.data.get("destination") is None:
        yield (*offer.steps, "destination"), "is missing: every bid must bring one"
    hours = below(offer, "hours")
    if hours is not None and _never_open(hours.data.get("weekly")):
        yield (
            (*hours.steps, "weekly"),
            'is never open: name ranges such as mon-fri: ["08:00-18:00"]',
        )
    yield from early_tokens(offer)
    yield from _unused_mapping(offer)


def _unused_mapping(offer: Item) -> Iterator[Finding]:
    terms = below(offer, "ping_post")
    if terms is None or terms.data.get("mapping") is None:
        return
    sides = [side for key in ("ping", "post") if (side := below(terms, key)) is not None]
    if all(side.data.get("body") is not None or side.data.get("method") == "GET" for side in sides):
        told = "is never used: ping and post have bodies of their own"
        yield (*terms.steps, "mapping"), told


def _never_open(weekly: object) -> bool:
    return isinstance(weekly, Mapping) and not any(weekly.values())
