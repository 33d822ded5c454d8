"""``format=jambonz``: what jambonz sends, and the verbs that it gets."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from auction.domain.next_attempt import FailReason
from auction.domain.switch_events import EventType
from tests.http.api_fakes import FakeRerouter, FakeServices, running_api
from tests.http.format_steps import Recorded, not_routed, routed

NEXT = "/v1/calls/next?format=jambonz"
CALL_SID = "e35d4edf-efd2-424c-8667-1f2e7664d2e0"
INCOMING: dict[str, Any] = {
    "sip": {"headers": {"via": "SIP/2.0/UDP 10.0.0.9", "call-id": "b770aa5a-2776-123d-a6a1"}},
    "call_sid": CALL_SID,
    "direction": "inbound",
    "from": "+13105551234",
    "to": "18005550100",
    "call_id": "b770aa5a-2776-123d-a6a1-0ae5fab65c09",
    "sip_status": 100,
    "sip_reason": "Trying",
    "call_status": "trying",
    "account_sid": "de190aaa-e84b-4bb2-86e3-000000000000",
    "trace_id": "6789ce9ca1076b36002cc78d5cc5c9fb",
    "application_sid": "33b259c1-303d-486a-a8dd-000000000000",
    "originating_sip_ip": "10.0.0.9",
    "fs_sip_address": "172.31.1.74:5060",
    "defaults": {"synthesizer": {"vendor": "google", "language": "en-US"}},
}
IN_CALL = {key: value for key, value in INCOMING.items() if key not in {"sip", "defaults"}}
TARGETS_LEG = {
    **IN_CALL,
    "call_sid": "65697994-594b-44c7-af2f-000000000000",
    "parent_call_sid": CALL_SID,
    "direction": "outbound",
    "to": "sip:sales@acme.example",
}


def sent(path: str, body: dict[str, Any]) -> Recorded:
    return Recorded(path, orjson.dumps(body).decode(), content_type="application/json")


@pytest.mark.parametrize(
    "request_sent",
    [
        sent("/v1/calls?format=jambonz&campaign=auto", INCOMING),
        Recorded(
            f"/v1/calls?format=jambonz&campaign=auto&call_sid={CALL_SID}&from=%2B13105551234"
            "&to=18005550100&call_id=b770aa5a&direction=inbound&call_status=trying",
            method="GET",
        ),
    ],
    ids=["json", "query"],
)
async def test_jambonz_is_told_to_dial(request_sent: Recorded) -> None:
    services = FakeServices(answer=routed(CALL_SID))
    async with running_api(services) as api:
        reply = await request_sent.sent_to(api)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    [dial] = reply.json()
    hook = urlsplit(dial.pop("actionHook"))
    assert dial == {
        "verb": "dial",
        "answerOnBridge": True,
        "timeout": 20,
        "target": [{"type": "sip", "sipUri": "sip:sales@acme.example"}],
    }
    query = parse_qs(hook.query)
    assert (hook.path, query["call"], query["attempt"]) == ("/v1/calls/next", [CALL_SID], ["1"])
    [(call, _)] = services.calls
    assert (call.call_id, call.campaign) == (CALL_SID, "auto")
    assert (call.dialed_number, call.caller.number) == ("+18005550100", "+13105551234")


async def test_a_number_is_a_phone() -> None:
    answer = routed(CALL_SID, uri="tel:+18885550142")
    async with running_api(FakeServices(answer=answer)) as api:
        [dial] = (await sent("/v1/calls?format=jambonz", INCOMING).sent_to(api)).json()
    assert dial["target"] == [{"type": "phone", "number": "+18885550142"}]


async def test_a_call_that_nobody_takes_is_declined_at_first_and_hung_up_later() -> None:
    later = orjson.dumps({**orjson.loads(not_routed(CALL_SID)), "attempt": 2})
    rerouter = FakeRerouter(later)
    async with running_api(FakeServices(answer=not_routed(CALL_SID)), rerouter) as api:
        first = (await sent("/v1/calls?format=jambonz", INCOMING).sent_to(api)).json()
        failed = {**IN_CALL, "call_status": "in-progress", "dial_call_status": "busy"}
        then = (
            await sent(f"/v1/calls/next?format=jambonz&call={CALL_SID}&attempt=1", failed).sent_to(
                api
            )
        ).json()
    assert first == [{"verb": "sip:decline", "status": 480, "reason": "no_eligible_offer"}]
    assert then == [{"verb": "hangup"}]


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("busy", 486, FailReason.BUSY),
        ("no-answer", 487, FailReason.NO_ANSWER),
        ("failed", 503, FailReason.FAILED),
        ("ringing", 180, FailReason.NO_ANSWER),
        ("early-media", 183, FailReason.NO_ANSWER),
    ],
)
async def test_a_dial_that_failed_goes_to_the_next(
    status: str, code: int, reason: FailReason
) -> None:
    rerouter = FakeRerouter(routed(CALL_SID, attempt=2, uri="sip:desk@bravo.example"))
    failed = {
        **IN_CALL,
        "call_status": "trying",
        "dial_call_status": status,
        "dial_sip_status": code,
        "dial_call_sid": "56666f6c-5884-42a0-837d-000000000000",
    }
    async with running_api(rerouter=rerouter) as api:
        path = f"/v1/calls/next?format=jambonz&call={CALL_SID}&attempt=1"
        [dial] = (await sent(path, failed).sent_to(api)).json()
    assert dial["target"] == [{"type": "sip", "sipUri": "sip:desk@bravo.example"}]
    [(request, _)] = rerouter.asked
    assert (request.call_id, request.attempt, request.reason) == (CALL_SID, 1, reason)
    assert request.sip_code == code


@pytest.mark.parametrize(
    ("callers", "dialled", "ended_by"),
    [
        ("in-progress", "completed", None),
        ("completed", "completed", None),
        ("no-answer", "ringing", "caller"),
        ("completed", "busy", "caller"),
    ],
)
async def test_a_call_that_is_over_is_ended(
    callers: str, dialled: str, ended_by: str | None
) -> None:
    services, rerouter = FakeServices(), FakeRerouter()
    over = {**IN_CALL, "call_status": callers, "dial_call_status": dialled}
    async with running_api(services, rerouter) as api:
        path = f"/v1/calls/next?format=jambonz&call={CALL_SID}&attempt=1"
        reply = await sent(path, over).sent_to(api)
    assert reply.json() == [{"verb": "hangup"}]
    [event] = services.events
    assert (event.call_id, event.type, event.attempt) == (CALL_SID, EventType.ENDED, 1)
    assert (event.ended_by and event.ended_by.value) == ended_by
    assert not rerouter.asked


@pytest.mark.parametrize(
    ("said", "kind", "total", "connected"),
    [
        ({**TARGETS_LEG, "call_status": "in-progress"}, EventType.ANSWERED, None, None),
        (
            {**TARGETS_LEG, "call_status": "completed", "duration": 95},
            EventType.ENDED,
            None,
            95,
        ),
        ({**IN_CALL, "call_status": "completed", "duration": 120}, EventType.ENDED, 120, None),
        ({**IN_CALL, "call_status": "no-answer"}, EventType.ENDED, None, None),
    ],
    ids=["target answered", "target over", "caller over", "caller gave up"],
)
async def test_the_status_hook_reports(
    said: dict[str, Any], kind: EventType, total: int | None, connected: int | None
) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        reply = await sent("/v1/calls/events?format=jambonz", said).sent_to(api)
    assert reply.status == 204
    [event] = services.events
    assert (event.call_id, event.type, event.attempt) == (CALL_SID, kind, None)
    assert (event.total_duration_s, event.connected_duration_s) == (total, connected)


@pytest.mark.parametrize(
    "said",
    [
        {**TARGETS_LEG, "call_status": "busy"},
        {**TARGETS_LEG, "call_status": "ringing"},
        {**IN_CALL, "call_status": "trying"},
        {**IN_CALL, "call_status": "early-media"},
        IN_CALL,
    ],
)
async def test_what_is_neither_answered_nor_ended_is_nothing_to_note(said: dict[str, Any]) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        reply = await sent("/v1/calls/events?format=jambonz", said).sent_to(api)
    assert (reply.status, services.events) == (204, [])
