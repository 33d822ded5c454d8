"""What may be asked of ``/v1/tokens``."""

import pytest

from auction.domain.throttle import RateLimit
from auction.web import problems
from auction.web.problems import CallerMistakeError
from auction.web.token_requests import read_token_request
from tests.builders import NOON


def asking(**asked: object) -> dict[str, object]:
    return {"name": "n", "scopes": ["read"], **asked}


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"scopes": ["read"]}, "name"),
        ({"name": "n", "scopes": []}, "scopes"),
        ({"name": "n", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "n", "scopes": ["read"], "extra": 1}, "extra"),
        (
            {"name": "n", "scopes": ["read"], "rate_limit": {"per_second": 0}},
            "rate_limit.per_second",
        ),
        ({"name": "n", "scopes": ["read"], "rate_limit": {}}, "rate_limit.per_second"),
        ({"name": "n", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "n", "scopes": ["read"], "expires_at": "soon"}, "expires_at"),
        ({"name": "n", "scopes": ["admin"], "source": "p"}, "scopes"),
        ({"name": "n", "scopes": ["calls"], "buyer": "b"}, "scopes"),
        ({"name": "n", "scopes": ["postback"]}, "buyer"),
        ({"name": "\n", "scopes": ["read"]}, "name"),
    ],
)
def test_what_makes_no_token_is_told_with_its_path(asked: dict[str, object], path: str) -> None:
    with pytest.raises(CallerMistakeError) as refused:
        read_token_request(asked, NOON)
    assert refused.value.kind is problems.INVALID
    assert [each.path for each in refused.value.faults] == [path]


def test_a_token_without_scopes_is_told_what_it_needs() -> None:
    with pytest.raises(CallerMistakeError) as refused:
        read_token_request({"name": "n", "scopes": []}, NOON)
    assert [each.message for each in refused.value.faults] == ["must have at least 1 entry"]


def test_a_burst_is_a_seconds_worth_unless_it_is_given() -> None:
    limits = [{"per_second": 2.5}, {"per_second": 0.1}, {"per_second": 5, "burst": 50}]
    found = [read_token_request(asking(rate_limit=each), NOON).limit() for each in limits]
    assert found == [RateLimit(2.5, 3), RateLimit(0.1, 1), RateLimit(5, 50)]
