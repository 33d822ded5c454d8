"""Whatever stands in a marketplace file, check tells faults or the service can use it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from buyers.terms import build_catalogue
from config.check import check, check_text
from config.faults import Step
from config.marketplace import export_yaml, read_marketplace, to_plain
from config.sealing import hide, seal
from config.secret_box import SecretBox
from config.yaml_file import load_yaml
from tests.unit.config.samples import ACME, BEACON, SET, acceptance, changed

BOX = SecretBox(bytes(32))


def places(value: Any, steps: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every place of plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for step, item in items:
        yield (*steps, step)
        if isinstance(item, dict | list):
            yield from places(item, (*steps, step))


ADDED = (
    ((*BEACON, "ping_post", "transport"), "aiohttp"),
    (
        (*BEACON, "ping_post", "proxy"),
        {"url": "http://proxy.example:3128", "user": "us", "password": "opensesame"},
    ),
    (("campaigns", 0, "retention"), {"pii_days": 30, "calls_days": 400}),
    (
        ("suppressions",),
        [
            {"id": "dnc", "name": "Do not call"},
            {"id": "fraud", "scope": "campaign", "campaign": "auto-insurance"},
            {"id": "clients", "scope": "buyer", "buyer": "acme"},
        ],
    ),
    (
        ("alerts",),
        [
            {
                "id": "slow",
                "name": "Slow",
                "buyer": "acme",
                "each_offer": True,
                "measure": "timeout_rate",
                "above": "0.10",
                "clear": "0.05",
                "over_minutes": 5,
                "past_minutes": 60,
                "auto_pause": {"resume_after_minutes": 30},
                "escalation": {"after_minutes": 15, "webhook": {"url": "https://b.example/"}},
                "webhook": {"url": "https://a.example/", "secret": "opensesame"},
            }
        ],
    ),
    (
        ("numbers",),
        [
            {
                "id": "brand",
                "number": "+18005550177",
                "campaign": "auto-insurance",
                "source": "pub-17",
                "tags": {"keyword": "brand", "page": 7, "trusted": True},
                "rules": [
                    {"action": "reject", "filters": [{"field": "caller.state", "value": "NY"}]},
                    {"action": "accept", "offers": ["acme-auto"]},
                ],
            }
        ],
    ),
    (
        ("pools",),
        [
            {
                "id": "web",
                "campaign": "auto-insurance",
                "source": "pub-17",
                "numbers": ["+18005550180"],
                "lease_s": 600,
                "heartbeat_s": 60,
                "fallback_number": "+18005550182",
                "cap": 1,
            }
        ],
    ),
    (("sources", 0, "number_cap"), 5),
    (
        ("voice_agents",),
        [{"id": "robin", "campaign": "auto-insurance", "sip_url": "sip:r@bots.example"}],
    ),
    (
        ("buyers", 3),
        {
            "id": "ears",
            "type": "quality_assurance",
            "offers": [
                {
                    "id": "ears-auto",
                    "campaign": "auto-insurance",
                    "destination": {"uri": "sip:qa@ears.example"},
                    "conversions": [{"trigger": "answered"}],
                }
            ],
        },
    ),
)
"""What the acceptance file has no example of."""

PLACES = list(places(changed(*ADDED)))

DELIVERY = (
    (
        ("campaigns", 0, "quality"),
        {
            "base": 40,
            "rules": [{"when": [{"field": "zip_code", "op": "exists"}], "points": -5}],
            "source_history": {"points": 20},
        },
    ),
    (
        ("campaigns", 0, "segments"),
        [{"when": [{"field": "age", "op": "gte", "value": 65}], "tags": ["gold"]}],
    ),
    (
        ("campaigns", 0, "auction", "boosts"),
        [{"tag": "gold", "source": "pub-17", "factor": "1.25"}, {"offer": "a", "factor": "2.5"}],
    ),
    (("campaigns", 0, "auction", "rank"), "expected_revenue"),
    (("buyers", 0, "tags"), ["gold"]),
    (
        (*ACME, "validations"),
        [
            {"field": "age", "type": "integer", "minimum": 18, "maximum": 99},
            {"field": "born", "type": "date", "maximum": "2008-12-31"},
            {"field": "policy", "pattern": "[A-Z]{2}[0-9]+"},
        ],
    ),
    (
        (*ACME, "consents"),
        [{"field": "consent_at", "max_age_h": 24}, {"field": "b", "max_age_days": 9}],
    ),
    ((*ACME, "returns"), {"within_days": 7, "reasons": ["fax"], "payout": "withdraw"}),
    ((*ACME, "ping_post", "mapping"), {"Zip": "{{ fields.zip_code | truncate: 5 }}"}),
    (
        ("delivery_profiles",),
        [
            {
                "id": "house",
                "fixed_amount": "40.00",
                "ping": {"timeout_ms": 300, "body": {"a": 1}},
                "post": {"format": "form", "body": {"b": "{{ bid }}"}},
            }
        ],
    ),
    (
        (*BEACON, "ping_post"),
        {
            "profile": "house",
            "ping": {"url": "https://b.example/", "auth": {"type": "bearer", "token": "s3cret"}},
            "post": {"url": "https://b.example/post"},
        },
    ),
)
"""How calls are delivered: demands, segments, quality, returns, profiles."""

DELIVERY_PLACES = sorted(set(places(changed(*DELIVERY))) - set(places(acceptance())), key=repr)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "*", "0", "1e400", "{{", "{{ bid }}", "NO", "-1", "acme-auto", "\x00"])
    | st.sampled_from([Decimal("1e400"), 10**30, "x" * 2000])
)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), junk), min_size=1, max_size=2))
def test_any_value_anywhere_is_a_fault_or_can_be_used(
    changes: list[tuple[tuple[Step, ...], object]],
) -> None:
    try:
        data = changed(*ADDED, *changes)
    except (KeyError, IndexError, TypeError):
        return  # the first change took away the place of the second
    assert_a_fault_or_usable(data)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DELIVERY_PLACES), junk), max_size=2))
def test_any_value_in_how_calls_are_delivered_is_a_fault_or_can_be_used(
    changes: list[tuple[tuple[Step, ...], object]],
) -> None:
    try:
        data = changed(*DELIVERY, *changes)
    except (KeyError, IndexError, TypeError):
        return  # the first change took away the place of the second
    assert_a_fault_or_usable(data)


def test_how_calls_are_delivered_is_exported_as_it_was_written() -> None:
    checked, marketplace = check(changed(*DELIVERY), SET).usable()
    assert checked == to_plain(marketplace, as_given=True)
    exported = load_yaml(export_yaml(marketplace))
    assert isinstance(exported, dict)
    for steps, value in DELIVERY:
        found: object = exported
        for step in steps:
            found = found[step]  # type: ignore[index] # plain data
        assert json.dumps(found) == json.dumps(value).replace('"s3cret"', '{"keep": true}')


def assert_a_fault_or_usable(data: object) -> None:
    result = check(data, SET)
    if result.faults:
        assert result.marketplace is None
        return
    checked, marketplace = result.usable()
    assert build_catalogue(marketplace, 1).revision == 1
    assert check(checked, SET).marketplace == marketplace
    stored = seal(checked, BOX)
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert read_marketplace(stored).currency == marketplace.currency
    assert seal(hide(stored), BOX, stored) == stored
    text = export_yaml(read_marketplace(stored))
    assert check_text(text.encode(), SET).faults == ()
