"""``/v1/suppressions/{id}/numbers`` on a real service: from a list to calls that are not sold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from auction.app import ServiceHandle, running_service
from auction.cli import main
from config.secret_box import new_key
from config.settings import Settings

TOKEN, KEY = "root", new_key()
MARKETPLACE = """
campaigns:
  - {id: auto, numbers: ["+18005550100"]}
  - {id: home, numbers: ["+18005550101"]}
buyers:
  - id: acme
    offers:
      - {id: acme-auto, campaign: auto, destination: {uri: "sip:a@acme.example"}, static_price: 9}
      - {id: acme-home, campaign: home, destination: {uri: "sip:a@acme.example"}, static_price: 9}
  - id: beacon
    offers:
      - id: beacon-auto
        campaign: auto
        destination: {uri: "sip:b@beacon.example"}
        static_price: 5
        priority: 2
suppressions:
  - {id: dnc}
  - {id: fraud, scope: campaign, campaign: auto}
  - {id: clients, scope: buyer, buyer: acme}
"""


@asynccontextmanager
async def a_market(dsn: str, folder: Path) -> AsyncIterator["Market"]:
    path = folder / "market.yaml"
    path.write_text(MARKETPLACE)
    settings = Settings(
        dsn=dsn, secret_key=KEY, data_dir=folder, port=0, ops_port=0, bootstrap_token=TOKEN
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        running_service(settings, path) as service,
        aiohttp.ClientSession(headers=headers) as session,
    ):
        yield Market(service, session)


class Market:
    """A running service and its clients."""

    def __init__(self, service: ServiceHandle, session: aiohttp.ClientSession) -> None:
        self._service = service
        self._session = session
        self._calls = 0

    async def send(
        self, method: str, path: str, body: object = None, kind: str = "text/plain"
    ) -> tuple[int, Any]:
        headers = {} if body is None else {"Content-Type": kind}
        url = f"{self._service.base_url}/v1/suppressions/{path}"
        async with self._session.request(method, url, data=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def noted(self) -> list[tuple[str, str, str]]:
        """What was done to lists, the oldest first: which, what, by whom."""
        url = f"{self._service.base_url}/v1/audit?kind=suppression"
        async with self._session.get(url) as response:
            entries = (await response.json())["entries"]
        return [(each["id"], each["action"], each["actor"]) for each in reversed(entries)]

    async def routed(self, number: str, campaign: str = "auto") -> tuple[str | None, str | None]:
        """Where a call of this number goes, and why nowhere."""
        self._calls += 1
        call = {"call_id": f"c{self._calls}", "campaign": campaign, "caller_id": number}
        async with self._session.post(f"{self._service.base_url}/v1/calls", json=call) as response:
            answer = await response.json()
            return answer["offer"], answer["reason"]


async def test_listed_callers_are_kept_from_whom_the_list_says(dsn: str, tmp_path: Path) -> None:
    async with a_market(dsn, tmp_path) as market:
        for name, number in (("dnc", "01"), ("fraud", "02"), ("clients", "03")):
            body = f"310-555-00{number}\nnobody\n"
            status, told = await market.send("POST", f"{name}/numbers", body)
            assert status == 200
            assert told == {
                "list": name,
                "lines": 2,
                "added": 1,
                "duplicates": 0,
                "invalid": 1,
                "faults": [{"line": 2, "message": "is no phone number"}],
                "numbers": 1,
            }
        blocked = (None, "caller_blocked")
        assert await market.routed("+13105550001") == blocked
        assert await market.routed("+13105550001", "home") == blocked
        assert await market.routed("+13105550002") == blocked
        assert await market.routed("+13105550002", "home") == ("acme-home", None)
        assert await market.routed("+13105550003") == ("beacon-auto", None)
        assert await market.routed("+13105550003", "home") == (None, "no_eligible_offer")
        assert await market.routed("+13105550004") == ("acme-auto", None)
        assert await market.routed("anonymous") == ("acme-auto", None)
        status, told = await market.send("DELETE", "dnc/numbers", "+13105550001\n+13105550009")
        assert (told["removed"], told["unknown"], told["numbers"]) == (1, 1, 0)
        assert await market.routed("+13105550001") == ("acme-auto", None)


async def test_a_list_is_asked_for_its_size_and_for_one_number(dsn: str, tmp_path: Path) -> None:
    async with a_market(dsn, tmp_path) as market:
        csv = "name,phone\nAnn,3105550001\nBob,3105550002\n"
        assert (await market.send("PUT", "dnc/numbers", csv, "text/csv"))[1]["numbers"] == 2
        assert await market.send("GET", "dnc/numbers") == (200, {"list": "dnc", "numbers": 2})
        for number, listed in (("+13105550001", True), ("3105550003", False)):
            status, told = await market.send("GET", f"dnc/numbers/{number}")
            assert (status, told["listed"]) == (200, listed)
            assert told["number"].startswith("+1310*****")
        assert (await market.send("GET", "dnc/numbers/nobody"))[0] == 422
        lines = '"3105550003"\n{"number": "3105550003"}'
        status, told = await market.send("PUT", "dnc/numbers", lines, "application/x-ndjson")
        assert (told["added"], told["duplicates"], told["numbers"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("POST", "nowhere/numbers", "+13105550001", "text/plain", 404),
        ("GET", "nowhere/numbers", None, "", 404),
        ("POST", "dnc/numbers", "+13105550001", "application/pdf", 415),
        ("POST", "dnc/numbers", "1" * 5000, "text/plain", 413),
        ("PUT", "dnc/numbers", "name\nAnn\n", "text/plain", 422),
    ],
)
async def test_what_is_no_list_of_numbers_is_refused(
    dsn: str, tmp_path: Path, method: str, path: str, body: str | None, kind: str, status: int
) -> None:
    async with a_market(dsn, tmp_path) as market:
        assert (await market.send(method, path, body, kind))[0] == status


async def test_a_client_that_goes_away_in_the_middle_replaces_nothing(
    dsn: str, tmp_path: Path
) -> None:
    async def cut_off() -> AsyncIterator[bytes]:
        yield b"+13105550002\n" * 5000
        raise ConnectionResetError

    async with a_market(dsn, tmp_path) as market:
        await market.send("PUT", "dnc/numbers", "+13105550001")
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await market.send("PUT", "dnc/numbers", cut_off())
        assert (await market.send("GET", "dnc/numbers/+13105550001"))[1]["listed"]
        assert not (await market.send("GET", "dnc/numbers/+13105550002"))[1]["listed"]


async def test_a_file_is_put_on_a_list_by_the_command(dsn: str, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("phone\n3105550001\n3105550002\nnobody\n")
    environment = {"PINGPOST_DSN": dsn, "PINGPOST_SECRET_KEY": KEY}

    def suppress(*flags: str) -> tuple[int, str]:
        arguments = ["suppress", str(numbers), "--list", *flags]
        result = CliRunner().invoke(main, arguments, env=environment)
        return result.exit_code, result.output

    async with a_market(dsn, tmp_path) as market:
        code, told = await asyncio.to_thread(suppress, "dnc")
        assert code == 0, told
        assert "4 lines, 2 added, 0 unchanged, 1 invalid; 2 numbers now" in told
        assert await market.routed("+13105550001") == (None, "caller_blocked")
        assert (await asyncio.to_thread(suppress, "dnc", "--remove"))[0] == 0
        assert await market.routed("+13105550001") == ("acme-auto", None)
        code, told = await asyncio.to_thread(suppress, "nowhere")
        assert (code, "no list" in told) == (1, True)
        await market.send("PUT", "dnc/numbers", "")
        assert [each for each in await market.noted() if "numbers" in each[1]] == [
            ("dnc", "add_numbers", "command"),
            ("dnc", "remove_numbers", "command"),
            ("dnc", "replace_numbers", "bootstrap"),
        ]
