"""Questions that the management API can't answer say what could be asked instead."""

import pytest

from storage.database import Database
from tests.http.managed_steps import ask, faults, managing

LATER = "effective_at=2999-01-01T00:00:00Z"
PATCH_ONLY = "goes with PATCH only: every other change is in force at once"
NOBODY = "must be the `next` of an earlier answer"


@pytest.mark.parametrize(
    ("path", "fault", "words"),
    [
        ("/v1/audit?from=2026-02-01&to=2026-01-01", "from", "must not be after to"),
        ("/v1/calls?from=2026-02-01&to=2026-01-01", "from", "must not be after to"),
        ("/v1/buyers?type=zzz", "type", "must be one of buyer, quality_assurance, voice_bot"),
        ("/v1/offers?after=zzz", "after", NOBODY),
        ("/v1/offers?after=-.-", "after", NOBODY),
        ("/v1/webhooks/dead-letters?after=zzz", "after", NOBODY),
        ("/v1/webhooks/dead-letters?page=2", "page", "known are after, limit"),
    ],
)
async def test_a_list_says_what_is_wrong_with_its_query(
    database: Database, path: str, fault: str, words: str
) -> None:
    async with managing(database) as api:
        told = faults(await ask(api, "GET", path))
        assert list(told) == [fault]
        assert words in told[fault]


async def test_the_last_page_is_empty_and_no_mistake(database: Database) -> None:
    async with managing(database) as api:
        await ask(api, "POST", "/v1/sources", {"id": "zz"})
        await ask(api, "DELETE", "/v1/sources/zz")
        page = await ask(api, "GET", "/v1/sources?after=zz")
        assert (page.status, page.json()) == (200, {"sources": [], "next": None})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/offers"),
        ("PUT", "/v1/offers/acme-auto"),
        ("DELETE", "/v1/offers/acme-auto"),
        ("POST", "/v1/offers/acme-auto/pause"),
        ("POST", "/v1/buyers/acme/duplicate"),
    ],
)
async def test_only_a_patch_can_wait_and_the_answer_says_so(
    database: Database, method: str, path: str
) -> None:
    async with managing(database) as api:
        assert faults(await ask(api, method, f"{path}?{LATER}", {})) == {"effective_at": PATCH_ONLY}


async def test_a_body_that_is_no_json_is_told_of_as_a_body(database: Database) -> None:
    async with managing(database) as api:
        reply = await api.send("PUT", "/v1/offers/acme-auto", token="admin", data=b'{"a":\n}')
        assert (reply.status, reply.json()["detail"]) == (
            400,
            "The body is not JSON: Expecting value (line 2).",
        )


async def test_what_is_there_already_is_named_in_english(database: Database) -> None:
    async with managing(database) as api:
        body = {"id": "acme-auto", "buyer": "acme", "campaign": "auto-insurance"}
        reply = await ask(api, "POST", "/v1/offers", body)
        assert reply.status == 409
        assert reply.json()["detail"].startswith("There is an offer of this id")
