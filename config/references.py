"""What one object says about another: checked on plain data, so that no other fault hides it."""

from collections.abc import Iterator, Mapping

from auction.domain.phone import normalise_number
from config.faults import Fault, place
from config.plain_data import Item, Steps, below, listed, offers, text_of, texts
from config.template_syntax import POST_ONLY_TOKENS, TemplateError, Token, parse_template
from config.values import DEFAULT_COUNTRY

Finding = tuple[Steps, str]


def reference_faults(data: Mapping[str, object]) -> list[Fault]:
    """Duplicate ids, unknown campaigns, numbers claimed twice, private fields in pings."""
    top = Item((), data)
    findings = [
        *_duplicate_ids(top),
        *_numbers_claimed_twice(top),
        *_unknown_campaigns(top),
        *_private_fields_in_pings(top),
        *_unknown_owners_of_lists(top),
    ]
    return [place(data, steps, message) for steps, message in findings]


def _duplicate_ids(top: Item) -> Iterator[Finding]:
    for key in ("campaigns", "sources", "buyers", "suppressions"):
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
    for campaign in listed(top, "campaigns"):
        numbers = campaign.data.get("numbers")
        for index, raw in enumerate(numbers if isinstance(numbers, list | tuple) else ()):
            number = normalise_number(raw, DEFAULT_COUNTRY) if isinstance(raw, str) else None
            if number is None:
                continue
            if number in owners:
                told = f"belongs to campaign {owners[number]} already: a number has one campaign"
                yield (*campaign.steps, "numbers", index), told
            owners.setdefault(number, campaign.id or "?")


def _unknown_campaigns(top: Item) -> Iterator[Finding]:
    known = {campaign.id for campaign in listed(top, "campaigns")}
    for offer in offers(top):
        name = text_of(offer.data.get("campaign"))
        if name is not None and name not in known:
            yield (*offer.steps, "campaign"), "names a campaign that is not in this file"


def _unknown_owners_of_lists(top: Item) -> Iterator[Finding]:
    for key, owners in (("campaign", "campaigns"), ("buyer", "buyers")):
        known = {owner.id for owner in listed(top, owners)}
        for suppression in listed(top, "suppressions"):
            name = text_of(suppression.data.get(key))
            if name is not None and name not in known:
                yield (*suppression.steps, key), f"names a {key} that is not in this file"


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
    for key in ("headers", "query", "body") if ping else ():
        if ping is not None:
            yield from _tokens(ping.data.get(key), (*ping.steps, key))


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
