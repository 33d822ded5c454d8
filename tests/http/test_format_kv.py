"""``format=kv``: what Asterisk's CURL sends, and what its hashcompat reads."""

from typing import Any
from urllib.parse import unquote

import pytest

from auction.domain.next_attempt import FailReason
from tests.http.api_fakes import FakeRerouter, FakeServices, running_api
from tests.http.format_steps import Recorded, not_routed, routed


def hashed(body: bytes) -> dict[str, str]:
    """What ``Set(HASH(r)=${CURL(...)})`` holds: split at ``&`` and ``=``, then percent-decoded.

    As in ``func_curl.c`` with ``hashcompat=yes``: a plus stays a plus.
    """
    pieces = (piece.partition("=") for piece in body.decode("ascii").split("&"))
    return {unquote(name): unquote(value) for name, _, value in pieces}


FROM_THE_DIAL_PLAN = (
    "call_id=1764352800.17%40pbx-1&campaign=auto&dialed_number=%2B18005550100"
    "&caller_id=%2B13105551234&fields.zip_code=90210&timeout_ms=1800"
)


@pytest.mark.parametrize(
    "request_sent",
    [
        Recorded("/v1/calls?format=kv", FROM_THE_DIAL_PLAN),
        Recorded(f"/v1/calls?format=kv&{FROM_THE_DIAL_PLAN}"),
        Recorded(
            "/v1/calls?format=kv",
            "uniqueid=1764352800.17%40pbx-1&campaign=auto&extension=8005550100"
            "&callerid=3105551234&fields.zip_code=90210&timeout_ms=1800",
        ),
        Recorded(
            "/v1/calls",
            FROM_THE_DIAL_PLAN,
            headers={"Accept": "application/x-www-form-urlencoded"},
        ),
        Recorded(
            "/v1/calls?format=kv",
            '{"call_id": "1764352800.17@pbx-1", "campaign": "auto",'
            ' "dialed_number": "+18005550100", "caller_id": "+13105551234",'
            ' "fields": {"zip_code": "90210"}, "timeout_ms": 1800}',
        ),
    ],
    ids=["form", "query", "channel variables", "by accept", "our own JSON"],
)
async def test_asterisk_asks_and_reads_a_hash(request_sent: Recorded) -> None:
    services = FakeServices(answer=routed("1764352800.17@pbx-1", whisper="Auto, 90 s & more"))
    async with running_api(services) as api:
        reply = await request_sent.sent_to(api)
    assert (reply.status, reply.headers["Content-Type"]) == (
        200,
        "application/x-www-form-urlencoded",
    )
    assert hashed(reply.body) == {
        "call_id": "1764352800.17@pbx-1",
        "action": "route",
        "routed_by": "auction",
        "attempt": "1",
        "offer": "acme-auto",
        "buyer": "acme",
        "price": "52.00",
        "currency": "USD",
        "minimum_duration_s": "90",
        "expires_at": "2026-11-21T18:00:30.000Z",
        "reason": "",
        "elapsed_ms": "143.2",
        "destination": "sip:sales@acme.example",
        "dial_timeout_s": "20",
        "send_digits": "",
        "whisper": "Auto, 90 s & more",
    }
    [(call, _)] = services.calls
    assert (call.call_id, call.campaign, call.dialed_number) == (
        "1764352800.17@pbx-1",
        "auto",
        "+18005550100",
    )
    assert (call.caller.number, call.fields, call.timeout_ms) == (
        "+13105551234",
        {"zip_code": "90210"},
        1800,
    )


async def test_a_call_that_nobody_takes_has_every_key_too() -> None:
    async with running_api(FakeServices(answer=not_routed())) as api:
        reply = await Recorded("/v1/calls?format=kv", FROM_THE_DIAL_PLAN).sent_to(api)
    told = hashed(reply.body)
    assert (told["action"], told["reason"]) == ("no_route", "no_eligible_offer")
    assert (told["destination"], told["offer"], told["price"]) == ("", "", "")


@pytest.mark.parametrize(
    ("dial_status", "reason"),
    [
        ("BUSY", FailReason.BUSY),
        ("NOANSWER", FailReason.NO_ANSWER),
        ("CONGESTION", FailReason.FAILED),
        ("CHANUNAVAIL", FailReason.FAILED),
        ("INVALIDARGS", FailReason.FAILED),
        ("no_answer", FailReason.NO_ANSWER),
    ],
)
async def test_a_dial_status_asks_for_the_next(dial_status: str, reason: FailReason) -> None:
    rerouter = FakeRerouter(routed(attempt=2))
    asked = f"call_id=c-1&attempt=1&reason={dial_status}&sip_code=486&timeout_ms=1500"
    async with running_api(rerouter=rerouter) as api:
        reply = await Recorded("/v1/calls/next?format=kv", asked).sent_to(api)
    assert (reply.status, hashed(reply.body)["attempt"]) == (200, "2")
    [(request, timeout_ms)] = rerouter.asked
    assert (request.call_id, request.attempt, request.reason) == ("c-1", 1, reason)
    assert (request.sip_code, timeout_ms) == (486, 1500)


@pytest.mark.parametrize(
    ("uri", "dialled"),
    [
        ("sip:a&b@acme.example", "sip:a%26b@acme.example"),
        ("sip:a$b'c@acme.example;x=1", "sip:a%24b%27c@acme.example;x=1"),
        ("sip:a%26b@acme.example", "sip:a%26b@acme.example"),
        ("sip:[2001:db8::1]:5060", "sip:[2001:db8::1]:5060"),
        ("tel:+18885550142", "tel:+18885550142"),
    ],
)
async def test_an_address_is_one_destination_in_a_dial(uri: str, dialled: str) -> None:
    async with running_api(FakeServices(answer=routed(uri=uri))) as api:
        reply = await Recorded("/v1/calls?format=kv", FROM_THE_DIAL_PLAN).sent_to(api)
    assert hashed(reply.body)["destination"] == dialled


@pytest.mark.parametrize(
    ("sent", "missing"),
    [
        ("campaign=auto", "call_id"),
        ("call_id=c-1", "dialed_number"),
    ],
)
async def test_what_no_call_can_be_made_of_is_refused(sent: str, missing: str) -> None:
    async with running_api() as api:
        reply = await Recorded("/v1/calls?format=kv", sent).sent_to(api)
    assert reply.status == 422
    assert missing in reply.body.decode()


@pytest.mark.parametrize(
    "oddity",
    [
        "caller_id=anonymous",
        "caller_id=" + "9" * 500,
        "timeout_ms=soon",
        "timeout_ms=-1",
        "timeout_ms=" + "9" * 5000,
        "source=%00",
        "fields.zip_code=" + "1" * 5000,
        "fields.=1",
        "colour=red",
        "test=perhaps",
        "caller_id=%FF%FE",
        "&&==&",
    ],
)
async def test_an_odd_parameter_never_loses_a_call(oddity: str) -> None:
    services = FakeServices(answer=routed())
    sent = Recorded("/v1/calls?format=kv", f"call_id=c-1&campaign=auto&{oddity}")
    async with running_api(services) as api:
        reply = await sent.sent_to(api)
    assert reply.status == 200
    [(call, _)] = services.calls
    assert (call.campaign, call.caller.number, call.fields, call.test) == ("auto", None, {}, False)


@pytest.mark.parametrize(("path", "status"), [("/v1/calls/next", 422), ("/v1/calls/events", 204)])
async def test_an_attempt_of_thousands_of_digits_is_none(path: str, status: int) -> None:
    """The next one needs it; a report without is of the attempt that the call is at."""
    sent = Recorded(f"{path}?format=kv", "call_id=c-1&type=answered&attempt=" + "9" * 5000)
    async with running_api(FakeServices()) as api:
        reply = await sent.sent_to(api)
    assert reply.status == status, reply.body


def a_header(reply: Any, name: str) -> Any:
    return reply.headers.get(f"X-Pingpost-{name}")


async def test_the_decision_is_in_headers_too() -> None:
    async with running_api(FakeServices(answer=routed("Anruf Ä\r\nX-Evil: 1"))) as api:
        reply = await Recorded("/v1/calls?format=kv", FROM_THE_DIAL_PLAN).sent_to(api)
    assert a_header(reply, "Action") == "route"
    assert a_header(reply, "Destination") == "sip:sales@acme.example"
    assert a_header(reply, "Dial-Timeout") == "20"
    assert a_header(reply, "Price") == "52.00"
    assert a_header(reply, "Reason") is None
    assert a_header(reply, "Call-Id") == "Anruf %C3%84%0D%0AX-Evil: 1"
    assert "X-Evil" not in reply.headers
    assert reply.headers["Cache-Control"] == "no-store"


async def test_a_form_without_a_format_is_answered_in_json() -> None:
    services, rerouter = FakeServices(answer=routed()), FakeRerouter(routed(attempt=2))
    async with running_api(services, rerouter) as api:
        call = await Recorded("/v1/calls", FROM_THE_DIAL_PLAN).sent_to(api)
        failed = "call_id=c-1&attempt=1&reason=BUSY"
        then = await Recorded("/v1/calls/next", failed).sent_to(api)
        ended = "call_id=c-1&type=ended&attempt=2"
        last = await Recorded("/v1/calls/events", ended).sent_to(api)
        broken = await Recorded("/v1/calls", '{"call_id": ').sent_to(api)
    assert (call.body, then.body, last.status) == (routed(), routed(attempt=2), 204)
    assert (broken.status, broken.json()["type"]) == (400, "urn:pingpost:problem:not-json")


async def test_the_address_comes_before_the_body() -> None:
    services = FakeServices(answer=routed())
    sent = Recorded("/v1/calls?format=kv&campaign=auto", "call_id=c-1&campaign=home")
    async with running_api(services) as api:
        await sent.sent_to(api)
    assert services.calls[0][0].campaign == "auto"
