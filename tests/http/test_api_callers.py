"""``/v1/callers/{number}`` on a real service: a caller's data told, then taken away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from auction.app import running_service
from config.secret_box import new_key
from config.settings import Settings
from storage.database import Database
from storage.tokens import create_token
from tests.eventually import eventually

TOKEN, NUMBER = "root", "+13105551234"
MARKETPLACE = """
campaigns:
  - id: auto
    numbers: ["+18005550100"]
    retention: {pii_days: 30, calls_days: 365}
    caller_blocklist: ["+13105550009"]
buyers:
  - id: acme
    offers:
      - {id: acme-auto, campaign: auto, destination: {uri: "sip:a@acme.example"}, static_price: 9}
suppressions: [{id: clients, scope: buyer, buyer: acme}]
"""


class Office:
    """A client of a running service."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self._base_url = base_url
        self._session = session

    async def send(
        self, method: str, path: str, body: object = None, token: str = TOKEN
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        sent = {"data": body} if isinstance(body, str) else {"json": body}
        url = f"{self._base_url}/v1/{path}"
        async with self._session.request(method, url, headers=headers, **sent) as response:
            return response.status, await response.json()

    async def call(self, name: str, number: str = NUMBER) -> None:
        """A call that is answered and ends."""
        asked = {"call_id": name, "campaign": "auto", "caller_id": number}
        fields = {"email": "ann@x.example"}
        assert (await self.send("POST", "calls", {**asked, "fields": fields}))[0] == 200
        for kind in ("answered", "ended"):
            event = {"call_id": name, "event_id": kind, "type": kind, "attempt": 1}
            at = {"at": "2026-11-21T18:00:00Z", "connected_duration_s": 60}
            sent = {**event, "at": at["at"]} if kind == "answered" else {**event, **at}
            assert (await self.send("POST", "calls/events", sent))[0] == 200


@asynccontextmanager
async def an_office(dsn: str, folder: Path) -> AsyncIterator[Office]:
    path = folder / "market.yaml"
    path.write_text(MARKETPLACE)
    settings = Settings(
        dsn=dsn, secret_key=new_key(), data_dir=folder, port=0, ops_port=0, bootstrap_token=TOKEN
    )
    async with running_service(settings, path) as service, aiohttp.ClientSession() as session:
        yield Office(service.base_url, session)


async def test_a_caller_is_told_what_is_kept_and_then_it_is_gone(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    async with an_office(dsn, tmp_path) as office:
        await office.call("one")
        await office.call("two")
        await office.call("another", "+13105550001")
        await office.send("POST", "suppressions/clients/numbers", NUMBER)
        status, told = await office.send("GET", "callers/%2B13105551234?limit=1")
        assert (status, told["caller"], told["next"]) == (200, NUMBER, "one")
        assert told["suppressions"] == ["clients"]
        [call] = told["calls"]
        assert (call["cdr"]["caller_id"], call["cdr"]["state"]) == (NUMBER, "ended")
        assert call["fields"] == {"email": "ann@x.example"}
        assert [each["amount"] for each in call["conversions"]] == ["9.00"]
        _, rest = await office.send("GET", "callers/3105551234?after=one")
        assert ([each["cdr"]["call_id"] for each in rest["calls"]], rest["next"]) == (["two"], None)

        async def counted() -> bool:
            async with database.connection() as connection:
                return not await connection.fetchval("select count(*) from report_deltas")

        await eventually(counted, within_s=10)
        status, told = await office.send("DELETE", f"callers/{NUMBER}")
        assert (told["in_use"], told["in_use_count"]) == ([], 0)
        assert told["caller"] == "+1310*****34"
        assert told["erased"]["calls"] == told["erased"]["reservations"] == 2
        assert told["kept"] == {"suppressions": ["clients"], "caller_blocklists": []}
        _, told = await office.send("GET", f"callers/{NUMBER}")
        assert told["calls"] == []
        _, record = await office.send("GET", "calls/one")
        assert (record["cdr"]["caller_id"], record["trace"]) == (None, None)
        assert record["cdr"]["revenue"] == "9.00"
        _, record = await office.send("GET", "calls/another")
        assert record["cdr"]["caller_id"] == "+13105550001"
        assert (await office.send("DELETE", f"callers/{NUMBER}"))[1]["erased"] == {}
        _, log = await office.send("GET", "audit?kind=caller")
        noted = [(each["action"], each["after"].get("calls")) for each in log["entries"]]
        assert noted == [("erase", None), ("erase", 2)]
        assert not any(digits in str(log) for digits in ("13105551234", "3105551234"))


async def test_only_who_may_see_callers_and_manage_may_ask(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    scopes = (["admin"], ["pii", "read"], ["admin", "pii"])
    made = [await create_token(database, "token", each) for each in scopes]
    async with an_office(dsn, tmp_path) as office:
        asked = [office.send("GET", f"callers/{NUMBER}", token=each.token) for each in made]
        assert [status for status, _ in await asyncio.gather(*asked)] == [403, 403, 200]


async def test_what_is_no_caller_is_refused_and_a_blocklisted_one_is_told_so(
    dsn: str, tmp_path: Path
) -> None:
    async with an_office(dsn, tmp_path) as office:
        for path, status in (
            ("callers/nobody", 404),
            ("callers/3105551234?limit=0", 422),
            (f"callers/3105551234?after={'x' * 200}", 422),
            ("callers/3105551234?after=nobody", 422),
            ("callers/3105551234?page=2", 422),
        ):
            assert (await office.send("GET", path))[0] == status, path
        _, told = await office.send("GET", "callers/3105550009")
        assert told["caller_blocklists"] == ["auto"]
