"""Lists of numbers and retention, as the file has them."""

from typing import Any

import pytest

from tests.unit.config.samples import ACME, check_changed


@pytest.mark.parametrize(
    ("suppression", "fault"),
    [
        ({"id": "a", "scope": "campaign"}, "suppressions[0].campaign"),
        ({"id": "a", "scope": "buyer"}, "suppressions[0].buyer"),
        ({"id": "a", "scope": "buyer", "buyer": "nobody"}, "suppressions[0].buyer"),
        ({"id": "a", "scope": "campaign", "campaign": "nowhere"}, "suppressions[0].campaign"),
        ({"id": "a", "buyer": "acme"}, "suppressions[0].buyer"),
        ({"id": "a", "scope": "world"}, "suppressions[0].scope"),
        ({"id": "a", "numbers": ["+13105551234"]}, "suppressions[0].numbers"),
    ],
)
def test_a_list_says_whose_it_is(suppression: dict[str, Any], fault: str) -> None:
    result = check_changed((("suppressions",), [suppression]))
    assert [each.path for each in result.faults] == [fault]


def test_a_list_without_an_id_gets_one_from_its_name() -> None:
    result = check_changed((("suppressions",), [{"name": "Do not call"}]))
    assert result.marketplace is not None
    assert result.marketplace.suppressions[0].id == "do-not-call"


def test_two_lists_have_two_ids() -> None:
    result = check_changed((("suppressions",), [{"id": "a"}, {"id": "a"}]))
    assert [each.path for each in result.faults] == ["suppressions[1].id"]


@pytest.mark.parametrize(
    ("retention", "fault"),
    [
        ({"pii_days": 0}, "pii_days"),
        ({"pii_days": 30, "calls_days": 29}, "calls_days"),
        ({"calls_days": "30"}, "calls_days"),
        ({"days": 3}, "days"),
    ],
)
def test_days_that_make_no_sense_are_refused(retention: dict[str, Any], fault: str) -> None:
    result = check_changed((("campaigns", 0, "retention"), retention))
    assert [each.path for each in result.faults] == [f"campaigns[0].retention.{fault}"]


def test_rules_that_look_at_callers_for_longer_than_they_are_kept_are_told() -> None:
    duplicates = {"within_days": 30, "after": "converted"}
    result = check_changed(
        (("campaigns", 0, "retention"), {"pii_days": 14, "calls_days": 400}),
        (("campaigns", 0, "duplicates"), duplicates),
        ((*ACME, "conversions"), [{"trigger": "answered", "dedupe_days": 20}]),
    )
    told = [each.path for each in result.warnings if "retention" in str(each)]
    assert told == [
        "campaigns[0].duplicates.within_days",
        "buyers[0].offers[0].conversions[0].dedupe_days",
    ]
