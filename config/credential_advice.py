"""Where what looks like a credential stands in clear, in exports and in the audit log."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from config.credentials import has_credential_name, is_credential
from config.delivery_profiles import PROFILES
from config.plain_data import Item, Steps, below, listed, offers, text_of

Finding = tuple[Steps, str]

_IN_URL: Final = "is shown in clear: use auth, or give it in query, to have it sealed"
_IN_BODY: Final = "is shown in clear: use auth, headers or query, where the buyer takes it there"
_IN_TEMPLATE: Final = (
    "is shown in clear, since it has a token: send the part that never changes as one of its own"
)
_TOKEN: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SCHEME: Final = re.compile(r"\s*(bearer|basic|token)?\s*", re.IGNORECASE)
_SHORTEST: Final = 8
"""Characters of a template that may be a credential, rather than a prefix or a separator."""
_DEEPEST: Final = 16


def plain_credentials(top: Item) -> Iterator[Finding]:
    """Of all offers' requests, delivery profiles and webhooks, as they are written."""
    for holder in _holders(top):
        yield from _of_request(holder)


def _holders(top: Item) -> Iterator[Item]:
    for owner, path in (
        *((offer, ("ping_post", end)) for offer in offers(top) for end in ("ping", "post")),
        *((profile, (end,)) for profile in listed(top, PROFILES) for end in ("ping", "post")),
        *((alert, ("webhook",)) for alert in listed(top, "alerts")),
        *((alert, ("escalation", "webhook")) for alert in listed(top, "alerts")),
    ):
        found = below(owner, *path)
        if found is not None:
            yield found
    for key in ("campaigns", "buyers"):
        for each in listed(top, key):
            yield from listed(each, "webhooks")


def _of_request(side: Item) -> Iterator[Finding]:
    for part in ("headers", "query"):
        values = below(side, part)
        for name, value in values.data.items() if values else ():
            if has_credential_name(str(name)) and _has_constant_part(value):
                yield (*side.steps, part, str(name)), _IN_TEMPLATE
    if _is_in_url(text_of(side.data.get("url")) or ""):
        yield (*side.steps, "url"), _IN_URL
    yield from _in_body(side.data.get("body"), (*side.steps, "body"))


def _has_constant_part(value: object) -> bool:
    if not isinstance(value, str) or "{{" not in value:
        return False
    return any(
        len(part) >= _SHORTEST and not _SCHEME.fullmatch(part) for part in _TOKEN.split(value)
    )


def _is_in_url(url: str) -> bool:
    address, _, query = url.partition("?")
    host = address.partition("://")[2].partition("/")[0]
    named = (each.partition("=") for each in query.partition("#")[0].split("&"))
    return "@" in host or any(is_credential(name, value) for name, _, value in named)


def _in_body(value: object, steps: Steps) -> Iterator[Finding]:
    if len(steps) > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, str) and is_credential(str(name), item):
                yield (*steps, str(name)), _IN_BODY
            else:
                yield from _in_body(item, (*steps, str(name)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _in_body(item, (*steps, index))
