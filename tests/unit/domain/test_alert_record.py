"""An alert as it is shown."""

from dataclasses import replace

from auction.domain.alert_record import AlertRecord
from tests.builders import NOON

FIRED = AlertRecord("a", "slow", "offer:acme-auto", "Slow", "timeout_rate", 0.5, 0.1, NOON)


def test_what_is_over_is_resolved_whoever_has_acknowledged_it() -> None:
    seen_to = replace(FIRED, acknowledged_at=NOON)
    over = [replace(each, resolved_at=NOON) for each in (FIRED, seen_to)]
    assert [each.phase for each in (FIRED, seen_to)] == ["firing", "acknowledged"]
    assert {each.phase for each in over} == {"resolved"}
