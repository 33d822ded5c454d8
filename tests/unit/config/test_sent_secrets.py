"""Secrets among the headers and the query of requests: read, sealed, kept, never shown."""

import json
from typing import Any

import pytest

from config.check import check, check_text
from config.endpoints import Endpoint
from config.faults import ConfigError
from config.marketplace import export_yaml, read_marketplace
from config.sealing import hide, seal, variables
from config.secret_box import SecretBox
from config.secret_values import Secret
from tests.unit.config.samples import ACME, ACME_PING, SET, changed, check_changed

BOX = SecretBox(bytes(32))
RULE = {"id": "r", "measure": "bid_rate", "below": "0.1"}
HOOK = {"id": "h", "url": "https://a/", "events": ["call.ended"]}
SENT = {
    "X-Partner": {"secret": "hunter2 one"},
    "X-Access-Token": "hunter2 two",
    "X-Env": {"env": "ACME_TOKEN"},
    "X-Number-Key": 22,
    "X-Zip": "{{ fields.zip_code }}",
    "X-Session-Token": "{{ call_id }}",
}
PLACES: tuple[tuple[tuple[Any, ...], Any], ...] = (
    ((*ACME_PING, "headers"), SENT),
    ((*ACME_PING, "query"), SENT),
    ((*ACME, "ping_post", "post", "headers"), SENT),
    (("campaigns", 0, "webhooks"), [{**HOOK, "headers": SENT}]),
    (("buyers", 0, "webhooks"), [{**HOOK, "headers": SENT}]),
    (("alerts",), [{**RULE, "webhook": {"url": "https://a/", "headers": SENT}}]),
    (("delivery_profiles",), [{"id": "p", "ping": {"headers": SENT}, "post": {"query": SENT}}]),
)
"""Everywhere that headers and parameters stand. Profiles have two, all others one."""


def all_places() -> dict[str, object]:
    return changed(*PLACES)


def test_secrets_are_sealed_at_rest_and_templates_stay_readable() -> None:
    data, marketplace = check(all_places(), SET).usable()
    offer = marketplace.buyers[0].offers[0]
    assert offer.ping_post is not None
    assert offer.ping_post.ping.headers == {
        "X-Partner": Secret(plain="hunter2 one"),
        "X-Access-Token": Secret(plain="hunter2 two"),
        "X-Env": Secret(env="ACME_TOKEN"),
        "X-Number-Key": Secret(plain="22"),
        "X-Zip": "{{ fields.zip_code }}",
        "X-Session-Token": "{{ call_id }}",
    }
    text = json.dumps(seal(data, BOX))
    assert "hunter2" not in text
    assert text.count('"X-Zip": "{{ fields.zip_code }}"') == len(PLACES) + 1
    assert text.count('"X-Partner": {"sealed": ') == len(PLACES) + 1


def test_an_export_keeps_them_and_applies_to_the_same() -> None:
    data, _ = check(all_places(), SET).usable()
    stored = seal(data, BOX)
    assert seal(data, BOX, stored) == stored, "an equal secret keeps its sealed form"
    assert seal(hide(stored), BOX, stored) == stored
    exported = export_yaml(read_marketplace(stored))
    assert "hunter2" not in exported
    assert "sealed" not in exported
    again, _ = check_text(exported.encode(), SET).usable()
    assert seal(again, BOX, stored) == stored


def test_what_hides_secrets_hides_them_wherever_they_stand_in_clear() -> None:
    assert "hunter2" not in json.dumps(hide(all_places()))
    told = {steps for steps, _ in variables(all_places())}
    assert len(told) > len(PLACES)


def test_a_credential_that_was_stored_in_clear_is_sealed_when_it_is_kept() -> None:
    stored = changed(((*ACME_PING, "headers"), {"x-access-token": "hunter2"}))
    wanted = changed(((*ACME_PING, "headers"), {"X-Access-Token": {"keep": True}}))
    sealed = seal(check(wanted, SET).usable()[0], BOX, stored)
    assert "hunter2" not in json.dumps(sealed)


@pytest.mark.parametrize(
    ("value", "words", "below"),
    [
        ({"keep": False}, "must be true", ".keep"),
        ({"secret": ""}, "must not be empty", ".secret"),
        ({"secret": 5}, "must be text", ".secret"),
        ({"secret": "hunter2\nX-Other: 1"}, "control characters", ".secret"),
        ({"env": "1"}, "name of an environment variable", ".env"),
        ({"env": "PINGPOST_SECRET_KEY"}, "one of the service's own settings", ".env"),
        ({"env": "pingpost_dsn"}, "one of the service's own settings", ".env"),
        ({"envi": "A"}, "must be text, {secret: text}, {env: NAME}", ""),
        ({"env": "A", "secret": "hunter2"}, "must be text, {secret: text}", ""),
        (["hunter2"], "must be text", ""),
    ],
)
@pytest.mark.parametrize("part", ["headers", "query"])
def test_a_wrong_form_is_told_and_never_repeated(
    part: str, value: object, words: str, below: str
) -> None:
    [fault] = check_changed(((*ACME_PING, part), {"X-A": value})).faults
    assert fault.path == f"buyers[0].offers[0].ping_post.ping.{part}.X-A{below}"
    assert words in fault.message
    assert "hunter2" not in str(fault)


def test_a_secret_to_keep_that_is_not_there_is_told_at_its_place() -> None:
    wanted = changed(((*ACME_PING, "query"), {"id": {"keep": True}}))
    data, _ = check(wanted, SET).usable()
    with pytest.raises(ConfigError, match=r"ping_post.ping.query.id .*: there is no stored secret"):
        seal(data, BOX)


def test_a_secrets_text_is_no_template() -> None:
    headers = {"X-A": {"secret": "{{ fields.email }}"}}
    assert check_changed(((*ACME_PING, "headers"), headers)).faults == ()


def test_the_schema_tells_both_forms() -> None:
    schema = Endpoint.model_json_schema()["properties"]["headers"]
    assert {"type": "string"} in schema["additionalProperties"]["anyOf"]
