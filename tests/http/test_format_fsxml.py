"""``format=fsxml``: what FreeSWITCH's mod_xml_curl and mod_json_cdr send, and the dialplan."""

from xml.etree import ElementTree as Tree

import pytest

from auction.domain.next_attempt import FailReason
from auction.domain.switch_events import EndedBy, EventType
from auction.ports import StorageUnavailableError
from tests.http.api_fakes import FakeRerouter, FakeServices, Reply, running_api
from tests.http.format_steps import Recorded, not_routed, routed

UUID = "8b8f0a9c-6a5e-4f0e-9f64-3f8a3b3f7a11"
HUNT = (
    "hostname=fs1&section=dialplan&tag_name=&key_name=&key_value=&Event-Name=REQUEST_PARAMS"
    "&Core-UUID=0f6b6a3e-2c8d-4f52-8d0b-2b6a1a2a7d10&Channel-State=CS_ROUTING"
    "&Channel-Call-State=RINGING&Channel-Name=sofia/external/3105551234%4010.0.0.9"
    f"&Unique-ID={UUID}&Call-Direction=inbound&Answer-State=ringing"
    "&Caller-Username=3105551234&Caller-Dialplan=XML&Caller-Caller-ID-Name=JANE%20DOE"
    "&Caller-Caller-ID-Number=3105551234&Caller-Network-Addr=10.0.0.9"
    "&Caller-Destination-Number=18005550100&Caller-Context=public"
    f"&Caller-Unique-ID={UUID}&variable_direction=inbound&variable_uuid={UUID}"
    "&variable_sip_call_id=a84b4c76e66710&Hunt-Direction=inbound&Hunt-Dialplan=XML"
    "&Hunt-Caller-ID-Number=3105551234&Hunt-Destination-Number=18005550100&Hunt-Context=public"
)
TO_NEXT = HUNT.replace(
    "Hunt-Destination-Number=18005550100", "Hunt-Destination-Number=pingpost-next-1"
)


def context(reply: Reply) -> Tree.Element:
    document = Tree.fromstring(reply.body)
    assert (document.tag, document.get("type")) == ("document", "freeswitch/xml")
    section = document.find("section[@name='dialplan']")
    assert section is not None, reply.body
    [found] = section
    return found


def actions(reply: Reply) -> list[tuple[str | None, str | None]]:
    found = context(reply).findall("extension/condition/action")
    return [(each.get("application"), each.get("data")) for each in found]


def is_not_found(reply: Reply) -> bool:
    """What ``switch_xml_locate`` takes for nothing: it goes on to other bindings and the disk."""
    result = Tree.fromstring(reply.body).find("section[@name='result']/result")
    return reply.status == 200 and result is not None and result.get("status") == "not found"


@pytest.mark.parametrize(
    "request_sent",
    [
        Recorded("/v1/calls?format=fsxml", HUNT),
        Recorded(f"/v1/calls?format=fsxml&{HUNT}", method="GET"),
        Recorded("/v1/calls", HUNT, headers={"Accept": "application/vnd.pingpost.fsxml+xml"}),
    ],
    ids=["form", "query", "by accept"],
)
async def test_freeswitch_gets_an_extension(request_sent: Recorded) -> None:
    services = FakeServices(answer=routed(UUID))
    async with running_api(services) as api:
        reply = await request_sent.sent_to(api)
        host = f"127.0.0.1:{api.port}"
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/xml")
    assert context(reply).get("name") == "public"
    *settings, digits, (exported, told), bridged, transferred = actions(reply)
    assert settings == [
        ("set", "hangup_after_bridge=true"),
        ("set", "continue_on_fail=true"),
        ("set", "ignore_early_media=ring_ready"),
        ("set", "call_timeout=20"),
        ("set", "pingpost_attempt=1"),
        ("set", "pingpost_whisper="),
    ]
    assert digits == ("export", "nolocal:execute_on_answer=")
    assert (exported, bridged) == ("export", ("bridge", "sofia/external/sip:sales@acme.example"))
    assert (told or "").startswith(
        f"nolocal:api_on_answer=bgapi curl http://{host}/v1/calls/events?format=fsxml&call={UUID}"
    )
    assert transferred == ("transfer", "pingpost-next-1")
    [(call, _)] = services.calls
    assert (call.call_id, call.dialed_number, call.caller.number) == (
        UUID,
        "+18005550100",
        "+13105551234",
    )


async def test_a_number_goes_by_the_gateway_that_the_address_names() -> None:
    answer = routed(UUID, uri="tel:+18885550142", send_digits="1", whisper="Auto ${x} call")
    async with running_api(FakeServices(answer=answer)) as api:
        sent = Recorded("/v1/calls?format=fsxml&gateway=carrier-1&profile=a/b", HUNT)
        done = actions(await sent.sent_to(api))
    assert ("bridge", "sofia/gateway/carrier-1/+18885550142") in done
    assert ("set", "pingpost_whisper=Auto%20%24%7Bx%7D%20call") in done
    assert ("export", "nolocal:execute_on_answer=send_dtmf 1") in done


async def test_a_profile_that_is_no_name_is_not_taken() -> None:
    async with running_api(FakeServices(answer=routed(UUID))) as api:
        sent = Recorded("/v1/calls?format=fsxml&profile=a/b,error", HUNT)
        done = actions(await sent.sent_to(api))
    assert ("bridge", "sofia/external/sip:sales@acme.example") in done


async def test_a_call_that_nobody_takes_is_not_found() -> None:
    async with running_api(FakeServices(answer=not_routed(UUID))) as api:
        reply = await Recorded("/v1/calls?format=fsxml", HUNT).sent_to(api)
    assert is_not_found(reply)
    assert reply.headers["X-Pingpost-Reason"] == "no_eligible_offer"


async def test_a_campaigns_own_place_is_bridged_without_a_next() -> None:
    answer = not_routed(UUID, destination="sip:ivr@pbx.example")
    async with running_api(FakeServices(answer=answer)) as api:
        done = actions(await Recorded("/v1/calls?format=fsxml", HUNT).sent_to(api))
    assert done[-1] == ("bridge", "sofia/external/sip:ivr@pbx.example")


@pytest.mark.parametrize("section", ["directory", "configuration", "phrases"])
async def test_what_is_no_dialplan_is_not_found_and_decides_nothing(section: str) -> None:
    services = FakeServices(answer=routed(UUID))
    async with running_api(services) as api:
        sent = Recorded("/v1/calls?format=fsxml", HUNT.replace("dialplan", section, 1))
        reply = await sent.sent_to(api)
    assert is_not_found(reply)
    assert not services.calls


@pytest.mark.parametrize(
    ("said", "reason", "sip_code"),
    [
        ("variable_originate_disposition=USER_BUSY"
         "&variable_last_bridge_proto_specific_hangup_cause=sip%3A486", FailReason.BUSY, 486),
        ("variable_originate_disposition=NO_ANSWER", FailReason.NO_ANSWER, None),
        ("variable_originate_disposition=ALLOTTED_TIMEOUT", FailReason.NO_ANSWER, None),
        ("variable_originate_disposition=CALL_REJECTED", FailReason.FAILED, None),
        ("variable_originate_disposition=NORMAL_TEMPORARY_FAILURE", FailReason.FAILED, None),
        ("variable_originate_disposition=SUCCESS", FailReason.FAILED, None),
        ("variable_originate_disposition=ORIGINATOR_CANCEL", FailReason.FAILED, None),
        ("variable_DIALSTATUS=BUSY", FailReason.BUSY, None),
        ("", FailReason.FAILED, None),
    ],
)  # fmt: skip
async def test_a_bridge_that_failed_goes_to_the_next(
    said: str, reason: FailReason, sip_code: int | None
) -> None:
    services = FakeServices()
    rerouter = FakeRerouter(routed(UUID, attempt=2, uri="sip:desk@bravo.example"))
    async with running_api(services, rerouter) as api:
        reply = await Recorded("/v1/calls?format=fsxml", f"{TO_NEXT}&{said}").sent_to(api)
    *_, bridged, transferred = actions(reply)
    assert bridged == ("bridge", "sofia/external/sip:desk@bravo.example")
    assert transferred == ("transfer", "pingpost-next-2")
    [(request, _)] = rerouter.asked
    assert (request.call_id, request.attempt, request.reason) == (UUID, 1, reason)
    assert request.sip_code == sip_code
    assert not services.calls


async def test_nothing_of_an_attempt_stays_on_the_channel_for_the_next() -> None:
    """What is exported empty is taken back: else the ivr gets the digits of the offer before."""
    answer = not_routed(UUID, destination="sip:ivr@pbx.example")
    async with running_api(FakeServices(), FakeRerouter(answer)) as api:
        reply = await Recorded("/v1/calls?format=fsxml", TO_NEXT).sent_to(api)
    *_, digits, told, bridged = actions(reply)
    assert digits == ("export", "nolocal:execute_on_answer=")
    assert told == ("export", "nolocal:api_on_answer=")
    assert bridged == ("bridge", "sofia/external/sip:ivr@pbx.example")


async def test_an_error_is_no_200_so_that_freeswitch_goes_on() -> None:
    services = FakeServices(error=StorageUnavailableError("no"))
    async with running_api(services) as api:
        reply = await Recorded("/v1/calls?format=fsxml", HUNT).sent_to(api)
    assert reply.status == 503


CDR = (
    '{"core-uuid": "0f6b", "switchname": "fs1", "channel_data": {"state": "CS_REPORTING",'
    ' "direction": "inbound"}, "callStats": {}, "variables": {"direction": "inbound",'
    f' "uuid": "{UUID}", "pingpost_attempt": "2", "start_uepoch": "1795888800000000",'
    ' "answer_uepoch": "1795888812000000", "bridge_uepoch": "1795888812500000",'
    ' "end_uepoch": "1795888902750000", "sip_hangup_disposition": "recv_bye",'
    ' "hangup_cause": "NORMAL_CLEARING", "billsec": "90"}, "app_log": {"applications": []}}'
)
JSON = "application/json"


@pytest.mark.parametrize(
    "request_sent",
    [
        Recorded(f"/v1/calls/events?format=fsxml?uuid=a_{UUID}", CDR, content_type=JSON),
        Recorded("/v1/calls/events?format=fsxml", f"cdr={CDR}"),
    ],
    ids=["plain", "encoded"],
)
async def test_the_record_of_a_call_ends_it(request_sent: Recorded) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        reply = await request_sent.sent_to(api)
    assert (reply.status, reply.body) == (204, b"")
    [event] = services.events
    assert (event.call_id, event.type, event.attempt) == (UUID, EventType.ENDED, 2)
    assert (str(event.total_duration_s), str(event.connected_duration_s)) == ("102.750", "90.250")
    assert event.ended_by is EndedBy.CALLER
    assert event.at.isoformat() == "2026-11-28T18:01:42.750000+00:00"


@pytest.mark.parametrize(
    ("there", "instead", "connected"),
    [
        ('"bridge_uepoch": "1795888812500000"', '"bridge_uepoch": "0"', None),
        ('"bridge_uepoch": "1795888812500000", ', "", None),
        ('"end_uepoch": "1795888902750000"', '"end_uepoch": "never"', None),
    ],
)
async def test_a_record_without_a_conversation_has_none(
    there: str, instead: str, connected: None
) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        sent = CDR.replace(there, instead)
        await Recorded("/v1/calls/events?format=fsxml", sent, content_type=JSON).sent_to(api)
    [event] = services.events
    assert event.connected_duration_s is connected


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('"pingpost_attempt": "2", ', ""),
        ('"variables": {"direction": "inbound"', '"variables": {"direction": "outbound"'),
    ],
    ids=["no call of ours", "the leg to the target"],
)
async def test_other_records_are_nothing_to_note(there: str, instead: str) -> None:
    services = FakeServices()
    async with running_api(services) as api:
        sent = CDR.replace(there, instead)
        reply = await Recorded("/v1/calls/events?format=fsxml", sent, content_type=JSON).sent_to(
            api
        )
    assert (reply.status, services.events) == (204, [])


async def test_a_long_record_is_read() -> None:
    services = FakeServices()
    sent = CDR.replace('"app_log"', f'"more": "{"x" * 200_000}", "app_log"')
    async with running_api(services) as api:
        reply = await Recorded("/v1/calls/events?format=fsxml", sent, content_type=JSON).sent_to(
            api
        )
    assert (reply.status, len(services.events)) == (204, 1)


async def test_the_hook_on_answer_needs_nothing_but_its_address() -> None:
    services = FakeServices(answer=routed(UUID))
    async with running_api(services) as api:
        reply = await Recorded("/v1/calls?format=fsxml", HUNT).sent_to(api)
        [_, hook] = [data for name, data in actions(reply) if name == "export"]
        address = (hook or "").split(" ")[2]
        answered = await api.send("GET", address.partition(str(api.port))[2], token=None)
    assert answered.status == 204
    [event] = services.events
    assert (event.call_id, event.type, event.attempt) == (UUID, EventType.ANSWERED, 1)
