"""Secrets on their way into storage, out of it and into an export."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from config.credentials import secrets_among
from config.faults import ConfigError, Fault, Step, place
from config.plain_data import Item, Steps, below, endpoints, listed, offers
from config.secret_box import SecretBox, SecretBoxError
from config.secret_values import KEPT, OWN_VARIABLE, Secret, fault_of_text, is_own

_PURPOSE: Final = b"pingpost marketplace secret"
_AUTH_SECRETS: Final = ("token", "key", "password", "secret")
_ENDS: Final = ("ping", "post")

Key = tuple[str, ...]
"""Names a secret by the ids of what it belongs to, so that it is found wherever that moves."""


class SecretUnavailableError(Exception):
    """A secret can't be had; the message says why and never what it is."""


def resolve_secret(secret: Secret, box: SecretBox | None, environ: Mapping[str, str]) -> str:
    """The text of a secret, from wherever it is kept. Raises SecretUnavailableError."""
    if secret.env is not None:
        return _from_environment(secret.env, environ)
    if secret.plain is not None:
        return secret.plain
    if secret.sealed is None:
        raise SecretUnavailableError("no secret is stored for {keep: true}")
    if box is None:
        raise SecretUnavailableError("a sealed secret needs SECRET_KEY")
    try:
        return box.open_text(secret.sealed, _PURPOSE)
    except SecretBoxError as error:
        raise SecretUnavailableError(str(error)) from error


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    # Asked here too: what is stored may be older than the rule for what is given.
    if is_own(name):
        raise SecretUnavailableError(f"the environment variable {name} {OWN_VARIABLE}")
    text = environ.get(name)
    if text is None:
        raise SecretUnavailableError(f"the environment variable {name} is not set")
    wrong = fault_of_text(text)
    if wrong:
        raise SecretUnavailableError(f"the environment variable {name} {wrong}")
    return text


def seal(
    data: Mapping[str, object], box: SecretBox, stored: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Checked plain data of a whole marketplace, ready to be stored.

    Plain secrets come out as ``{sealed: …}``, ``{keep: true}`` as what ``stored`` (itself in stored
    form) has for the same object, ``{env: NAME}`` as it is. A plain secret that is stored already
    keeps its sealed form, so that the same file stored twice is the same data. Raises ConfigError
    for secrets to keep that are not there, and for sealed ones of another key.
    """
    known = _by_key(stored) if stored is not None else {}
    changes: dict[Steps, object] = {}
    faults: list[Fault] = []
    for key, steps, value in _secrets(Item((), data)):
        try:
            changes[steps] = _sealed(value, box, known.get(key))
        except SecretUnavailableError as error:
            faults.append(place(data, steps, str(error)))
    if faults:
        raise ConfigError(faults)
    return _changed(data, changes)


def seal_given(data: Mapping[str, object], box: SecretBox) -> dict[str, object]:
    """Checked plain data with its plain secrets sealed, and all others as they are."""
    changes: dict[Steps, object] = {}
    for _, steps, value in _secrets(Item((), data)):
        plain = Secret.read(value).plain
        if plain is not None:
            changes[steps] = {"sealed": box.seal_text(plain, _PURPOSE)}
    return _changed(data, changes)


def seal_anew(document: object, old: SecretBox, new: SecretBox) -> tuple[object, int]:
    """A stored document with its secrets sealed by another box, and how many could not be opened.

    Those stay as they are: they were of use to nobody before.
    """
    unreadable = 0

    def sealed_anew(value: object) -> object:
        nonlocal unreadable
        if isinstance(value, list):
            return [sealed_anew(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        text = value.get("sealed")
        if len(value) > 1 or not isinstance(text, str):
            return {key: sealed_anew(item) for key, item in value.items()}
        try:
            return {"sealed": new.seal_text(old.open_text(text, _PURPOSE), _PURPOSE)}
        except SecretBoxError:
            unreadable += 1
            return value

    return sealed_anew(document), unreadable


def hide(data: Mapping[str, object]) -> dict[str, object]:
    """Plain data with ``{keep: true}`` for every secret but ``{env: NAME}``, as in an export."""
    changes = {
        steps: dict(KEPT)
        for _, steps, value in _secrets(Item((), data))
        if not _is_reference(value)
    }
    return _changed(data, changes)


def variables(data: Mapping[str, object]) -> Iterator[tuple[Steps, str]]:
    """Where which environment variable is named."""
    for _, steps, value in _secrets(Item((), data)):
        name = value.get("env") if isinstance(value, Mapping) else None
        if isinstance(name, str):
            yield steps, name


def _is_reference(value: object) -> bool:
    return isinstance(value, Mapping) and "env" in value


def _sealed(value: object, box: SecretBox, stored: object) -> object:
    secret = Secret.read(value)
    if secret.env is not None:
        if is_own(secret.env):
            raise SecretUnavailableError(f"env {OWN_VARIABLE}")
        return value
    if secret.kept:
        if stored is None:
            raise SecretUnavailableError(
                "there is no stored secret to keep: give the secret itself"
            )
        return _at_rest(stored, box)
    if secret.sealed is not None:
        resolve_secret(secret, box, {})
        return value
    return _sealed_anew(secret.plain or "", box, stored)


def _at_rest(stored: object, box: SecretBox) -> object:
    """What is stored, sealed where it stands in clear: it was a template once."""
    plain = Secret.read(stored).plain
    return stored if plain is None else {"sealed": box.seal_text(plain, _PURPOSE)}


def _sealed_anew(plain: str, box: SecretBox, stored: object) -> object:
    if stored is not None:
        try:
            if resolve_secret(Secret.read(stored), box, {}) == plain and not _is_reference(stored):
                return stored
        except SecretUnavailableError:
            pass
    return {"sealed": box.seal_text(plain, _PURPOSE)}


def _by_key(data: Mapping[str, object]) -> dict[Key, object]:
    return {key: value for key, _, value in _secrets(Item((), data))}


def _secrets(top: Item) -> Iterator[tuple[Key, Steps, object]]:
    for source in listed(top, "sources"):
        yield from _at(source, ("source", source.id or ""), "token")
    for kind, owners in (("campaign", "campaigns"), ("buyer", "buyers")):
        for owner in listed(top, owners):
            for webhook in listed(owner, "webhooks"):
                yield from _of_webhook(webhook, (kind, owner.id or "", "webhook", webhook.id or ""))
    for profile in listed(top, "delivery_profiles"):
        for end in _ENDS:
            yield from _sent(below(profile, end), ("profile", profile.id or "", end))
    for offer in offers(top):
        yield from _of_offer(offer)
    for alert in listed(top, "alerts"):
        for path in (("webhook",), ("escalation", "webhook")):
            yield from _of_webhook(below(alert, *path), ("alert", alert.id or "", *path))


def _of_offer(offer: Item) -> Iterator[tuple[Key, Steps, object]]:
    key = ("offer", offer.id or "")
    yield from _at(offer, key, "hash_key")
    ping_post = below(offer, "ping_post")
    if ping_post is None:
        return
    yield from _at(ping_post, (*key, "ping_post"), "hash_key")
    yield from _at(below(ping_post, "proxy"), (*key, "ping_post", "proxy"), "password")
    for endpoint in endpoints(offer):
        name = (*key, str(endpoint.steps[-1]))
        yield from _at(endpoint, name, "hash_key")
        auth = below(endpoint, "auth")
        for secret in _AUTH_SECRETS if auth else ():
            yield from _at(auth, (*name, "auth"), secret)
        yield from _sent(endpoint, name)


def _of_webhook(webhook: Item | None, key: Key) -> Iterator[tuple[Key, Steps, object]]:
    yield from _at(webhook, key, "secret")
    yield from _sent(webhook, key)


def _sent(item: Item | None, key: Key) -> Iterator[tuple[Key, Steps, object]]:
    """Secrets among the headers and the parameters of a query."""
    for part in ("headers", "query"):
        values = below(item, part)
        if values is None:
            continue
        for name, value in secrets_among(values.data):
            same = name.lower() if part == "headers" else name
            yield (*key, part, same), (*values.steps, name), value


def _at(item: Item | None, key: Key, name: str) -> Iterator[tuple[Key, Steps, object]]:
    value = item.data.get(name) if item else None
    if item is not None and value is not None:
        yield (*key, name), (*item.steps, name), value


def _changed(data: Mapping[str, object], changes: Mapping[Steps, object]) -> dict[str, object]:
    """A copy of ``data`` with some values replaced; only what leads there is copied."""
    tree = _Branch({})
    for steps, value in changes.items():
        branch = tree
        for step in steps[:-1]:
            below_step = branch.below.setdefault(step, _Branch({}))
            if isinstance(below_step, _Branch):
                branch = below_step
        branch.below[steps[-1]] = _Leaf(value)
    return dict(_replaced_mapping(data, tree))


@dataclass(frozen=True, slots=True)
class _Leaf:
    value: object


@dataclass(frozen=True, slots=True)
class _Branch:
    below: dict[Step, "_Branch | _Leaf"]


def _replaced(value: object, tree: _Branch | _Leaf | None) -> object:
    if tree is None:
        return value
    if isinstance(tree, _Leaf):
        return tree.value
    if isinstance(value, Mapping):
        return _replaced_mapping(value, tree)
    items = value if isinstance(value, list | tuple) else ()
    return [_replaced(item, tree.below.get(index)) for index, item in enumerate(items)]


def _replaced_mapping(value: Mapping[str, object], tree: _Branch) -> Mapping[str, object]:
    copy = dict(value)
    for step, subtree in tree.below.items():
        copy[str(step)] = _replaced(value.get(str(step)), subtree)
    return copy
