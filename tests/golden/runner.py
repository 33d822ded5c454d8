"""Plays one golden auction: the real marketplace models, gateway and engine, buyers by script.

A file holds ``what`` it shows, the ``marketplace``, ``now``, the ``calls`` in their order, and
what the ``buyers`` answer, by URL: ``{"after_ms", "status", "json" | "text", "fault"}``; a list is
used up in turn. Under ``expect`` stand every request with its virtual time, every reply and trace.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from auction.domain.opening import OtherContent
from auction.engine.reception import Reception, as_dialled, find_campaign
from auction.engine.world import Ports
from auction.ports import Snapshot
from auction.web.call_request import call_fingerprint, read_call_request
from auction.web.explanation import explain, read_trace, render_entry
from buyers.gateway import compile_gateway
from buyers.guards import Guards
from buyers.terms import build_catalogue
from buyers.transport import (
    Answer,
    FaultKind,
    PreparedRequest,
    RawAnswer,
    Result,
    TransportFault,
)
from config.check import check
from storage.memory import MemoryLedger
from storage.tokens import TokenGrant
from tests.ledger_steps import VAULT
from tests.unit.engine.harness import CountingIds, CountingRecorder, VirtualClock

Golden = dict[str, Any]

GRANT = TokenGrant("switch", "switch", frozenset({"calls"}))


@dataclass(slots=True)
class ScriptedTransport:
    """Buyers on virtual time."""

    script: Mapping[str, Any]
    sent: list[Golden] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)

    def request(
        self,
        prepared: PreparedRequest,
        read: Callable[[Answer], Result],
        opened: Callable[[], None] | None = None,
    ) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        url = _url(prepared).partition("?")[0]
        self.sent.append(_as_json(prepared, loop.time()))
        behaviour = self._behaviour(url)
        future: asyncio.Future[Result] = loop.create_future()
        if opened is not None and behaviour.get("fault") != "UNREACHABLE":
            opened()
        if behaviour.get("after_ms") is not None:
            answer = _answer(behaviour)
            loop.call_later(behaviour["after_ms"] / 1000, _settle, future, read, answer)
        return future

    async def close(self) -> None:
        """Nothing is open."""

    def _behaviour(self, url: str) -> Golden:
        behaviours = self.script[url]
        if isinstance(behaviours, dict):
            return behaviours
        self.asked[url] = self.asked.get(url, 0) + 1
        chosen: Golden = behaviours[min(self.asked[url], len(behaviours)) - 1]
        return chosen


@dataclass(frozen=True, slots=True)
class _OneSnapshot:
    snapshot: Snapshot

    def current(self) -> Snapshot:
        return self.snapshot


async def play(golden: Golden) -> Golden:
    """What happens, in the form of ``expect``."""
    checked = check(golden["marketplace"], {})
    _, marketplace = checked.usable()
    transport = ScriptedTransport(golden["buyers"])
    gateway = compile_gateway(
        marketplace,
        transport=transport,
        environ={},
        box=None,
        hash_key_for=lambda offer: f"key of {offer}".encode(),
        clock=lambda: asyncio.get_running_loop().time(),
    )
    clock = VirtualClock(datetime.fromisoformat(golden["now"]))
    catalogue = build_catalogue(marketplace, 1)
    snapshot = Snapshot(catalogue, gateway, guards=Guards().of(catalogue))
    ledger = MemoryLedger(clock.now)
    ports = Ports(ledger, ledger, clock, CountingIds(), CountingRecorder())
    reception = Reception(_OneSnapshot(snapshot), ports)
    decisions = []
    for body in golden["calls"]:
        request = read_call_request(body)
        call = request.to_call(GRANT, clock.now(), "US")
        answer = await reception.decide(call, call_fingerprint(body, VAULT.fingerprint))
        assert not isinstance(answer, OtherContent)
        call = as_dialled(snapshot.catalogue, call)
        campaign = find_campaign(snapshot.catalogue, call)
        trace = explain(campaign, call, read_trace(ledger.traces[call.call_id]))
        decisions.append(
            {
                "reply": orjson.loads(answer),
                "trace": [render_entry(entry, unmasked=False) for entry in trace],
            }
        )
    return {"requests": transport.sent, "decisions": decisions}


def _settle(
    future: "asyncio.Future[Result]", read: Callable[[Answer], Result], answer: Answer
) -> None:
    if not future.done():
        future.set_result(read(answer))


def _answer(behaviour: Golden) -> Answer:
    if "fault" in behaviour:
        kind = FaultKind[behaviour["fault"]]
        return TransportFault(kind, kind.value)
    body = orjson.dumps(behaviour["json"]) if "json" in behaviour else b""
    body = behaviour["text"].encode() if "text" in behaviour else body
    return RawAnswer(behaviour.get("status", 200), body)


def _url(prepared: PreparedRequest) -> str:
    return f"{prepared.origin}{prepared.target}".replace(":80/", "/")


def _as_json(prepared: PreparedRequest, at: float) -> Golden:
    headers = {**dict(prepared.constant.pairs), **dict(prepared.headers)}
    body = (prepared.body or b"").decode()
    return {
        "at_ms": round(at * 1000),
        "request": f"{prepared.method} {_url(prepared)}",
        "headers": {name: headers[name] for name in sorted(headers)},
        "body": orjson.loads(body) if body.startswith(("{", "[")) else body,
    }
