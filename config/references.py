"""What one object says about another: checked on plain data, so that no other fault hides it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from auction.domain.phone import normalise_number
from config.built_in_profiles import BUILT_IN
from config.delivery_profiles import PROFILES, expanded, known_profiles
from config.faults import Fault, place
from config.plain_data import Item, Steps, below, listed, offers, text_of, texts
from config.template_syntax import POST_ONLY_TOKENS, TemplateError, Token, parse_template
from config.values import DEFAULT_COUNTRY
from config.voice_bots import made_from_agent

Finding = tuple[Steps, str]


def reference_faults(data: Mapping[str, object]) -> list[Fault]:
    """Duplicate ids, names of nothing, numbers claimed twice, private fields in pings."""
    top = Item((), expanded(data))
    findings = [
        *_duplicate_ids(top),
        *_numbers_claimed_twice(top),
        *_unknown_names(top),
        *_numbers_beyond_caps(top),
        *_unknown_to_alerts(top),
        *_private_fields_in_pings(top),
        *_unknown_profiles(top),
    ]
    return [place(data, steps, message) for steps, message in findings]


def _duplicate_ids(top: Item) -> Iterator[Finding]:
    keys = (
        *("campaigns", "sources", "buyers", "numbers", "pools", "voice_agents", "suppressions"),
        "alerts",
        PROFILES,
    )
    for key in keys:
        yield from _repeated(list(listed(top, key)))
    yield from _repeated(list(offers(top)))
    for key in ("campaigns", "buyers"):
        for owner in listed(top, key):
            yield from _repeated(list(listed(owner, "webhooks")))


def _repeated(items: list[Item]) -> Iterator[Finding]:
    first: dict[str, Item] = {}
    for item in items:
        if item.id is None:
            continue
        if item.id in first:
            yield (
                (*item.steps, "id"),
                f"is the id of {_where(first[item.id])} already: choose another",
            )
        first.setdefault(item.id, item)


def _where(item: Item) -> str:
    return Fault(item.steps, "").path


def _numbers_claimed_twice(top: Item) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for owner, steps, raw in _claims(top):
        number = normalise_number(raw, DEFAULT_COUNTRY) if isinstance(raw, str) else None
        if number is None:
            continue
        if number in owners:
            yield steps, f"belongs to {owners[number]} already: a number stands in one place only"
        owners.setdefault(number, owner)


def _claims(top: Item) -> Iterator[tuple[str, Steps, object]]:
    """Who has a number, where it stands, and the number as written."""
    for key, kind in (("campaigns", "campaign"), ("pools", "pool")):
        for owner in listed(top, key):
            numbers = owner.data.get("numbers")
            for index, raw in enumerate(numbers if isinstance(numbers, list | tuple) else ()):
                yield f"{kind} {owner.id or '?'}", (*owner.steps, "numbers", index), raw
    for item in listed(top, "numbers"):
        yield f"number {item.id or '?'}", (*item.steps, "number"), item.data.get("number")


def _unknown_names(top: Item) -> Iterator[Finding]:
    of_campaigns = (*offers(top), *listed(top, "numbers"), *listed(top, "pools"))
    agents = tuple(listed(top, "voice_agents"))
    yield from _unknown(top, (*of_campaigns, *agents), "campaigns", "campaign")
    of_sources = (*listed(top, "numbers"), *listed(top, "pools"))
    yield from _unknown(top, of_sources, "sources", "source")
    lists = tuple(listed(top, "suppressions"))
    yield from _unknown(top, lists, "campaigns", "campaign")
    yield from _unknown(top, lists, "buyers", "buyer")
    known = {offer.id for offer in offers(top)}
    for number in listed(top, "numbers"):
        for rule in listed(number, "rules"):
            for index, name in enumerate(texts(rule.data.get("offers"))):
                if name not in known:
                    yield (*rule.steps, "offers", index), "names an offer that is not there"


def _unknown(top: Item, items: Iterable[Item], key: str, name: str) -> Iterator[Finding]:
    known = {each.id for each in listed(top, key)}
    for item in items:
        named = text_of(item.data.get(name))
        if named is not None and named not in known and not _made(item):
            yield (*item.steps, name), f"names a {name} that is not there"


def _made(item: Item) -> bool:
    """Whether an offer is a voice agent's: what is wrong is told of the agent."""
    return item.owner is not None and made_from_agent(item.owner.data)


def _numbers_beyond_caps(top: Item) -> Iterator[Finding]:
    """Sources with more numbers of their own than they may have."""
    counts = Counter(text_of(number.data.get("source")) for number in listed(top, "numbers"))
    for source in listed(top, "sources"):
        cap, count = source.data.get("number_cap"), counts[source.id]
        if isinstance(cap, int) and source.id is not None and count > cap:
            yield (*source.steps, "number_cap"), f"is below the {count} numbers this source has"


def _unknown_to_alerts(top: Item) -> Iterator[Finding]:
    known = {
        "campaign": {item.id for item in listed(top, "campaigns")},
        "buyer": {item.id for item in listed(top, "buyers")},
        "offer": {item.id for item in offers(top)},
    }
    for alert in listed(top, "alerts"):
        for kind, ids in known.items():
            name = text_of(alert.data.get(kind))
            if name is not None and name not in ids:
                yield (*alert.steps, kind), f"names {_A[kind]} that is not there"


_A = {"campaign": "a campaign", "buyer": "a buyer", "offer": "an offer"}


def _unknown_profiles(top: Item) -> Iterator[Finding]:
    known = known_profiles(top.data)
    for offer in offers(top):
        terms = below(offer, "ping_post")
        name = None if terms is None else text_of(terms.data.get("profile"))
        if terms is not None and name is not None and name not in known:
            built_in = ", ".join(BUILT_IN)
            told = f"names a delivery profile that is not there: built in are {built_in}"
            yield (*terms.steps, "profile"), told


def _private_fields_in_pings(top: Item) -> Iterator[Finding]:
    private = {
        campaign.id: frozenset(texts(campaign.data.get("private_fields")))
        for campaign in listed(top, "campaigns")
    }
    for offer in offers(top):
        hidden = private.get(text_of(offer.data.get("campaign")), frozenset())
        for steps, token in ping_tokens(offer) if hidden else ():
            if token.field in hidden:
                yield (
                    steps,
                    f"sends the private field {token.field} in a ping: only a post may carry it",
                )


def ping_tokens(offer: Item) -> Iterator[tuple[Steps, Token]]:
    """Every token of an offer's ping template (headers, query, body) and where it stands."""
    ping = below(offer, "ping_post", "ping")
    if ping is None:
        return
    for key in ("headers", "query"):
        named = below(ping, key)
        for name, text in named.data.items() if named else ():
            # Anything else is a secret, which is sent as it stands.
            if isinstance(text, str):
                yield from _tokens(text, (*ping.steps, key, str(name)))
    yield from _tokens(ping.data.get("body"), (*ping.steps, "body"))


def early_tokens(offer: Item) -> Iterator[Finding]:
    """Tokens of a ping that have no value before there is a bid."""
    for steps, token in ping_tokens(offer):
        if token.name in POST_ONLY_TOKENS:
            yield (
                steps,
                f"{{{{ {token.name} }}}} has no value in a ping: it is known from the bid on",
            )


def _tokens(value: object, steps: Steps, depth: int = 0) -> Iterator[tuple[Steps, Token]]:
    if isinstance(value, str):
        for token in _parsed(value):
            yield steps, token
    elif isinstance(value, Mapping) and depth < 20:
        for key, item in value.items():
            yield from _tokens(item, (*steps, str(key)), depth + 1)
    elif isinstance(value, list | tuple) and depth < 20:
        for index, item in enumerate(value):
            yield from _tokens(item, (*steps, index), depth + 1)


def _parsed(text: str) -> tuple[Token, ...]:
    try:
        return parse_template(text).tokens
    except TemplateError:
        return ()
