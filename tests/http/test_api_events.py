"""``POST /v1/calls/events`` on a real socket."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from auction.domain.switch_events import EndedBy, EventResult, EventType
from auction.ports import StorageUnavailableError
from tests.http.api_fakes import FakeServices, Reply, running_api

EVENT: dict[str, Any] = {
    "call_id": "c-1",
    "event_id": "e-1",
    "type": "ended",
    "attempt": 1,
    "at": "2026-11-21T18:05:30.250-05:00",
    "total_duration_s": 95.4,
    "connected_duration_s": 61.125,
    "ended_by": "caller",
    "sip_code": 200,
}


def paths_of(reply: Reply) -> list[str]:
    assert reply.headers["Content-Type"] == "application/problem+json"
    return [error["path"] for error in reply.json()["errors"]]


async def test_an_event_is_recorded_with_exact_durations_in_utc() -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls/events", EVENT)
    assert reply.status == 200
    assert reply.json() == {"call_id": "c-1", "event_id": "e-1", "result": "applied"}
    [event] = api.services.events
    assert event.at == datetime(2026, 11, 21, 23, 5, 30, 250_000, tzinfo=UTC)
    assert event.total_duration_s == Decimal("95.400")
    assert event.connected_duration_s == Decimal("61.125")
    assert (event.type, event.ended_by) == (EventType.ENDED, EndedBy.CALLER)
    assert (event.attempt, event.sip_code, len(event.fingerprint)) == (1, 200, 32)


async def test_an_event_needs_no_more_than_its_ids_type_and_time() -> None:
    least = {"call_id": "c", "event_id": "e", "type": "answered", "at": "2026-11-21T18:05:30Z"}
    absent = dict.fromkeys(
        ("attempt", "total_duration_s", "connected_duration_s", "ended_by", "sip_code")
    )
    async with running_api() as api:
        short = await api.post("/v1/calls/events", least)
        nulls = await api.post("/v1/calls/events", {**least, **absent})
    assert (short.status, nulls.status) == (200, 200)
    event = api.services.events[1]
    assert (event.attempt, event.total_duration_s, event.ended_by) == (None, None, None)


async def test_durations_are_cut_to_milliseconds_and_never_rounded_up() -> None:
    async with running_api() as api:
        await api.post("/v1/calls/events", {**EVENT, "connected_duration_s": 89.9999})
    assert api.services.events[0].connected_duration_s == Decimal("89.999")


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (EventResult.APPLIED, 200),
        (EventResult.REPEATED, 200),
        (EventResult.IGNORED, 200),
        (EventResult.NOT_ROUTED, 200),
        (EventResult.OTHER_CONTENT, 409),
        (EventResult.UNKNOWN_CALL, 404),
    ],
)
async def test_what_became_of_an_event_is_told(result: EventResult, status: int) -> None:
    async with running_api(FakeServices(event_result=result)) as api:
        reply = await api.post("/v1/calls/events", EVENT)
    assert reply.status == status
    if status == 200:
        assert reply.json()["result"] == result.value


async def test_other_content_has_another_fingerprint_and_a_repeat_the_same() -> None:
    async with running_api() as api:
        await api.post("/v1/calls/events", EVENT)
        await api.post("/v1/calls/events", dict(reversed(EVENT.items())))
        await api.post("/v1/calls/events", {**EVENT, "sip_code": 486})
    first, repeat, other = [event.fingerprint for event in api.services.events]
    assert first == repeat != other


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"call_id": "x" * 129}, "call_id"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": 7}, "event_id"),
        ({"event_id": "a\rb"}, "event_id"),
        ({"type": "ringing"}, "type"),
        ({"type": None}, "type"),
        ({"attempt": 0}, "attempt"),
        ({"attempt": 10**12}, "attempt"),
        ({"at": None}, "at"),
        ({"at": ""}, "at"),
        ({"at": 1_763_748_000}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-11-21"}, "at"),
        ({"at": "2026-11-21T18:05:30"}, "at"),
        ({"at": "2026-13-21T18:05:30Z"}, "at"),
        ({"at": "0001-01-01T00:00:00+10:00"}, "at"),
        ({"total_duration_s": -0.001}, "total_duration_s"),
        ({"total_duration_s": 86_400.5}, "total_duration_s"),
        ({"total_duration_s": 1e300}, "total_duration_s"),
        ({"total_duration_s": "95"}, "total_duration_s"),
        ({"total_duration_s": True}, "total_duration_s"),
        ({"connected_duration_s": -1}, "connected_duration_s"),
        ({"connected_duration_s": 95.5}, "connected_duration_s"),
        ({"ended_by": "nobody"}, "ended_by"),
        ({"sip_code": 99}, "sip_code"),
        ({"sip_code": 700}, "sip_code"),
        ({"sip_code": "486"}, "sip_code"),
        ({"duration": 5}, "duration"),
    ],
)
async def test_an_invalid_event_is_422_with_its_path(change: dict[str, object], path: str) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls/events", {**EVENT, **change})
    assert reply.status == 422
    assert paths_of(reply) == [path]
    assert api.services.events == []


@pytest.mark.parametrize(
    "change",
    [
        {"total_duration_s": 0, "connected_duration_s": 0},
        {"total_duration_s": 86_400, "connected_duration_s": 86_400},
        {"connected_duration_s": 95.4},
        {"total_duration_s": None},
        {"at": "1999-01-01T00:00:00Z"},
        {"at": "2016-12-31t23:59:60z"},
        {"at": "2026-11-21 18:05:30.123456789+05:30"},
    ],
)
async def test_what_lies_within_the_limits_is_taken(change: dict[str, object]) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls/events", {**EVENT, **change})
    assert reply.status == 200, reply.body


async def test_events_need_the_right_token_json_and_the_database() -> None:
    async with running_api() as api:
        nobody = await api.post("/v1/calls/events", EVENT, token=None)
        reader = await api.post("/v1/calls/events", EVENT, token="read")
        broken = await api.send("POST", "/v1/calls/events", data=b"{")
        huge = await api.send("POST", "/v1/calls/events", data=b" " * 70_000)
        api.services.error = StorageUnavailableError("down")
        away = await api.post("/v1/calls/events", EVENT)
    statuses = [reply.status for reply in (nobody, reader, broken, huge, away)]
    assert statuses == [401, 403, 400, 413, 503]
    assert away.headers["Retry-After"] == "1"


async def test_a_get_of_the_events_path_asks_for_a_call_of_that_name() -> None:
    async with running_api() as api:
        reply = await api.get("/v1/calls/events")
        put = await api.send("PUT", "/v1/calls/events")
    assert (reply.status, api.services.asked_for) == (404, ["events"])
    assert put.status == 405
    assert {"GET", "POST"} <= {method.strip() for method in put.headers["Allow"].split(",")}
