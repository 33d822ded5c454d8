"""What a run puts into its processes: calls, a marketplace, buyers; and how it counts their CPU."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from auction.domain.phone import parse_caller
from auction.web.call_request import read_call_request
from auction.web.event_request import read_event
from benchmarks.load.callers import CallBodies, answered_body, caller_of, ended_body
from benchmarks.stack.buyer_process import PREPARED_BIDS, Buyer
from benchmarks.stack.marketplace import CAMPAIGN, Layout, MarketplaceOptions, make_marketplace
from benchmarks.stack.usage import Usage, usage_of
from config.check import check


def test_every_call_has_a_caller_of_its_own() -> None:
    numbers = [*range(20_000), *range(70_000_000, 70_010_000)]
    callers = [caller_of(number) for number in numbers]
    assert len(set(callers)) == len(numbers)
    assert {parse_caller(caller, "US").number for caller in callers[::997]} == set(callers[::997])


def test_the_service_reads_the_calls_of_a_run() -> None:
    body = orjson.loads(CallBodies("run", 1800, first_caller=5).body(7))
    request = read_call_request(body)
    assert request.call_id == "run-7@bench"
    assert request.caller_id == caller_of(12)


@pytest.mark.parametrize("make", [answered_body, ended_body])
def test_the_service_reads_the_events_of_a_run(make: Callable[[str], bytes]) -> None:
    event = read_event(orjson.loads(make("run-7@bench")), bytes)
    assert event.call_id == "run-7@bench"


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("offers", [0, 3, 25])
def test_a_marketplace_of_a_run_has_no_fault(layout: Layout, offers: int) -> None:
    made = make_marketplace(MarketplaceOptions((5001, 5002, 5003), offers, layout))
    result = check(made, {})
    assert result.faults == ()
    assert sum(1 for _ in _offers(made)) == max(3, offers)


def test_other_offers_stand_in_other_campaigns_or_behind_filters() -> None:
    ports = (5001, 5002)
    elsewhere = make_marketplace(MarketplaceOptions(ports, 25, Layout.CAMPAIGNS))
    filtered = make_marketplace(MarketplaceOptions(ports, 25, Layout.FILTERS))
    assert sum(offer["campaign"] == CAMPAIGN for offer in _offers(elsewhere)) == 2
    assert all(offer["campaign"] == CAMPAIGN for offer in _offers(filtered))
    zip_codes = [each for offer in _offers(filtered) for each in _zip_codes(offer)]
    assert len(set(zip_codes)) == 23
    assert "90210" not in zip_codes


def _offers(marketplace: dict[str, list[dict[str, object]]]) -> Iterator[dict[str, object]]:
    for buyer in marketplace["buyers"]:
        offers = buyer["offers"]
        assert isinstance(offers, list)
        yield from offers


def _zip_codes(offer: dict[str, object]) -> list[str]:
    filters = offer["filters"]
    assert isinstance(filters, list)
    return [each["value"] for each in filters if each["field"] == "zip_code"]


def test_a_buyer_bids_other_amounts_than_the_next_one() -> None:
    first, second = (Buyer(number, b"secret", 0) for number in (0, 1))
    heads = b"Authorization: Bearer secret"
    bids = [
        tuple(_bid(buyer.answer(b"/ping", heads)) for buyer in (first, second))
        for _ in range(PREPARED_BIDS)
    ]
    assert first.pings == PREPARED_BIDS
    assert {winner > loser for winner, loser in bids} == {True, False}
    assert all(35 < amount < 90 for pair in bids for amount in pair)


def test_a_buyer_refuses_who_has_no_credential() -> None:
    buyer = Buyer(0, b"secret", 0)
    assert buyer.answer(b"/ping", b"Authorization: Bearer other").startswith(b"HTTP/1.1 401")
    assert (buyer.pings, buyer.refused) == (0, 1)


def test_a_buyer_takes_every_post() -> None:
    buyer = Buyer(0, b"secret", 0)
    assert b'{"accepted": true}' in buyer.answer(b"/post", b"X-API-Key: secret")
    assert (buyer.pings, buyer.posts) == (0, 1)


def _bid(answer: bytes) -> float:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.rpartition(b"Content-Length:")[2]) == len(body)
    return float(orjson.loads(body)["bid"])


def test_cpu_time_of_children_counts_whether_they_live_or_not(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.15: pass\n"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\n"
    script = tmp_path / "parent.py"
    script.write_text(parent + "print(flush=True)\nsys.stdin.read()\n")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(script)], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        usage = usage_of(process.pid)
        process.communicate()
    assert usage.cpu_s >= 0.14
    assert usage.resident > 1_000_000


def test_usage_counts_from_an_earlier_reading() -> None:
    before = usage_of(os.getpid())
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert usage_of(os.getpid()).since(before).cpu_s >= 0.03


def test_a_process_that_is_gone_uses_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert usage_of(process.pid) == Usage()
