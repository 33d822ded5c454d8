"""Whole lives of calls through a real ``pingpost serve``, in the form of each switch.

Each is sent to Acme, who is busy, then to Beacon, who answers and talks for 95 seconds.
"""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.etree import ElementTree as Tree

import orjson

from tests.http.test_whole_life import World, a_world

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
NOBODY = {"Authorization": ""}
"""In place of the token that the session has."""

CALLER = {"From": "+13105551234", "To": "+18005550100", "source": "pub-1"}


async def form(
    world: World, path: str, fields: dict[str, str], headers: dict[str, str] = NOBODY
) -> bytes:
    """What is answered to a form, which must be fine."""
    sent = {"data": urlencode(fields), "headers": {**FORM, **headers}}
    status, answer = await world.ask("POST", path, **sent)
    assert status in {200, 204}, answer
    return answer


async def a_password(world: World, switch: str) -> dict[str, str]:
    """Basic, with a token for calls of a switch."""
    token = await world.a_token("--scope", "calls", "--switch", switch)
    return {"Authorization": "Basic " + base64.b64encode(f"x:{token}".encode()).decode()}


async def was_sold_to_beacon(world: World, call_id: str) -> dict[str, Any]:
    """The record of the call, billed at what Beacon bid."""
    record = (await world.record(call_id))["cdr"]
    assert (record["state"], record["offer"], record["revenue"]) == (
        "ended",
        "beacon-auto",
        "44.20",
    )
    assert [each["outcome"] for each in record["attempts"]] == ["failed", "ended"]
    assert record["attempts"][0]["reason"] == "busy"
    assert record["caller_id"].startswith("+1310")
    return dict(record)


async def test_a_call_of_twilio(tmp_path: Path) -> None:
    sid = "CA1234567890abcdef1234567890abcdef"
    call = {"CallSid": sid, **CALLER, "CallStatus": "ringing"}
    async with a_world(tmp_path) as world:
        password = await a_password(world, "twilio-1")
        first = await form(world, "/v1/calls?format=twiml", call, password)
        assert await form(world, "/v1/calls?format=twiml", call, password) == first
        [dial] = Tree.fromstring(first)
        assert [each.text for each in dial] == ["sip:sales@acme.example"]
        busy = {**call, "CallStatus": "ringing", "DialCallStatus": "busy"}
        second = await form(world, dial.attrib["action"], busy)
        assert await form(world, dial.attrib["action"], busy) == second
        [dial] = Tree.fromstring(second)
        [sip] = dial
        assert sip.text == "sip:intake@beacon.example"
        leg = {"CallSid": "CA2", "ParentCallSid": sid, "CallStatus": "in-progress"}
        events = sip.attrib["statusCallback"].removeprefix(world.service.url)
        await form(world, events, leg)
        over = {
            **call,
            "CallStatus": "completed",
            "DialCallStatus": "completed",
            "DialCallDuration": "95",
        }
        last = await form(world, dial.attrib["action"], over)
        assert [each.tag for each in Tree.fromstring(last)] == ["Hangup"]
        leg |= {"CallStatus": "completed", "CallDuration": "95"}
        await form(world, events, leg)
        record = await was_sold_to_beacon(world, sid)
        assert (record["connected_duration_s"], record["switch"]) == (95, "twilio-1")
        assert "key=" not in world.service.log


async def test_a_caller_who_gives_up_is_sent_nowhere_and_holds_nothing(tmp_path: Path) -> None:
    call = {"CallSid": "CA1", **CALLER}
    async with a_world(tmp_path) as world:
        password = await a_password(world, "twilio-1")
        [dial] = Tree.fromstring(await form(world, "/v1/calls?format=twiml", call, password))
        gone = {**call, "CallStatus": "completed", "DialCallStatus": "no-answer"}
        last = await form(world, dial.attrib["action"], gone)
        assert [each.tag for each in Tree.fromstring(last)] == ["Hangup"]
        record = (await world.record("CA1"))["cdr"]
        assert (record["state"], record["ended_by"], record["converted"]) == (
            "ended",
            "caller",
            False,
        )
        assert len(record["attempts"]) == 1


async def test_a_call_of_freeswitch(tmp_path: Path) -> None:
    uuid = "8b8f0a9c-6a5e-4f0e-9f64-3f8a3b3f7a11"
    call = {
        "section": "dialplan",
        "Unique-ID": uuid,
        "Caller-Caller-ID-Number": "3105551234",
        "Caller-Destination-Number": "18005550100",
        "Caller-Context": "public",
    }
    async with a_world(tmp_path) as world:
        password = await a_password(world, "fs1")
        first = await form(world, "/v1/calls?format=fsxml&source=pub-1", call, password)
        assert b"sofia/external/sip:sales@acme.example" in first
        failed = {
            **call,
            "Hunt-Destination-Number": "pingpost-next-1",
            "variable_originate_disposition": "USER_BUSY",
            "variable_last_bridge_proto_specific_hangup_cause": "sip:486",
        }
        second = await form(world, "/v1/calls?format=fsxml&source=pub-1", failed, password)
        assert b"sofia/external/sip:intake@beacon.example" in second
        [hook] = [
            each.attrib["data"]
            for each in Tree.fromstring(second).iter("action")
            if each.attrib["application"] == "export" and "http" in each.attrib["data"]
        ]
        address = hook.split(" ")[2].removeprefix(world.service.url)
        assert (await world.ask("GET", address, headers=NOBODY))[0] == 204
        record = {
            "variables": {
                "uuid": uuid,
                "direction": "inbound",
                "pingpost_attempt": "2",
                "start_uepoch": "1795888800000000",
                "bridge_uepoch": "1795888812500000",
                "end_uepoch": "1795888907500000",
                "sip_hangup_disposition": "send_bye",
            }
        }
        path = f"/v1/calls/events?format=fsxml?uuid={uuid}"
        body = {"data": orjson.dumps(record), "headers": {**JSON, **password}}
        assert await world.ask("POST", path, **body) == (204, b"")
        found = await was_sold_to_beacon(world, uuid)
        assert (found["connected_duration_s"], found["ended_by"]) == (95, "target")


async def test_a_call_of_jambonz(tmp_path: Path) -> None:
    sid = "e35d4edf-efd2-424c-8667-1f2e7664d2e0"
    call = {"call_sid": sid, "call_id": "b770aa5a", "from": "+13105551234", "to": "18005550100"}
    async with a_world(tmp_path) as world:
        password = await a_password(world, "jambonz-1")

        async def verbs(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
            sent = {"data": orjson.dumps(body), "headers": {**JSON, **headers}}
            status, answer = await world.ask("POST", path, **sent)
            assert status in {200, 204}, answer
            return orjson.loads(answer) if answer else None

        [dial] = await verbs("/v1/calls?format=jambonz", call, password)
        assert dial["target"] == [{"type": "sip", "sipUri": "sip:sales@acme.example"}]
        busy = {**call, "call_status": "trying", "dial_call_status": "busy"}
        [dial] = await verbs(dial["actionHook"], {**busy, "dial_sip_status": 486}, NOBODY)
        assert dial["target"] == [{"type": "sip", "sipUri": "sip:intake@beacon.example"}]
        leg = {**call, "call_sid": "b-leg", "parent_call_sid": sid, "call_status": "in-progress"}
        await verbs("/v1/calls/events?format=jambonz", leg, password)
        leg_over: dict[str, Any] = {**leg, "call_status": "completed", "duration": 95}
        await verbs("/v1/calls/events?format=jambonz", leg_over, password)
        over = {**call, "call_status": "completed", "dial_call_status": "completed"}
        assert await verbs(dial["actionHook"], over, NOBODY) == [{"verb": "hangup"}]
        assert (await was_sold_to_beacon(world, sid))["connected_duration_s"] == 95


async def test_a_call_of_asterisk(tmp_path: Path) -> None:
    call = {"call_id": "1764352800.17@pbx-1", "caller_id": "3105551234"}
    async with a_world(tmp_path) as world:
        password = await a_password(world, "pbx-1")

        async def curl(path: str, **fields: str) -> dict[str, str]:
            answer = await form(world, path, fields, password)
            read = parse_qs(answer.decode(), keep_blank_values=True)
            return {name: value for name, [value] in read.items()}

        asked = {**call, "dialed_number": "8005550100", "source": "pub-1"}
        first = await curl("/v1/calls?format=kv", **asked)
        assert (first["action"], first["destination"]) == ("route", "sip:sales@acme.example")
        tried = {"call_id": call["call_id"], "attempt": first["attempt"]}
        second = await curl("/v1/calls/next?format=kv", **tried, reason="BUSY")
        assert second["destination"] == "sip:intake@beacon.example"
        tried["attempt"] = second["attempt"]
        talked = {**tried, "connected_duration_s": "95", "total_duration_s": "110"}
        assert await curl("/v1/calls/events?format=kv", **tried, type="answered") == {}
        assert await curl("/v1/calls/events?format=kv", **talked, type="ended") == {}
        found = await was_sold_to_beacon(world, call["call_id"])
        assert (found["connected_duration_s"], found["total_duration_s"]) == (95, 110)


async def test_a_call_of_kamailio(tmp_path: Path) -> None:
    call = {"call_id": "a84b4c76e66710@sip-1", "caller_id": "sip:+13105551234@10.0.0.9"}
    async with a_world(tmp_path) as world:
        asked = {**call, "dialed_number": "+18005550100", "source": "pub-1"}
        first = await world.post("/v1/calls?format=rtjson", **asked)
        assert first["routes"] == [{"uri": "sip:sales@acme.example", "fr_inv_timer": 20_000}]
        failed = {"call_id": call["call_id"], "attempt": 1, "reason": "busy", "sip_code": 486}
        second = await world.post("/v1/calls/next?format=rtjson", **failed)
        assert [each["uri"] for each in second["routes"]] == ["sip:intake@beacon.example"]
        assert await world.report(call["call_id"], "answered", 2, attempt=2) == "applied"
        await world.report(call["call_id"], "ended", 97, attempt=2, connected_duration_s=95)
        assert (await was_sold_to_beacon(world, call["call_id"]))["connected_duration_s"] == 95
