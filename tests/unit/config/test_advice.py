"""Warnings: what is allowed and probably not meant."""

from typing import Any

import pytest

from config.check import check
from config.faults import Step
from tests.unit.config.samples import (
    ABSENT,
    ACME,
    ACME_PING,
    BEACON,
    COBALT,
    acceptance,
    check_changed,
)

HOOK = {"id": "h", "url": "https://a/", "events": ["call.ended"]}
RULE = {"id": "r", "measure": "bid_rate", "below": "0.1"}
OFFER = "buyers[0].offers[0]"


@pytest.mark.parametrize(
    ("steps", "value", "path", "words"),
    [
        ((*BEACON, "hours", "weekly"), {}, "buyers[1].offers[0].hours.weekly", "never open"),
        (
            (*BEACON, "hours", "weekly"),
            {"mon": []},
            "buyers[1].offers[0].hours.weekly",
            "never open",
        ),
        (
            (*ACME, "destination"),
            ABSENT,
            f"{OFFER}.destination",
            "every bid must bring one",
        ),
        ((*COBALT, "static_price"), ABSENT, "buyers[2].offers[0]", "neither static_price nor"),
        (("buyers", 0, "type"), "voice_bot", f"{OFFER}.ping_post", "is not pinged"),
        ((*ACME_PING, "body"), {"b": "{{ bid_id }}"}, f"{OFFER}.ping_post.ping.body.b", "no value"),
        (
            (*ACME, "ping_post", "post", "headers"),
            {"authorization": "Bearer hunter22 {{ call_id }}"},
            f"{OFFER}.ping_post.post.headers.authorization",
            "shown in clear, since it has a token",
        ),
        (
            (*ACME_PING, "body"),
            {"call": {"api_key": "hunter2", "zip": "{{ fields.zip_code }}"}},
            f"{OFFER}.ping_post.ping.body.call.api_key",
            "shown in clear: use auth",
        ),
        (
            ("campaigns", 0, "webhooks"),
            [HOOK | {"url": "https://me:hunter2@a/"}],
            "campaigns[0].webhooks[0].url",
            "shown in clear: use auth",
        ),
        (
            ("delivery_profiles",),
            [{"id": "p", "post": {"query": {"pwd": "hunter22{{ bid_id }}"}}}],
            "delivery_profiles[0].post.query.pwd",
            "shown in clear, since it has a token",
        ),
        (
            ("alerts",),
            [{**RULE, "webhook": {"url": "https://a/?key=hunter2"}}],
            "alerts[0].webhook.url",
            "shown in clear: use auth",
        ),
        (
            (*ACME_PING, "url"),
            "https://bid.acme.example/ping?v=2&access_token=hunter2",
            f"{OFFER}.ping_post.ping.url",
            "shown in clear: use auth",
        ),
        (
            ("campaigns", 0, "payouts", 0, "source"),
            "pub-18",
            "campaigns[0].payouts[0].source",
            "source",
        ),
    ],
)
def test_a_warning_is_told_at_its_place(
    steps: tuple[Step, ...], value: object, path: str, words: str
) -> None:
    before = {warning.path for warning in check_changed().warnings}
    told = {warning.path: warning.message for warning in check_changed((steps, value)).warnings}
    assert told.keys() - before == {path}
    assert words in told[path]


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (("campaigns", 0, "reauction"), True),
        (("campaigns", 0, "webhooks"), [HOOK]),
        (("buyers", 0, "webhooks"), [HOOK]),
        (("campaigns", 0, "auction", "rank"), "price"),
        ((*ACME, "conversions", 0), {"trigger": "answered"}),
        ((*ACME, "conversions", 0), {"trigger": "attempt"}),
        ((*ACME, "conversions", 0), {"trigger": "postback", "postback_within_h": 48}),
        ((*ACME, "conversions", 0, "dedupe_days"), 30),
        ((*ACME, "ping_post", "notices"), {"won_url": "http://a/"}),
        ((*BEACON, "hours", "weekly"), ABSENT),
        (("campaigns", 0, "payouts", 0, "source"), "*"),
        ((*ACME_PING, "headers"), {"X-Click-Token": "{{ fields.click_token }}", "X-Version": "2"}),
        ((*ACME_PING, "query"), {"zip_key": "{{ fields.zip_code }}", "keyword": "roofing"}),
        ((*ACME_PING, "headers"), {"Authorization": "Bearer {{ fields.partner_token }}"}),
        ((*ACME_PING, "headers"), {"Authorization": "hunter22", "X-Version": "2"}),
        ((*ACME_PING, "query"), {"apiKey": {"secret": "hunter2"}, "keyword": "x"}),
        ((*ACME_PING, "url"), "https://bid.acme.example/ping?v=2&keyword=roofing&key="),
    ],
)
def test_what_is_meant_gets_no_warning(steps: tuple[Any, ...], value: object) -> None:
    assert check_changed((steps, value)).warnings == check_changed().warnings


def test_a_variable_that_is_not_set_is_told_once() -> None:
    result = check(acceptance(), {"BEACON_KEY": "b", "ACME_TOKEN": ""})
    [warning] = [one for one in result.warnings if "environment" in one.message]
    assert warning.path == f"{OFFER}.ping_post.ping.auth.token.env"
    assert "ACME_TOKEN is not set here (so in 2 places)" in warning.message
    assert result.marketplace is not None
