"""The marketplace file as the documentation shows it can be used as it stands."""

import re
from pathlib import Path

from config.check import check_text

TEXT = (Path(__file__).parents[3] / "docs" / "marketplace.md").read_text()
HEAD, OFFERS, PLAIN, MAPPED, SPARED = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_documented_file_has_no_fault() -> None:
    assert check_text((HEAD + OFFERS + PLAIN).encode(), {}).faults == ()


def test_the_documented_dialect_has_no_fault() -> None:
    ping_post = '        ping_post:\n          minimum_bid: "35.00"\n'
    assert check_text((HEAD + OFFERS + ping_post + MAPPED).encode(), {}).faults == ()


def test_the_documented_breaker_and_rate_have_no_fault() -> None:
    ping = '          ping: {url: "https://bid.acme.example/ping"}\n'
    checked = check_text((HEAD + OFFERS + SPARED + ping).encode(), {})
    assert checked.faults == ()
    assert not any("enforced" in warning.message for warning in checked.warnings)
