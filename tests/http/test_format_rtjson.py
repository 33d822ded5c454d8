"""``format=rtjson``: the document that Kamailio's rtjson module routes by."""

import pytest

from auction.domain.next_attempt import FailReason
from tests.http.api_fakes import FakeRerouter, FakeServices, running_api
from tests.http.format_steps import NO_ROUTE, ROUTE, Recorded, not_routed, routed

INVITE = (
    '{"call_id": "c-1@switch-1", "dialed_number": "+18005550100",'
    ' "caller_id": "sip:+13105551234@10.0.0.9", "timeout_ms": 1800}'
)
JSON = "application/json"


def document(decision: dict[str, object], routes: list[dict[str, object]]) -> dict[str, object]:
    told = {name: value for name, value in decision.items() if name != "destination"}
    return {"version": "1.0", "routing": "serial", "routes": routes, **told}


@pytest.mark.parametrize(
    "request_sent",
    [
        Recorded("/v1/calls?format=rtjson", INVITE, content_type=JSON),
        Recorded(
            "/v1/calls",
            INVITE,
            content_type=JSON,
            headers={"Accept": "application/vnd.pingpost.rtjson+json, */*;q=0.1"},
        ),
    ],
    ids=["by name", "by accept"],
)
async def test_kamailio_gets_the_routed_destination_alone(request_sent: Recorded) -> None:
    services = FakeServices(answer=routed())
    async with running_api(services) as api:
        reply = await request_sent.sent_to(api)
    assert (reply.status, reply.headers["Content-Type"]) == (200, JSON)
    route = {"uri": "sip:sales@acme.example", "fr_inv_timer": 20_000}
    assert reply.json() == document(dict(ROUTE), [route])
    [(call, _)] = services.calls
    assert call.caller.number == "+13105551234"


async def test_nowhere_to_go_is_an_empty_array() -> None:
    async with running_api(FakeServices(answer=not_routed())) as api:
        reply = await Recorded("/v1/calls?format=rtjson", INVITE, content_type=JSON).sent_to(api)
    assert reply.status == 200
    assert reply.json() == document(dict(NO_ROUTE), [])


async def test_a_campaigns_own_place_for_such_calls_is_a_route() -> None:
    answer = not_routed(destination="sip:ivr@pbx.example")
    async with running_api(FakeServices(answer=answer)) as api:
        reply = await Recorded("/v1/calls?format=rtjson", INVITE, content_type=JSON).sent_to(api)
    told = reply.json()
    assert (told["action"], [each["uri"] for each in told["routes"]]) == (
        "no_route",
        ["sip:ivr@pbx.example"],
    )


async def test_a_failure_route_asks_for_the_next() -> None:
    rerouter = FakeRerouter(routed(attempt=2, uri="sip:desk@bravo.example"))
    failed = '{"call_id": "c-1@switch-1", "attempt": 1, "reason": "busy", "sip_code": 486}'
    async with running_api(rerouter=rerouter) as api:
        sent = Recorded("/v1/calls/next?format=rtjson", failed, content_type=JSON)
        reply = await sent.sent_to(api)
    told = reply.json()
    assert (told["attempt"], told["routes"][0]["uri"]) == (2, "sip:desk@bravo.example")
    [(request, _)] = rerouter.asked
    assert (request.attempt, request.reason, request.sip_code) == (1, FailReason.BUSY, 486)


async def test_our_own_words_are_checked_as_strictly_as_in_plain_json() -> None:
    failed = '{"call_id": "c-1", "attempt": 1, "reason": "busy", "colour": "red"}'
    async with running_api() as api:
        sent = Recorded("/v1/calls/next?format=rtjson", failed, content_type=JSON)
        reply = await sent.sent_to(api)
    assert (reply.status, reply.headers["Content-Type"]) == (422, "application/problem+json")


async def test_a_format_that_there_is_not_is_told() -> None:
    async with running_api() as api:
        reply = await Recorded("/v1/calls?format=rtjsn", INVITE, content_type=JSON).sent_to(api)
    assert reply.status == 422
    assert reply.json()["errors"][0]["path"] == "format"


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html, */*;q=0.8", "nonsense"])
async def test_others_get_json_as_before(accept: str) -> None:
    sent = Recorded("/v1/calls", INVITE, content_type=JSON, headers={"Accept": accept})
    async with running_api(FakeServices(answer=routed())) as api:
        reply = await sent.sent_to(api)
    assert (reply.status, reply.body) == (200, routed())
    assert "X-Pingpost-Action" not in reply.headers
