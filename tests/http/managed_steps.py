"""The management API over a real database, and an example of each kind of object."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from auction.marketplaces import apply_file
from auction.web.management.routes import Managed
from config.secret_box import SecretBox
from storage.catalogue import latest
from storage.database import Database
from tests.http.api_fakes import Api, Reply, running_api
from tests.unit.config.samples import ACCEPTANCE, SET

BOX = SecretBox(bytes(range(32)))

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "campaigns": {
        "id": "solar",
        "name": "Solar",
        "numbers": ["+18005550199"],
        "private_fields": ["email"],
        "payouts": [{"source": "*", "trigger": "answered", "percent": "12.50"}],
        "webhooks": [
            {"id": "crm", "url": "https://crm.example/", "events": ["call.ended"], "secret": "s3"},
            {
                "id": "keyed",
                "url": "https://crm.example/",
                "events": ["call.ended"],
                "headers": {"X-Api-Key": "correct horse", "X-Call": "{{ call_id }}"},
            },
        ],
    },
    "sources": {"id": "pub-99", "name": "Another site"},
    "buyers": {
        "id": "delta",
        "name": "Delta",
        "company": "Delta Holding",
        "tags": ["gold"],
        "caps": [{"measure": "revenue", "per": "day", "limit": "99.5"}],
    },
    "offers": {
        "id": "delta-auto",
        "buyer": "acme",
        "campaign": "auto-insurance",
        "static_price": "7.50",
        "destination": {"uri": "tel:+18885550142"},
        "ping_post": {
            "ping": {
                "url": "https://delta.example/ping",
                "auth": {"type": "bearer", "token": "correct horse"},
                "headers": {"X-Partner": {"secret": "correct horse"}, "X-Zip": "{{ call_id }}"},
                "query": {"api_key": "correct horse", "site": {"env": "ACME_TOKEN"}},
            }
        },
    },
    "delivery-profiles": {
        "id": "house",
        "name": "Our own",
        "fixed_amount": "22.00",
        "ping": {
            "timeout_ms": 400,
            "format": "form",
            "body": {"zip": "{{ fields.zip_code }}"},
            "headers": {"Authorization": "Bearer correct horse"},
        },
    },
    "numbers": {
        "id": "brand",
        "name": "Brand page",
        "number": "+18005550177",
        "campaign": "auto-insurance",
        "source": "pub-17",
        "tags": {"keyword": "brand", "page": 7, "trusted": True},
        "rules": [
            {"action": "reject", "filters": [{"field": "caller.state", "value": "NY"}]},
            {"action": "accept", "offers": ["acme-auto", "cobalt-auto"]},
        ],
    },
    "pools": {
        "id": "web",
        "campaign": "auto-insurance",
        "source": "pub-17",
        "numbers": ["+18005550180", "+18005550181"],
        "lease_s": 600,
        "fallback_number": "+18005550182",
        "cap": 1,
    },
    "voice-agents": {
        "id": "robin",
        "name": "Robin",
        "company": "Voices",
        "campaign": "auto-insurance",
        "sip_url": "sip:robin@bots.example",
        "concurrency": 3,
    },
    "alerts": {
        "id": "slow",
        "name": "A buyer that times out",
        "buyer": "acme",
        "each_offer": True,
        "measure": "timeout_rate",
        "above": "0.10",
        "auto_pause": {"resume_after_minutes": 30},
        "webhook": {"url": "https://ops.example/", "secret": "correct horse"},
        "escalation": {
            "after_minutes": 15,
            "webhook": {"url": "https://boss.example/", "headers": {"Cookie": "correct horse"}},
        },
    },
    "suppressions": {"id": "clients", "scope": "buyer", "buyer": "acme"},
}
"""By path: what a client may create in the marketplace of ``tests/fixtures``."""


async def the_box() -> SecretBox:
    """The one that the tests seal with."""
    return BOX


@asynccontextmanager
async def managing(
    database: Database, file: Path | None = ACCEPTANCE, *, voice_bots: bool = True
) -> AsyncIterator[Api]:
    """The API on a database that a file was applied to."""
    if file is not None:
        await apply_file(database, BOX, file, SET)
    managed = Managed(database, the_box, voice_bots=voice_bots)
    async with running_api(managed=managed) as api:
        yield api


async def ask(
    api: Api,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str = "admin",
    **headers: str,
) -> Reply:
    """One request; headers by their names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    rest = {} if body is None else {"json": body}
    return await api.send(method, path, token=token, headers=named, **rest)


async def revision(database: Database) -> int:
    """The newest."""
    newest = await latest(database)
    return 0 if newest is None else newest.revision


def faults(reply: Reply) -> dict[str, str]:
    """The faults of a refusal by path."""
    assert reply.status == 422, reply.body
    return {each["path"]: each["message"] for each in reply.json()["errors"]}
