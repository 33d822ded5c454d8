import hashlib
import hmac
from typing import Any

import orjson
import pytest

from buyers import plain_dialect
from buyers.endpoint import CompiledEndpoint, compile_endpoint
from buyers.transport import Origin, PreparedRequest, request_head
from config.endpoints import Endpoint
from config.sealing import SecretUnavailableError, resolve_secret
from config.secret_values import Secret
from tests.unit.buyers.samples import (
    PLAIN,
    a_ping_endpoint,
    a_post_endpoint,
    a_post_occasion,
    an_occasion,
)

NOW = 1_795_280_000
ENVIRON = {"TOKEN": "s3cret"}


def resolve(secret: Secret) -> str:
    return resolve_secret(secret, None, ENVIRON)


def compiled(endpoint: Endpoint) -> CompiledEndpoint:
    return compile_endpoint(endpoint, PLAIN, plain_dialect.post_body, resolve)


def prepared(**keys: Any) -> PreparedRequest:
    return compiled(a_ping_endpoint(**keys)).prepare(an_occasion(), NOW)


def headers_of(request: PreparedRequest) -> dict[str, str]:
    pairs = (*request.constant.pairs, *request.headers)
    names = [name.lower() for name, _ in pairs]
    assert len(set(names)) == len(names)
    return dict(pairs)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://buyer.example/a?k=1", b"buyer.example"),
        ("https://buyer.example:443/a?k=1", b"buyer.example"),
        ("http://buyer.example:443/a?k=1", b"buyer.example:443"),
        ("https://[::1]:9101/a?k=1", b"[::1]:9101"),
    ],
)
def test_what_is_the_same_in_every_request_is_bytes_already(url: str, host: bytes) -> None:
    request = prepared(url=url, headers={"X-Mine": "ü"}, auth={"type": "none"})

    assert request.head == request_head(
        request.origin, request.method, request.target, request.constant
    )
    lines = request.head.split(b"\r\n")
    assert lines[:2] == [b"POST /a?k=1 HTTP/1.1", b"Host: " + host]
    assert "X-Mine: ü".encode() in lines
    assert lines[-1] == b""


def test_a_request_whose_query_differs_has_no_common_beginning() -> None:
    assert prepared(query={"id": "{{ ping_id }}"}).head is None


def test_a_ping_may_be_sent_again_and_a_post_never() -> None:
    post = compiled(a_post_endpoint()).prepare(a_post_occasion(), NOW)

    assert prepared().repeatable
    assert not post.repeatable
    assert post.ping_id == a_post_occasion().ping_id is not None


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://buyer.example", "http://buyer.example:80", "/"),
        ("https://buyer.example/a/b", "https://buyer.example:443", "/a/b"),
        ("https://buyer.example:8443/?k=1&l=%20", "https://buyer.example:8443", "/?k=1&l=%20"),
        ("http://[::1]:9101/ping", "http://[::1]:9101", "/ping"),
        ("http://127.0.0.1:9101/ping", "http://127.0.0.1:9101", "/ping"),
    ],
)
def test_a_url_is_taken_apart_once(url: str, origin: str, target: str) -> None:
    request = prepared(url=url)

    assert str(request.origin) == origin
    assert request.target == target


def test_a_plain_request_is_json_by_post() -> None:
    request = prepared()

    assert request.method == "POST"
    assert request.origin == Origin("http", "buyer.example", 80)
    assert headers_of(request) == {
        "User-Agent": "pingpost",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }
    assert request.body is not None
    assert orjson.loads(request.body)["ping_id"] == "ping-1"


def test_the_constant_headers_are_shared_and_encoded_once() -> None:
    endpoint = compiled(a_ping_endpoint())
    first = endpoint.prepare(an_occasion(), NOW)
    second = endpoint.prepare(an_occasion(), NOW)

    assert first.constant is second.constant
    assert first.constant.encoded.startswith(
        b"User-Agent: pingpost\r\nAccept: application/json\r\n"
    )


def test_a_get_has_its_values_in_the_query_and_no_body() -> None:
    request = prepared(
        url="https://rtb.example/bid.json?v=1",
        method="GET",
        query={"CID": "{{ caller_id }}", "zip": "{{ fields.zip_code }}", "none": "{{ bid }}"},
        auth={"type": "api_key", "in": "query", "name": "the key", "key": "a&b"},
    )

    assert request.method == "GET"
    assert request.target == ("/bid.json?v=1&the%20key=a%26b&CID=%2B13105551234&zip=90210&none=")
    assert request.body is None
    assert "Content-Type" not in headers_of(request)


def test_a_key_may_be_the_whole_query() -> None:
    request = prepared(auth={"type": "api_key", "in": "query", "name": "k", "key": "1"})

    assert request.target == "/ping?k=1"


@pytest.mark.parametrize(
    ("format_", "body", "content_type", "sent"),
    [
        ("json", {"a": "{{ offer }}"}, "application/json", b'{"a":"acme-auto"}'),
        ("form", {"a": "{{ offer }}"}, "application/x-www-form-urlencoded", b"a=acme-auto"),
        ("xml", "<a>{{ offer }}</a>", "application/xml; charset=utf-8", b"<a>acme-auto</a>"),
    ],
)
def test_a_body_goes_out_in_its_format(
    format_: str, body: object, content_type: str, sent: bytes
) -> None:
    for method in ("POST", "PUT"):
        request = prepared(method=method, format=format_, body=body)
        assert request.method == method
        assert request.body == sent
        assert headers_of(request)["Content-Type"] == content_type


def test_an_operators_header_replaces_ours_whatever_its_case() -> None:
    request = prepared(
        headers={
            "content-type": "application/vnd.acme+json",
            "ACCEPT": "*/*",
            "X-Call": "{{ call_id }}",
            "X-None": "{{ bid }}",
            "X-Constant": "1",
        }
    )

    assert headers_of(request) == {
        "User-Agent": "pingpost",
        "Accept-Encoding": "identity",
        "content-type": "application/vnd.acme+json",
        "ACCEPT": "*/*",
        "X-Call": "call-1",
        "X-Constant": "1",
    }


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"type": "bearer", "token": {"env": "TOKEN"}}, "Authorization", "Bearer s3cret"),
        ({"type": "api_key", "key": {"env": "TOKEN"}}, "X-API-Key", "s3cret"),
        ({"type": "api_key", "name": "X-K", "in": "header", "key": "k"}, "X-K", "k"),
        (
            {"type": "basic", "user": "üser", "password": {"env": "TOKEN"}},
            "Authorization",
            "Basic w7xzZXI6czNjcmV0",
        ),
    ],
)
def test_credentials_are_constant_headers(auth: object, name: str, value: str) -> None:
    request = prepared(auth=auth)

    assert headers_of(request)[name] == value
    assert request.headers == ()


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_signature_covers_timestamp_and_body(method: str) -> None:
    request = prepared(
        method=method, auth={"type": "hmac", "secret": {"env": "TOKEN"}, "header": "X-Sig"}
    )

    message = str(NOW).encode() + b"." + (request.body or b"")
    expected = hmac.new(b"s3cret", message, hashlib.sha256).hexdigest()
    assert headers_of(request)["X-Timestamp"] == str(NOW)
    assert headers_of(request)["X-Sig"] == f"sha256={expected}"


def test_a_secret_that_is_not_set_can_not_be_compiled() -> None:
    endpoint = a_ping_endpoint(auth={"type": "bearer", "token": {"env": "MISSING"}})

    with pytest.raises(SecretUnavailableError, match="MISSING"):
        compiled(endpoint)


def test_a_post_carries_its_key_once() -> None:
    ours = compiled(a_post_endpoint()).prepare(a_post_occasion(), NOW)
    mapped = compiled(a_post_endpoint(body={"a": "{{ bid }}"})).prepare(a_post_occasion(), NOW)
    own = compiled(a_post_endpoint(headers={"idempotency-key": "k-{{ bid_id }}"}))

    assert headers_of(ours)["Idempotency-Key"] == "post-1"
    assert headers_of(mapped)["Idempotency-Key"] == "post-1"
    assert headers_of(own.prepare(a_post_occasion(), NOW))["idempotency-key"] == "k-b-1"


def test_a_ping_carries_no_key() -> None:
    assert "Idempotency-Key" not in headers_of(prepared())


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": "s3cret"},
        {"type": "api_key", "key": "s3cret"},
        {"type": "api_key", "in": "query", "key": "s3cret"},
        {"type": "basic", "user": "u", "password": "s3cret"},
        {"type": "hmac", "secret": "s3cret"},
    ],
)
def test_no_repr_tells_a_secret_or_the_caller(auth: object) -> None:
    endpoint = compiled(a_post_endpoint(auth=auth, query={"p": "{{ caller_id }}"}))
    told = repr(endpoint) + repr(endpoint.prepare(a_post_occasion(), NOW))

    assert "s3cret" not in told
    assert "dTpzM2NyZXQ" not in told
    assert "3105551234" not in told
