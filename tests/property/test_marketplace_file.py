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
from config.marketplace import export_yaml, read_marketplace
from config.sealing import hide, seal
from config.secret_box import SecretBox
from tests.unit.config.samples import BEACON, SET, changed

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
