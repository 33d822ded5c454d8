"""Secrets on their way into storage and out of it."""

import json
from typing import Any

import pytest

from config.check import check, check_text
from config.endpoints import BearerAuth, PingEndpoint
from config.faults import ConfigError
from config.marketplace import Marketplace, export_yaml, read_marketplace, to_plain
from config.offers import Offer, caller_hash
from config.sealing import SecretUnavailableError, hide, resolve_secret, seal, variables
from config.secret_box import SecretBox
from config.secret_values import Secret
from tests.unit.config.samples import (
    ABSENT,
    ACME_PING,
    BEACON,
    SET,
    acceptance,
    changed,
    check_changed,
)

BOX = SecretBox(bytes(range(32)))
TOKEN = (*ACME_PING, "auth", "token")
PLAIN = "correct horse"


def value_at(data: Any, steps: tuple[Any, ...]) -> Any:
    for step in steps:
        data = data[step]
    return data


def stored(*changes: Any, earlier: dict[str, object] | None = None) -> dict[str, object]:
    data, _ = check(changed(*changes), SET).usable()
    return seal(data, BOX, earlier)


def token_of(data: dict[str, object]) -> str:
    """What the gateway would send as Acme's token."""
    ping_post = read_marketplace(data).buyers[0].offers[0].ping_post
    assert ping_post is not None
    assert isinstance(ping_post.ping.auth, BearerAuth)
    return resolve_secret(ping_post.ping.auth.token, BOX, SET)


def test_a_plain_secret_is_stored_sealed_and_opens_for_use() -> None:
    data = stored((TOKEN, PLAIN))
    assert list(value_at(data, TOKEN)) == ["sealed"]
    assert PLAIN not in json.dumps(data)
    assert token_of(data) == PLAIN


def test_a_setting_of_the_service_is_stored_for_no_buyer() -> None:
    given = changed((TOKEN, {"env": "PINGPOST_BOOTSTRAP_TOKEN"}))
    with pytest.raises(ConfigError, match="own settings"):
        seal(given, BOX, stored())


def test_an_environment_variable_stays_a_reference() -> None:
    data = stored()
    assert value_at(data, TOKEN) == {"env": "ACME_TOKEN"}
    assert token_of(data) == "a"


def test_every_kind_of_secret_is_sealed() -> None:
    endpoint = {"url": "http://a/", "hash_key": PLAIN}
    auths = [
        {"type": "bearer", "token": PLAIN},
        {"type": "api_key", "key": PLAIN},
        {"type": "basic", "user": "u", "password": PLAIN},
        {"type": "hmac", "secret": PLAIN},
    ]
    offers = [
        {
            "id": f"o{number}",
            "campaign": "c",
            "hash_key": PLAIN,
            "ping_post": {
                "hash_key": PLAIN,
                "ping": {**endpoint, "auth": auth},
                "post": {**endpoint, "auth": auth},
            },
        }
        for number, auth in enumerate(auths)
    ]
    hook = {"url": "http://a/", "events": ["call.routed"], "secret": PLAIN}
    data, _ = check(
        {
            "campaigns": [{"id": "c", "webhooks": [hook]}],
            "sources": [{"id": "s", "token": PLAIN}],
            "buyers": [{"id": "b", "offers": offers, "webhooks": [hook]}],
        },
        {},
    ).usable()
    assert PLAIN not in json.dumps(seal(data, BOX))
    assert PLAIN not in json.dumps(hide(data))


def test_the_same_file_stored_again_is_the_same_data() -> None:
    first = stored((TOKEN, PLAIN))
    assert stored((TOKEN, PLAIN), earlier=first) == first


def test_a_changed_secret_replaces_the_stored_one() -> None:
    second = stored((TOKEN, "new"), earlier=stored((TOKEN, PLAIN)))
    assert token_of(second) == "new"


def test_a_plain_secret_replaces_a_variable_of_the_same_value() -> None:
    second = stored((TOKEN, "a"), earlier=stored())
    assert list(value_at(second, TOKEN)) == ["sealed"]


def test_an_export_shows_no_secret_and_applies_as_the_same() -> None:
    first = stored((TOKEN, PLAIN))
    exported = hide(first)
    assert value_at(exported, TOKEN) == {"keep": True}
    assert "sealed" not in json.dumps(exported)
    assert seal(exported, BOX, first) == first


def test_the_export_of_a_model_applies_as_the_same() -> None:
    first = stored((TOKEN, PLAIN))
    text = export_yaml(read_marketplace(first))
    assert "sealed" not in text
    data, _ = check_text(text.encode(), SET).usable()
    assert seal(data, BOX, first) == first


def test_a_kept_secret_follows_its_offer_to_another_place() -> None:
    first = stored((TOKEN, PLAIN))
    moved = hide(first)
    buyers: Any = moved["buyers"]
    buyers.append(buyers.pop(0))
    again = seal(moved, BOX, first)
    assert value_at(again, ("buyers", 2, *TOKEN[2:])) == value_at(first, TOKEN)


def test_a_secret_to_keep_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(ConfigError) as raised:
        stored((TOKEN, {"keep": True}), ((*ACME_PING, "hash_key"), {"keep": True}))
    assert [fault.path for fault in raised.value.faults] == [
        "buyers[0].offers[0].ping_post.ping.hash_key",
        "buyers[0].offers[0].ping_post.ping.auth.token",
    ]
    assert raised.value.faults[0].within == "offer acme-auto"


def test_a_secret_sealed_under_another_key_is_a_fault() -> None:
    other = SecretBox(bytes(32)).seal_text(PLAIN)
    with pytest.raises(ConfigError, match="another key"):
        stored((TOKEN, {"sealed": other}))


def test_a_hash_key_that_is_not_given_is_not_stored() -> None:
    first = stored()
    assert value_at(first, (*BEACON, "ping_post", "ping", "caller_id")) == "hashed"
    assert "hash_key" not in json.dumps(first)
    offer = read_marketplace(first).buyers[1].offers[0]
    assert offer.ping_post is not None
    assert caller_hash(offer, offer.ping_post.ping) is None


def test_an_export_without_secrets_of_its_own_applies_to_an_empty_database() -> None:
    first = stored()
    text = export_yaml(read_marketplace(first))
    data, _ = check_text(text.encode(), SET).usable()
    assert seal(data, BOX) == first


def test_the_nearest_way_to_hash_wins() -> None:
    near, far = Secret(env="NEAR"), Secret(env="FAR")

    def offer(**ping_post: object) -> Offer:
        terms = {"ping": {"url": "http://a/"}, **ping_post}
        values = {"id": "o", "campaign": "c", "hash_key": far, "ping_post": terms}
        return Offer.model_validate(values)

    plain = PingEndpoint(url="http://a/")
    assert caller_hash(offer(), plain) == far
    assert caller_hash(offer(hash="sha256"), plain) == "sha256"
    assert caller_hash(offer(hash="sha256"), PingEndpoint(url="http://a/", hash_key=near)) == near
    assert caller_hash(Offer(id="o", campaign="c"), plain) is None


def test_sealing_leaves_the_data_given_alone() -> None:
    data, _ = check(changed((TOKEN, PLAIN)), SET).usable()
    before = json.dumps(data)
    seal(data, BOX)
    hide(data)
    assert json.dumps(data) == before


def test_a_body_that_looks_like_secrets_is_not_touched() -> None:
    body = {"auth": {"token": "x"}, "secret": "y", "hash_key": "z"}
    assert value_at(stored(((*ACME_PING, "body"), body)), (*ACME_PING, "body")) == body


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret(env="NOWHERE"), "NOWHERE is not set"),
        (Secret(env="PINGPOST_SECRET_KEY"), "PINGPOST_SECRET_KEY must not be one of the service"),
        (Secret(env="EMPTY"), "must not be empty"),
        (Secret(env="SPLIT"), "control characters"),
        (Secret(), "no secret is stored"),
        (Secret(sealed="v1.AAAA"), "known format"),
    ],
)
def test_a_secret_that_is_not_to_be_had_tells_why(secret: Secret, words: str) -> None:
    environ = {"EMPTY": "", "SPLIT": "hunter2\r\nX: y"}
    with pytest.raises(SecretUnavailableError, match=words) as raised:
        resolve_secret(secret, BOX, environ)
    assert "hunter2" not in str(raised.value)


def test_a_sealed_secret_needs_a_box() -> None:
    with pytest.raises(SecretUnavailableError, match="SECRET_KEY"):
        resolve_secret(Secret(sealed="v1.AAAA"), None, {})


def test_no_secret_shows_in_a_repr_a_dump_or_an_error() -> None:
    result = check_changed((TOKEN, PLAIN))
    _, marketplace = result.usable()
    shown = (
        f"{result!r} {marketplace!r} {marketplace} {to_plain(marketplace)} {Secret(plain=PLAIN)!r}"
    )
    shown += (
        marketplace.model_dump_json() + str(marketplace.model_dump()) + export_yaml(marketplace)
    )
    assert PLAIN not in shown
    with pytest.raises(ConfigError) as raised:
        read_marketplace(changed((TOKEN, PLAIN), (("currency",), ABSENT), (("time_zone",), PLAIN)))
    assert PLAIN not in str(raised.value)
    with pytest.raises(ValueError, match="buyers") as invalid:
        Marketplace.model_validate(changed((TOKEN, PLAIN + "\n")))
    assert PLAIN not in str(invalid.value)


def test_the_variables_of_a_marketplace_are_listed() -> None:
    names = [name for _, name in variables(acceptance())]
    assert names == ["ACME_TOKEN", "ACME_TOKEN", "BEACON_KEY", "BEACON_KEY"]
