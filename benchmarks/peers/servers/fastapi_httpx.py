"""FastAPI on uvicorn, with one shared httpx client."""

import asyncio
import gc
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel

TIMEOUT_MS = int(os.environ["TIMEOUT_MS"])

Bid = tuple[float, str, str]


class Buyer(BaseModel):
    """Whom to ping, and with which credentials."""

    offer: str
    url: str
    headers: dict[str, str]


BUYERS = [Buyer(**each) for each in json.loads(os.environ["OFFERS"])]


class Call(BaseModel):
    """What the switch sends."""

    call_id: str
    dialed_number: str
    caller_id: str
    fields: dict[str, str | int | float | bool] = {}
    timeout_ms: int


class Decision(BaseModel):
    """What it is answered."""

    call_id: str
    action: str
    routed_by: str | None = None
    offer: str | None = None
    price: str | None = None
    currency: str = "USD"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the server."""
    limits = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)
    async with httpx.AsyncClient(limits=limits, timeout=TIMEOUT_MS / 1000) as client:
        app.state.client = client
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/calls")
async def decide(call: Call, request: Request) -> Decision:
    """Ping every buyer at once; the highest bid wins."""
    client: httpx.AsyncClient = request.app.state.client
    token = uuid.uuid4().hex
    pings = (ping(client, call, buyer, f"{token}-{n}") for n, buyer in enumerate(BUYERS))
    bids = [bid for bid in await asyncio.gather(*pings) if bid is not None]
    if not bids:
        return Decision(call_id=call.call_id, action="no_route")
    _, price, offer = max(bids)
    return Decision(
        call_id=call.call_id, action="route", routed_by="auction", offer=offer, price=price
    )


async def ping(client: httpx.AsyncClient, call: Call, buyer: Buyer, ping_id: str) -> Bid | None:
    """One buyer's bid, None where it has none or does not answer in time."""
    body = {
        "ping_id": ping_id,
        "campaign": "bench",
        "offer": buyer.offer,
        "caller": {"area_code": call.caller_id[2:5], "state": None, "country": "US"},
        "fields": call.fields,
        "minimum_bid": "1.00",
        "timeout_ms": TIMEOUT_MS,
    }
    try:
        response = await client.post(buyer.url, json=body, headers=buyer.headers)
        answer = response.json()
    except (httpx.HTTPError, ValueError):
        return None
    if response.status_code != 200 or answer["accepted"] is not True:
        return None
    return float(answer["bid"]), str(answer["bid"]), buyer.offer


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
