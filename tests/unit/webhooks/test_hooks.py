"""Webhooks compiled: signed requests, secrets from where they are kept, trouble kept apart."""

import hashlib
import hmac
import logging
from typing import Any

import pytest

from auction.webhooks.hooks import TOLD_UNUSABLE, Hook, compile_webhooks
from config.check import check
from config.marketplace import read_marketplace
from config.sealing import seal
from config.secret_box import SecretBox
from tests.unit.webhooks.test_bodies import an_event

KEY = ("campaign:c", "w")


def a_hook(*, environ: dict[str, str] | None = None, **changes: Any) -> Hook:
    """The one webhook of a campaign."""
    hook: Hook = compiled(environ or {}, {"id": "w", **changes}).usable[KEY]
    return hook


def compiled(environ: dict[str, str], *webhooks: dict[str, Any], box: Any = None) -> Any:
    given = [{"url": "https://hooks.example/in", "events": ["call.ended"], **w} for w in webhooks]
    data = {
        "campaigns": [{"id": "c", "webhooks": given}],
        "buyers": [{"id": "b", "webhooks": given}],
    }
    plain, marketplace = check(data, {}).usable()
    if box is not None:
        marketplace = read_marketplace(seal(plain, box))
    return compile_webhooks(marketplace, environ, box)


def test_a_request_is_signed_over_its_time_and_body() -> None:
    hook = a_hook(secret={"env": "HOOK_SECRET"}, environ={"HOOK_SECRET": "s3cret"})
    request = hook.request([an_event()], 1_700_000_000)
    expected = hmac.new(b"s3cret", b"1700000000." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Pingpost-Signature"] == f"sha256={expected}"
    assert request.headers["X-Pingpost-Timestamp"] == "1700000000"
    assert request.headers["X-Pingpost-Event-Id"] == "e1"
    assert request.headers["Content-Type"] == "application/json"


def test_without_a_secret_nothing_is_signed() -> None:
    headers = a_hook().request([an_event()], 1).headers
    assert "X-Pingpost-Signature" not in headers
    assert headers["X-Pingpost-Timestamp"] == "1"


def test_sealed_secrets_are_opened() -> None:
    webhooks = compiled({}, {"id": "w", "secret": "s3cret"}, box=SecretBox(b"k" * 32))
    assert webhooks.usable[KEY].key == b"s3cret"
    assert webhooks.usable["buyer:b", "w"].key == b"s3cret"


def test_headers_are_templates_that_add_no_line_and_may_replace_ours() -> None:
    hook = a_hook(
        headers={
            "X-Note": "n {{ fields.note }}",
            "X-None": "{{ payout }}",
            "content-type": "application/vnd.own+json",
        }
    )
    headers = hook.request([an_event()], 1).headers
    assert headers["X-Note"] == 'n a "b" & <c>X: y'
    assert "X-None" not in headers
    assert headers["Content-Type"] == "application/vnd.own+json"
    assert "content-type" not in headers


@pytest.mark.parametrize(
    ("format_", "expected"),
    [("form", "application/x-www-form-urlencoded"), ("xml", "application/xml; charset=utf-8")],
)
def test_the_content_type_is_the_formats(format_: str, expected: str) -> None:
    assert a_hook(format=format_).request([an_event()], 1).headers["Content-Type"] == expected


def test_a_batch_carries_the_id_of_its_first_event() -> None:
    hook = a_hook(batch={"every_s": 60, "max": 50})
    assert (hook.every_s, hook.most) == (60.0, 50)
    request = hook.request([an_event(), an_event(event_id="e2")], 1)
    assert request.headers["X-Pingpost-Event-Id"] == "e1"


def test_one_webhook_that_can_not_be_used_leaves_the_others_in_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    webhooks = compiled({}, {"id": "broken", "secret": {"env": "HOOK_SECRET"}}, {"id": "w"})
    assert set(webhooks.usable) == {KEY, ("buyer:b", "w")}
    assert webhooks.unusable == {
        ("campaign:c", "broken"): "the environment variable HOOK_SECRET is not set",
        ("buyer:b", "broken"): "the environment variable HOOK_SECRET is not set",
    }
    assert len(caplog.records) == 2


def test_not_every_unusable_webhook_has_its_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = [{"id": f"w{number}", "secret": {"env": "NOT_SET"}} for number in range(20)]
    assert len(compiled({}, *broken).unusable) == 40
    assert len(caplog.records) == TOLD_UNUSABLE + 1


def test_neither_a_hook_nor_its_request_shows_secrets() -> None:
    hook = a_hook(secret="s3cret", headers={"Authorization": "Bearer t0ken"}, url="https://a/?k=u1")
    shown = repr(hook) + repr(hook.request([an_event()], 1)) + repr(an_event())
    assert not any(word in shown for word in ("s3cret", "t0ken", "u1", "90210"))
