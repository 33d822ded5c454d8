"""``format=twiml``: what Twilio sends, and the TwiML that it gets."""

from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as Tree

import pytest

from auction.domain.next_attempt import FailReason, UnknownCall
from auction.domain.switch_events import EventType
from auction.ports import StorageUnavailableError
from tests.http.api_fakes import FakeRerouter, FakeServices, Reply, running_api
from tests.http.format_steps import Recorded, not_routed, routed

CALL_SID = "CA1234567890abcdef1234567890abcdef"
INCOMING = (
    "AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ApiVersion=2010-04-01"
    f"&CallSid={CALL_SID}&CallStatus=ringing&Called=%2B18005550100&CalledCity=&CalledCountry=US"
    "&CalledState=&CalledZip=&Caller=%2B13105551234&CallerCity=LOS+ANGELES&CallerCountry=US"
    "&CallerState=CA&CallerZip=90210&Direction=inbound&From=%2B13105551234&FromCity=LOS+ANGELES"
    "&FromCountry=US&FromState=CA&FromZip=90210&StirVerstat=TN-Validation-Passed-A"
    "&To=%2B18005550100&ToCity=&ToCountry=US&ToState=&ToZip="
)
DIALLED = (
    "AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ApiVersion=2010-04-01"
    f"&CallSid={CALL_SID}&Direction=inbound&From=%2B13105551234&To=%2B18005550100"
    "&DialBridged=false&DialCallSid=CAfedcba0987654321fedcba0987654321"
)
PROGRESS = (
    "AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ApiVersion=2010-04-01"
    f"&CallSid=CAfedcba0987654321fedcba0987654321&ParentCallSid={CALL_SID}"
    "&CallbackSource=call-progress-events&Direction=outbound-dial&From=%2B13105551234"
    "&To=sip%3Asales%40acme.example&Timestamp=Sat%2C+28+Nov+2026+18%3A00%3A05+%2B0000"
    "&SequenceNumber=2"
)
LINKED = f"?format=twiml&call={CALL_SID}&attempt=1"


def verb(reply: Reply) -> Tree.Element:
    """The one verb of a response."""
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/xml"), reply.body
    response = Tree.fromstring(reply.body)
    assert response.tag == "Response"
    [found] = response
    return found


def link(url: str | None) -> tuple[str, dict[str, list[str]]]:
    parts = urlsplit(url or "")
    return parts.path, parse_qs(parts.query)


@pytest.mark.parametrize(
    "request_sent",
    [
        Recorded("/v1/calls?format=twiml&campaign=auto&fields.zip_code=90210", INCOMING),
        Recorded(f"/v1/calls?format=twiml&campaign=auto&fields.zip_code=90210&{INCOMING}",
                 method="GET"),
        Recorded("/v1/calls?format=texml&campaign=auto&fields.zip_code=90210", INCOMING),
        Recorded(
            "/v1/calls?campaign=auto&fields.zip_code=90210",
            INCOMING,
            headers={"Accept": "application/vnd.pingpost.twiml+xml"},
        ),
    ],
    ids=["form", "query", "Telnyx", "by accept"],
)  # fmt: skip
async def test_twilio_is_told_to_dial(request_sent: Recorded) -> None:
    services = FakeServices(answer=routed(CALL_SID))
    async with running_api(services) as api:
        dial = verb(await request_sent.sent_to(api))
    assert dial.tag == "Dial"
    assert (dial.get("timeout"), dial.get("answerOnBridge")) == ("20", "true")
    path, query = link(dial.get("action"))
    assert (path, dial.get("method")) == ("/v1/calls/next", "POST")
    assert (query["call"], query["attempt"]) == ([CALL_SID], ["1"])
    [sip] = dial
    assert (sip.tag, sip.text) == ("Sip", "sip:sales@acme.example")
    assert sip.get("statusCallbackEvent") == "answered completed"
    assert link(sip.get("statusCallback"))[0] == "/v1/calls/events"
    assert sip.get("statusCallback", "").startswith(f"http://127.0.0.1:{api.port}/")
    [(call, _)] = services.calls
    assert (call.call_id, call.campaign) == (CALL_SID, "auto")
    assert (call.dialed_number, call.caller.number) == ("+18005550100", "+13105551234")
    assert call.fields == {"zip_code": "90210"}


async def test_kazoo_is_told_to_dial_whichever_names_it_sends() -> None:
    """Its own, as ``req_format: kazoo`` has them; From may be the user of a SIP account."""
    sent = (
        "Account-ID=4c4c&Api-Version=4.x&Call-ID=a84b4c76e66710&Direction=inbound"
        "&Caller-ID-Name=JANE+DOE&Caller-ID-Number=%2B13105551234&Language=en-us"
        "&From=user_x7&From-Realm=a.example&To=%2B18005550100&To-Realm=a.example"
    )
    services = FakeServices(answer=routed("a84b4c76e66710", uri="tel:+18885550142"))
    async with running_api(services) as api:
        dial = verb(await Recorded("/v1/calls?format=twiml", sent).sent_to(api))
    [number] = dial
    assert (number.tag, number.text) == ("Number", "+18885550142")
    [(call, _)] = services.calls
    assert (call.call_id, call.dialed_number, call.caller.number) == (
        "a84b4c76e66710",
        "+18005550100",
        "+13105551234",
    )


@pytest.mark.parametrize(
    ("form", "offered_s", "told_s"),
    [("texml", 2, "5"), ("texml", 45, "45"), ("texml", 600, "120"), ("twiml", 600, "600")],
)
async def test_telnyx_is_told_a_timeout_that_it_takes(
    form: str, offered_s: int, told_s: str
) -> None:
    answer = routed(CALL_SID, dial_timeout_s=offered_s)
    async with running_api(FakeServices(answer=answer)) as api:
        reply = await Recorded(f"/v1/calls?format={form}", INCOMING).sent_to(api)
    assert verb(reply).get("timeout") == told_s


async def test_telnyx_turns_away_a_call_that_nobody_takes() -> None:
    async with running_api(FakeServices(answer=not_routed(CALL_SID))) as api:
        assert verb(await Recorded("/v1/calls?format=texml", INCOMING).sent_to(api)).tag == "Reject"


async def test_a_number_is_dialled_with_its_digits() -> None:
    answer = routed(CALL_SID, uri="tel:+18885550142", send_digits="1w2")
    async with running_api(FakeServices(answer=answer)) as api:
        dial = verb(await Recorded("/v1/calls?format=twiml", INCOMING).sent_to(api))
    [number] = dial
    assert (number.tag, number.text, number.get("sendDigits")) == ("Number", "+18885550142", "1w2")


async def test_a_call_that_nobody_takes_is_turned_away_unanswered() -> None:
    async with running_api(FakeServices(answer=not_routed(CALL_SID))) as api:
        reply = await Recorded("/v1/calls?format=twiml", INCOMING).sent_to(api)
    assert verb(reply).tag == "Reject"
    assert reply.headers["X-Pingpost-Reason"] == "no_eligible_offer"


async def test_a_campaigns_own_place_is_dialled_without_a_next() -> None:
    answer = not_routed(CALL_SID, destination="sip:ivr@pbx.example")
    async with running_api(FakeServices(answer=answer)) as api:
        dial = verb(await Recorded("/v1/calls?format=twiml", INCOMING).sent_to(api))
    assert (dial.tag, dial.get("action"), [each.text for each in dial]) == (
        "Dial",
        None,
        ["sip:ivr@pbx.example"],
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("busy", FailReason.BUSY),
        ("no-answer", FailReason.NO_ANSWER),
        ("failed", FailReason.FAILED),
        ("something-new", FailReason.FAILED),
    ],
)
async def test_a_dial_that_failed_goes_to_the_next(status: str, reason: FailReason) -> None:
    rerouter = FakeRerouter(routed(CALL_SID, attempt=2, uri="sip:desk@bravo.example"))
    sent = f"{DIALLED}&CallStatus=in-progress&DialCallStatus={status}"
    async with running_api(rerouter=rerouter) as api:
        reply = await Recorded(f"/v1/calls/next{LINKED}", sent).sent_to(api)
    dial = verb(reply)
    assert [each.text for each in dial] == ["sip:desk@bravo.example"]
    assert link(dial.get("action"))[1]["attempt"] == ["2"]
    [(request, _)] = rerouter.asked
    assert (request.call_id, request.attempt, request.reason) == (CALL_SID, 1, reason)


@pytest.mark.parametrize(
    ("said", "connected", "ended_by"),
    [
        ("CallStatus=completed&DialCallStatus=completed&DialCallDuration=95", 95, None),
        ("CallStatus=in-progress&DialCallStatus=completed&DialCallDuration=95", 95, None),
        ("CallStatus=in-progress&DialCallStatus=answered&DialCallDuration=95", 95, None),
        ("CallStatus=completed&DialCallStatus=canceled", None, "caller"),
        ("CallStatus=completed&DialCallStatus=no-answer", None, "caller"),
        ("CallStatus=no-answer&DialCallStatus=failed", None, "caller"),
    ],
)
async def test_a_call_that_is_over_is_ended_and_goes_nowhere(
    said: str, connected: int | None, ended_by: str | None
) -> None:
    services, rerouter = FakeServices(), FakeRerouter()
    async with running_api(services, rerouter) as api:
        reply = await Recorded(f"/v1/calls/next{LINKED}", f"{DIALLED}&{said}").sent_to(api)
    assert verb(reply).tag == "Hangup"
    [event] = services.events
    assert (event.call_id, event.type, event.attempt) == (CALL_SID, EventType.ENDED, 1)
    assert event.connected_duration_s == connected
    assert (event.ended_by and event.ended_by.value) == ended_by
    assert not rerouter.asked


@pytest.mark.parametrize(
    ("said", "kind", "connected"),
    [
        ("CallStatus=in-progress", EventType.ANSWERED, None),
        ("CallStatus=completed&CallDuration=95&Duration=2", EventType.ENDED, 95),
    ],
)
async def test_progress_of_the_target_is_noted(
    said: str, kind: EventType, connected: int | None
) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        sent = Recorded(f"/v1/calls/events{LINKED}", f"{PROGRESS}&{said}")
        replies = [await sent.sent_to(api) for _ in range(2)]
    assert [each.status for each in replies] == [204, 204]
    event = services.events[0]
    assert (event.call_id, event.type, event.attempt) == (CALL_SID, kind, 1)
    assert event.connected_duration_s == connected


@pytest.mark.parametrize("status", ["ringing", "busy", "no-answer", "failed", "canceled", "odd"])
async def test_a_target_that_was_not_reached_is_left_to_the_action(status: str) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        sent = Recorded(f"/v1/calls/events{LINKED}", f"{PROGRESS}&CallStatus={status}")
        reply = await sent.sent_to(api)
    assert (reply.status, services.events) == (204, [])


async def test_the_status_callback_of_the_callers_own_leg_ends_the_call() -> None:
    services = FakeServices()
    sent = f"CallSid={CALL_SID}&CallStatus=completed&CallDuration=120&Direction=inbound"
    async with running_api(services) as api:
        reply = await Recorded("/v1/calls/events?format=twiml", sent).sent_to(api)
    assert reply.status == 204
    [event] = services.events
    assert (event.type, str(event.total_duration_s)) == (EventType.ENDED, "120.000")
    assert event.connected_duration_s is None


@pytest.mark.parametrize(
    "caller",
    ["%2B266696687", "%2B7378742833", "anonymous", "client%3Ajoey", "sip%3Abob%40x.example", ""],
)
async def test_a_caller_without_a_number_is_withheld(caller: str) -> None:
    services = FakeServices(answer=routed(CALL_SID))
    sent = INCOMING.replace("&From=%2B13105551234", f"&From={caller}")
    async with running_api(services) as api:
        reply = await Recorded("/v1/calls?format=twiml", sent).sent_to(api)
    assert reply.status == 200
    [(call, _)] = services.calls
    assert call.caller.number is None


async def test_a_sip_domain_is_a_dialled_number_and_a_caller() -> None:
    services = FakeServices(answer=routed(CALL_SID))
    sent = (
        f"CallSid={CALL_SID}&From=sip%3A%2B13105551234%40pbx.example"
        "&To=sip%3A8005550100%40acme.sip.twilio.com"
    )
    async with running_api(services) as api:
        await Recorded("/v1/calls?format=twiml", sent).sent_to(api)
    [(call, _)] = services.calls
    assert (call.dialed_number, call.caller.number) == ("+18005550100", "+13105551234")


async def test_what_twilio_repeats_with_other_words_is_the_same_call() -> None:
    services = FakeServices(answer=routed(CALL_SID))
    again = INCOMING.replace("CallStatus=ringing", "CallStatus=in-progress&ErrorCode=11200")
    async with running_api(services) as api:
        for sent in (INCOMING, again):
            await Recorded("/v1/calls?format=twiml", sent).sent_to(api)
    (_, first), (_, second) = services.calls
    assert first == second


async def test_an_error_keeps_its_status_so_that_twilio_takes_its_fallback() -> None:
    services = FakeServices(error=StorageUnavailableError("no"))
    async with running_api(services, FakeRerouter(UnknownCall())) as api:
        first = await Recorded("/v1/calls?format=twiml", INCOMING).sent_to(api)
        sent = f"{DIALLED}&CallStatus=in-progress&DialCallStatus=busy"
        then = await Recorded(f"/v1/calls/next{LINKED}", sent).sent_to(api)
    assert (first.status, first.headers["Retry-After"], then.status) == (503, "1", 404)
    assert first.headers["Content-Type"] == "application/problem+json"


async def test_a_status_callback_is_whole_behind_tls_too_as_twilio_takes_no_other() -> None:
    headers = {"Host": "calls.example", "X-Forwarded-Proto": "https"}
    sent = Recorded("/v1/calls?format=twiml", INCOMING, headers=headers)
    async with running_api(FakeServices(answer=routed(CALL_SID))) as api:
        [sip] = verb(await sent.sent_to(api))
    parts = urlsplit(sip.get("statusCallback") or "")
    assert (parts.scheme, parts.netloc, parts.path) == (
        "https",
        "calls.example",
        "/v1/calls/events",
    )


async def test_how_long_the_switch_waits_is_kept_on_the_way() -> None:
    rerouter = FakeRerouter(routed(CALL_SID, attempt=2))
    async with running_api(FakeServices(answer=routed(CALL_SID)), rerouter) as api:
        sent = Recorded("/v1/calls?format=twiml&timeout_ms=1800", INCOMING)
        action = verb(await sent.sent_to(api)).get("action") or ""
        busy = f"{DIALLED}&CallStatus=in-progress&DialCallStatus=busy"
        await Recorded(action, busy).sent_to(api)
    [(_, timeout_ms)] = rerouter.asked
    assert timeout_ms == 1800
