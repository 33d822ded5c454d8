"""A simulated buyer without sockets: its memory is bounded, its counts add up."""

import pytest

from buyers.simulator import buyer as module
from buyers.simulator.behaviour import PING_BEHAVIOURS, POST_BEHAVIOURS
from buyers.simulator.buyer import SimulatedBuyer
from buyers.simulator.replies import Delivery
from buyers.simulator.request import Request
from buyers.simulator.script import parse_script

XML = {
    "format": "xml",
    "accepted": "<a>{{ amount }} {{ currency }} {{ destination }} {{ expires_in_s }}</a>",
    "refused": "<a>no</a>",
    "refused_with_price": "<a>no {{ amount }}</a>",
}


def a_buyer(**settings: object) -> SimulatedBuyer:
    script = parse_script({"buyers": [{"name": "acme", **settings}]})
    return SimulatedBuyer(script.buyers[0], script.seed)


def a_post(key: str) -> Request:
    return Request("POST", "/post", "", {"idempotency-key": key}, b"{}")


def test_the_oldest_posts_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_POSTS", 3)
    buyer = a_buyer()
    for number in range(5):
        buyer.post(a_post(str(number)))
    assert list(buyer.posts) == ["2", "3", "4"]


def test_posts_without_a_key_are_never_repeats() -> None:
    buyer = a_buyer()
    for _ in range(3):
        buyer.post(Request("POST", "/post", "", {}, b"{}"))
    assert (buyer.counts.posts, buyer.counts.repeats, buyer.posts) == (3, 0, {})


def test_every_behaviour_can_be_played() -> None:
    pings = sorted(PING_BEHAVIOURS | {"status_500"})
    posts = sorted(POST_BEHAVIOURS | {"status_500"})
    buyer = a_buyer(
        ping={"dialect": XML, "behaviours": dict.fromkeys(pings, 1)},
        post={"dialect": XML, "behaviours": dict.fromkeys(posts, 1)},
    )
    for number in range(1500):
        buyer.ping(Request("POST", "/ping", "", {}, b""))
        buyer.post(a_post(str(number)))
    assert sorted(buyer.counts.ping_behaviours) == pings
    assert sorted(buyer.counts.post_behaviours) == posts


def test_only_a_decision_counts_as_accepted_or_rejected() -> None:
    decided = {"accept": 1, "reject": 1, "late": 1, "status_500": 1, "hang": 1}
    buyer = a_buyer(post={"behaviours": decided})
    for number in range(300):
        buyer.post(a_post(str(number)))
    counts = buyer.counts
    assert counts.accepted == counts.post_behaviours["accept"]
    assert counts.rejected == counts.post_behaviours["reject"]
    assert counts.unheard == counts.post_behaviours["late"]
    taken = sum(post.taken is True for post in buyer.posts.values())
    assert taken == counts.accepted + counts.unheard


def test_a_post_without_a_decision_is_drawn_anew_when_repeated() -> None:
    behaviours = {"accept": 1, "status_503": 4}
    buyer = a_buyer(post={"behaviours": behaviours, "decide_by": "call"})
    post = Request("POST", "/post", "", {"idempotency-key": "p1"}, b'{"call": 1}')
    for _ in range(50):
        buyer.post(post)
    assert buyer.counts.accepted == 1
    assert buyer.counts.repeats == 49


def test_latency_comes_on_top_of_what_a_behaviour_waits() -> None:
    buyer = a_buyer(ping={"behaviours": {"late": 1}, "late_ms": 1000, "latency_ms": 50})
    reply = buyer.ping(Request("POST", "/ping", "", {}, b""))
    assert reply.delay_s == pytest.approx(1.05)
    assert reply.delivery is Delivery.WHOLE
