"""The demo's switch at a service that is too busy for a moment."""

from dataclasses import dataclass

import pytest
from aiohttp import ClientResponseError, web

from auction.demo import switch
from auction.demo.switch import DemoSwitch
from tests.http.api_fakes import serving

REPORT = {"call_id": "c-1", "revenue": "10"}


@dataclass(frozen=True)
class AService:
    base_url: str
    ops_url: str = ""
    token: str = "secret"


@dataclass
class BusyService:
    """Answers its first requests with 503."""

    busy: int
    status: int = 503
    asked: int = 0

    async def convert(self, request: web.Request) -> web.Response:
        assert await request.json() == REPORT
        self.asked += 1
        status = self.status if self.asked <= self.busy else 200
        return web.json_response({"status": "ok"}, status=status)

    async def report_to_it(self) -> dict[str, str]:
        application = web.Application()
        application.router.add_post("/v1/postbacks/conversion", self.convert)
        async with serving(application) as port, DemoSwitch(AService(_url(port))) as caller:
            return await caller.report_conversion(REPORT)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "ASKS_AGAIN_AFTER_S", 0)


async def test_it_asks_again_what_could_not_be_answered() -> None:
    service = BusyService(busy=2)
    assert await service.report_to_it() == {"status": "ok"}
    assert service.asked == 3


async def test_it_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "ANSWER_WITHIN_S", 0.2)
    service = BusyService(busy=10_000)
    with pytest.raises(ClientResponseError, match="503"):
        await service.report_to_it()
    assert service.asked > 1


async def test_a_refusal_is_final() -> None:
    service = BusyService(busy=1, status=422)
    with pytest.raises(ClientResponseError, match="422"):
        await service.report_to_it()
    assert service.asked == 1
