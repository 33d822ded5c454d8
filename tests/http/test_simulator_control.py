"""Authentication, counts, repeats and the control paths of simulated buyers."""

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from buyers.simulator.script import ScriptError, parse_script
from buyers.simulator.server import SimulatedBuyers, run_simulator
from tests.eventually import eventually
from tests.http.raw_http import PING, Received, send


def one_buyer(**buyer: Any) -> SimulatedBuyers:
    return SimulatedBuyers(parse_script({"buyers": [{"name": "acme", **buyer}]}))


def counts(buyers: SimulatedBuyers) -> dict[str, Any]:
    return buyers.counts()["acme"]


async def post(buyers: SimulatedBuyers, key: str) -> Received:
    return await send(buyers.url("acme") + "/post", headers={"Idempotency-Key": key}, wait_s=0.2)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def signed(secret: bytes, body: bytes, at: int) -> dict[str, str]:
    signature = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Signature": f"sha256={signature}", "X-Timestamp": str(at)}


@pytest.mark.parametrize(
    ("auth", "right", "wrong"),
    [
        (
            {"type": "bearer", "token": "t0ken"},
            {"Authorization": "Bearer t0ken"},
            {"Authorization": "Bearer other"},
        ),
        ({"type": "api_key", "key": "k"}, {"x-api-key": "k"}, {"X-API-Key": "K"}),
        (
            {"type": "basic", "user": "u", "password": "p"},
            basic("u", "p"),
            basic("u", "q"),
        ),
    ],
)
async def test_wrong_or_missing_authentication_is_a_401_and_counted(
    auth: dict[str, str], right: dict[str, str], wrong: dict[str, str]
) -> None:
    async with one_buyer(auth=auth) as buyers:
        url = buyers.url("acme") + "/ping"
        statuses = [(await send(url, headers=headers)).status for headers in (right, wrong, {})]

    assert statuses == [200, 401, 401]
    assert (counts(buyers)["pings"], counts(buyers)["auth_failures"]) == (1, 2)


async def test_an_api_key_may_be_due_in_the_query() -> None:
    auth = {"type": "api_key", "name": "key", "in": "query", "key": "s3 cret"}
    async with one_buyer(auth=auth) as buyers:
        url = buyers.url("acme") + "/post"
        right = await send(url + "?a=1&key=s3%20cret")
        wrong = await send(url, headers={"key": "s3 cret"})

    assert (right.status, wrong.status) == (200, 401)
    assert counts(buyers)["posts"] == 1


async def test_a_signature_covers_timestamp_and_body() -> None:
    now = int(time.time())
    body = b'{"ping_id": 1}'
    async with one_buyer(auth={"type": "hmac", "secret": "s"}) as buyers:
        url = buyers.url("acme") + "/ping"
        right = await send(url, body, signed(b"s", body, now))
        other_body = await send(url, b'{"ping_id": 2}', signed(b"s", body, now))
        other_secret = await send(url, body, signed(b"x", body, now))
        stale = await send(url, body, signed(b"s", body, now - 3600))
        absurd = await send(url, body, {**signed(b"s", body, now), "X-Timestamp": "9" * 5000})

    statuses = [answer.status for answer in (right, other_body, other_secret, stale, absurd)]
    assert statuses == [200, 401, 401, 401, 401]


async def test_every_behaviour_is_counted_under_its_name() -> None:
    async with one_buyer() as buyers:
        url = buyers.url("acme") + "/ping"
        for behaviour in ("bid", "no_bid", "refusal", "nan", "hang", "garbage"):
            buyers.change("acme", ping={"behaviours": {behaviour: 1}})
            await send(url, wait_s=0.1)

    seen = counts(buyers)
    assert (seen["pings"], seen["bids"], seen["no_bids"]) == (6, 2, 2)
    assert seen["ping_behaviours"] == {
        "bid": 1,
        "garbage": 1,
        "hang": 1,
        "nan": 1,
        "no_bid": 1,
        "refusal": 1,
    }


async def test_pings_that_give_the_caller_away_are_counted() -> None:
    async with one_buyer(known_numbers=["+18005550100"]) as buyers:
        url = buyers.url("acme") + "/ping"
        await send(url, {**PING, "cid": "+13105551234"})
        await send(url + "?cid=%2B13105551234")
        await send(url, {**PING, "dialed": "+18005550100", "hash": "a" * 20 + "3105551234"})

    assert counts(buyers)["plain_caller_ids"] == 2


async def test_a_repeated_post_is_answered_alike_and_counted_once() -> None:
    async with one_buyer(post={"behaviours": {"accept": 1, "reject": 1}}) as buyers:
        first = [(await post(buyers, f"post-{number}")).body for number in range(20)]
        again = [(await post(buyers, f"post-{number}")).body for number in range(20)]

    assert first == again
    assert len(set(first)) == 2
    seen = counts(buyers)
    assert (seen["posts"], seen["repeats"]) == (20, 20)
    assert seen["accepted"] + seen["rejected"] == 20


async def test_a_post_taken_with_a_spoiled_answer_is_confirmed_when_repeated() -> None:
    async with one_buyer(post={"behaviours": {"truncated": 1}}) as buyers:
        spoiled = await post(buyers, "p1")
        repeated = await post(buyers, "p1")

    assert spoiled.end == "closed"
    assert repeated.json == {"accepted": True}
    seen = counts(buyers)
    assert (seen["accepted"], seen["unheard"], seen["repeats"]) == (0, 1, 1)
    assert buyers.buyer("acme").posts["p1"].taken is True


async def test_a_post_that_came_to_no_decision_is_decided_when_repeated() -> None:
    async with one_buyer(post={"behaviours": {"status_503": 1}}) as buyers:
        failed = await post(buyers, "p1")
        buyers.change("acme", post={"behaviours": {"accept": 1}})
        repeated = await post(buyers, "p1")

    assert (failed.status, repeated.status) == (503, 200)
    seen = counts(buyers)
    assert (seen["posts"], seen["repeats"], seen["accepted"]) == (1, 1, 1)


async def test_an_acceptance_that_nobody_waits_for_is_unheard() -> None:
    async with one_buyer(post={"latency_ms": 5_000}) as buyers:
        url = buyers.url("acme") + "/post"
        await send(url, headers={"Idempotency-Key": "p1"}, wait_s=0.05)
        await eventually(lambda: counts(buyers)["abandoned"])
        buyers.change("acme", post={"latency_ms": 0})
        repeated = await send(url, headers={"Idempotency-Key": "p1"})

    assert repeated.json == {"accepted": True}
    assert (counts(buyers)["accepted"], counts(buyers)["unheard"]) == (0, 1)


async def test_counts_are_served_on_every_port_and_together_on_the_control_port() -> None:
    buyers = [{"name": "acme"}, {"name": "beacon", "ping": {"behaviours": {"no_bid": 1}}}]
    script = parse_script({"control": {"port": 0}, "buyers": buyers})
    async with SimulatedBuyers(script) as simulated:
        await send(simulated.url("acme") + "/ping")
        await send(simulated.url("beacon") + "/ping")
        own = await send(simulated.url("acme") + "/_counts", method="GET")
        assert simulated.control_url is not None
        both = await send(simulated.control_url + "/_counts", method="GET")

    served: Any = both.json
    own_counts: Any = own.json
    assert own_counts["buyers"].keys() == {"acme"}
    assert served["buyers"] == simulated.counts()
    assert (served["buyers"]["acme"]["bids"], served["buyers"]["beacon"]["no_bids"]) == (1, 1)
    assert served["connections"]["connections"] == 4


async def test_a_script_is_changed_over_http_while_it_plays() -> None:
    async with one_buyer(ping={"bid": "40.00"}) as buyers:
        url = buyers.url("acme")
        changed = await send(url + "/_script", {"buyer": "acme", "ping": {"bid": "41.00"}})
        after = await send(url + "/ping")
        unknown = await send(url + "/_script", {"buyer": "nobody", "ping": {}})
        faulty = await send(
            url + "/_script",
            {
                "buyer": "acme",
                "ping": {"bid": 1.5, "late_ms": -1},
                "post": {"behaviours": {"x": 1}},
            },
        )
        moved = await send(url + "/_script", {"buyer": "acme", "ping": {"path": "/elsewhere"}})
        not_json = await send(url + "/_script", b"{")
        still = await send(url + "/ping")

    assert [answer.status for answer in (changed, unknown, faulty, moved, not_json)] == [
        200,
        404,
        422,
        422,
        400,
    ]
    assert b'"41.00"' in after.body
    assert b'"41.00"' in still.body
    faults: Any = faulty.json
    assert [fault.split(":")[0] for fault in faults["faults"]] == [
        "ping.late_ms",
        "ping.bid.value",
        "post.behaviours",
    ]


async def test_a_change_keeps_what_it_does_not_name() -> None:
    async with one_buyer(ping={"bid": "40.00", "expires_in_s": 9}) as buyers:
        buyers.change("acme", ping={"behaviours": {"bid": 2, "no_bid": 0}}, auth={"type": "none"})
        received = await send(buyers.url("acme") + "/ping")

    assert b'"bid":"40.00"' in received.body
    assert b'"expires_in_s":9' in received.body


async def test_a_reset_starts_counts_and_numbers_anew() -> None:
    async with one_buyer(record=10) as buyers:
        url = buyers.url("acme")
        first = await send(url + "/ping")
        await send(url + "/_reset")
        again = await send(url + "/ping")

    assert first.body == again.body
    assert counts(buyers)["pings"] == 1
    assert len(buyers.buyer("acme").requests) == 1


async def test_recorded_requests_are_served_without_their_secrets() -> None:
    async with one_buyer(record=2, auth={"type": "bearer", "token": "t0ken"}) as buyers:
        url = buyers.url("acme")
        for zip_code in ("1", "2", "3"):
            await send(url + "/ping", {"zip": zip_code}, {"Authorization": "Bearer t0ken"})
        seen = await send(url + "/_requests", method="GET")

    content: Any = seen.json
    assert [request["body"] for request in content["acme"]] == ['{"zip":"2"}', '{"zip":"3"}']
    assert b"t0ken" not in seen.body


@pytest.mark.parametrize("location", ["header", "query"])
async def test_a_key_under_any_name_is_hidden_where_it_is_sent(location: str) -> None:
    auth = {"type": "api_key", "name": "Partner", "in": location, "key": "t0ken"}
    async with one_buyer(record=1, auth=auth) as buyers:
        url = buyers.url("acme")
        key = "?zip=1&Partner=t0ken" if location == "query" else ""
        await send(url + "/ping" + key, {}, {} if key else {"Partner": "t0ken"})
        seen = await send(url + "/_requests", method="GET")
        assert counts(buyers)["auth_failures"] == 0

    assert b"t0ken" not in seen.body
    assert b"***" in seen.body
    content: Any = seen.json
    assert content["acme"][0]["query"] == ("zip=1&Partner=***" if key else "")


async def test_the_same_seed_gives_the_same_answers_and_another_seed_others() -> None:
    async def play(seed: int) -> list[bytes]:
        ping = {
            "behaviours": {"bid": 3, "refusal": 1},
            "bid": {
                "distribution": "normal",
                "mean": "45",
                "deviation": "5",
                "low": "30",
                "high": "60",
            },
        }
        script = parse_script({"seed": seed, "buyers": [{"name": "acme", "ping": ping}]})
        async with SimulatedBuyers(script) as buyers:
            return [(await send(buyers.url("acme") + "/ping")).body for _ in range(20)]

    assert await play(1) == await play(1)
    assert await play(1) != await play(2)


async def test_answers_may_follow_from_the_request_instead_of_its_number() -> None:
    ping = {
        "behaviours": {"refusal": 1, "refusal_with_price": 1},
        "bid": {"distribution": "uniform", "low": "30", "high": "60"},
        "decide_by": "fields.session",
    }
    sessions = [f"s{number}" for number in range(12)]

    async def ask(order: list[str]) -> dict[str, bytes]:
        async with one_buyer(ping=ping) as buyers:
            url = buyers.url("acme") + "/ping"
            return {name: (await send(url, {"fields": {"session": name}})).body for name in order}

    forward, backward = await ask(sessions), await ask(sessions[::-1])
    assert forward == backward
    assert len(set(forward.values())) > 5


async def test_the_simulator_runs_until_it_is_told_to_stop() -> None:
    script = parse_script({"buyers": [{"name": "acme"}]})
    stop = asyncio.Event()
    ready: asyncio.Future[SimulatedBuyers] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_simulator(script, ready=ready.set_result, stop=stop))
    buyers = await asyncio.wait_for(ready, 5)
    received = await send(buyers.url("acme") + "/ping")
    stop.set()

    assert received.status == 200
    assert (await asyncio.wait_for(running, 5)).counts()["acme"]["pings"] == 1


async def test_a_port_that_is_taken_leaves_nothing_open() -> None:
    async with one_buyer() as taken:
        document = {"buyers": [{"name": "free"}, {"name": "taken", "port": taken.port("acme")}]}
        buyers = SimulatedBuyers(parse_script(document))
        with pytest.raises(OSError, match="address already in use"):
            await buyers.start()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", buyers.port("free"))


async def test_a_cancelled_simulator_closes_its_ports() -> None:
    script = parse_script({"buyers": [{"name": "acme"}]})
    ready: asyncio.Future[SimulatedBuyers] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_simulator(script, ready=ready.set_result))
    port = (await asyncio.wait_for(ready, 5)).port("acme")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_change_of_nothing_known_is_a_fault() -> None:
    async with one_buyer() as buyers:
        with pytest.raises(ScriptError, match="ping, post or auth"):
            buyers.change("acme", port=1)
