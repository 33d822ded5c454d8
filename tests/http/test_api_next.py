"""``POST /v1/calls/next`` on a real socket."""

from typing import Any

import pytest

from auction.domain.next_attempt import FailReason, NoSuchAttempt, UnknownCall
from auction.domain.opening import OtherContent
from auction.ports import StorageUnavailableError
from tests.http.api_fakes import ANSWER, FakeRerouter, running_api

FAILED: dict[str, Any] = {
    "call_id": "c-1",
    "attempt": 1,
    "reason": "busy",
    "sip_code": 486,
    "timeout_ms": 1500,
}


async def test_a_failed_attempt_is_followed_by_the_next_route() -> None:
    rerouter = FakeRerouter()
    async with running_api(rerouter=rerouter) as api:
        reply = await api.post("/v1/calls/next", FAILED)
    assert (reply.status, reply.body) == (200, ANSWER)
    [(request, timeout_ms)] = rerouter.asked
    assert (request.call_id, request.attempt, request.reason) == ("c-1", 1, FailReason.BUSY)
    assert (request.sip_code, timeout_ms, len(request.fingerprint)) == (486, 1500, 32)


async def test_only_the_timeout_may_differ_in_a_repeat() -> None:
    rerouter = FakeRerouter()
    async with running_api(rerouter=rerouter) as api:
        for body in (FAILED, {**FAILED, "timeout_ms": 900}, {**FAILED, "sip_code": 480}):
            await api.post("/v1/calls/next", body)
    first, later, other = (request.fingerprint for request, _ in rerouter.asked)
    assert first == later != other


@pytest.mark.parametrize(
    ("answer", "status"), [(UnknownCall(), 404), (NoSuchAttempt(), 409), (OtherContent(), 409)]
)
async def test_what_gets_no_decision_is_a_problem(answer: Any, status: int) -> None:
    async with running_api(rerouter=FakeRerouter(answer)) as api:
        reply = await api.post("/v1/calls/next", FAILED)
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"call_id": ""}, "call_id"),
        ({"attempt": 0}, "attempt"),
        ({"attempt": "1"}, "attempt"),
        ({"attempt": 1001}, "attempt"),
        ({"reason": "tired"}, "reason"),
        ({"sip_code": 99}, "sip_code"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_faults_are_told_with_their_paths(change: dict[str, Any], path: str) -> None:
    rerouter = FakeRerouter()
    async with running_api(rerouter=rerouter) as api:
        reply = await api.post("/v1/calls/next", {**FAILED, **change})
    assert reply.status == 422
    assert [error["path"] for error in reply.json()["errors"]] == [path]
    assert rerouter.asked == []


async def test_a_timeout_beyond_all_measure_is_a_long_one() -> None:
    rerouter = FakeRerouter()
    async with running_api(rerouter=rerouter) as api:
        reply = await api.post("/v1/calls/next", {**FAILED, "timeout_ms": 10**30})
        await api.post("/v1/calls/next", {**FAILED, "timeout_ms": None})
    assert reply.status == 200
    assert [timeout_ms for _, timeout_ms in rerouter.asked] == [600_000, None]


async def test_without_a_durable_answer_the_switch_is_told_to_ask_again() -> None:
    rerouter = FakeRerouter(error=StorageUnavailableError("away"))
    async with running_api(rerouter=rerouter) as api:
        reply = await api.post("/v1/calls/next", FAILED)
    assert reply.status == 503
    assert "Retry-After" in reply.headers


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("read", 403)])
async def test_a_token_for_calls_is_needed(token: str | None, status: int) -> None:
    async with running_api() as api:
        reply = await api.post("/v1/calls/next", FAILED, token=token)
    assert reply.status == status
