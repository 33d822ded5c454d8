"""Proxies in a marketplace file."""

import json

import pytest

from config.check import check
from config.sealing import hide, seal
from config.secret_box import SecretBox
from tests.unit.config.samples import BEACON, SET, changed, check_changed

TRANSPORT = (*BEACON, "ping_post", "transport")
PROXY = (*BEACON, "ping_post", "proxy")
WITH_CREDENTIALS = {"url": "http://10.0.0.7:3128", "user": "us", "password": "opensesame"}


def test_a_proxy_goes_with_aiohttp_only() -> None:
    [fault] = check_changed((PROXY, WITH_CREDENTIALS)).faults
    assert str(fault).startswith("buyers[1].offers[0].ping_post.proxy")
    assert fault.message == "needs `transport: aiohttp` beside it"
    assert check_changed((TRANSPORT, "aiohttp"), (PROXY, WITH_CREDENTIALS)).faults == ()


@pytest.mark.parametrize(
    ("proxy", "place", "message"),
    [
        ({}, "url", "is missing"),
        ({"url": "https://p:1"}, "url", "must start with http://: TLS goes through the proxy"),
        ({"url": "socks5://p:1"}, "url", "must start with http"),
        ({"url": "http://p:1/path"}, "url", "must end after host and port"),
        (
            {"url": "http://us:opensesame@p:1"},
            "url",
            "must not carry a user or password: give them",
        ),
        ({**WITH_CREDENTIALS, "user": "a:b"}, "user", "must not contain a colon"),
        ({"url": "http://p:1", "user": "us"}, "password", "goes with user: give both or none"),
        ({"url": "http://p:1", "password": "opensesame"}, "password", "goes with user"),
        ({"url": "http://p:1", "port": 1}, "port", "unknown key"),
    ],
)
def test_what_is_wrong_with_a_proxy_is_told_at_its_place_without_its_secrets(
    proxy: dict[str, object], place: str, message: str
) -> None:
    faults = check_changed((TRANSPORT, "aiohttp"), (PROXY, proxy)).faults
    [text] = [str(fault) for fault in faults]
    assert f"ping_post.proxy.{place}" in text
    assert message in text
    assert "opensesame" not in text


def test_a_proxys_password_is_sealed_kept_and_never_exported() -> None:
    box = SecretBox(bytes(32))
    data, _ = check(changed((TRANSPORT, "aiohttp"), (PROXY, WITH_CREDENTIALS)), SET).usable()
    stored = seal(data, box)
    exported = hide(stored)

    assert "opensesame" not in json.dumps(stored)
    assert json.dumps(exported).count('"password": {"keep": true}') == 1
    assert seal(exported, box, stored) == stored
