"""Campaigns, sources, buyers and offers by the API: one revision each, nothing lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from auction.domain.ids import CampaignId, PoolId
from auction.domain.leases import Leased, LeaseRequest
from auction.domain.numbers import PoolTerms
from auction.web.management.resources import RESOURCES, Resource
from storage.catalogue import load
from storage.database import Database
from storage.number_leases import NumberLeases
from tests.http.managed_steps import EXAMPLES, ask, faults, managing, revision
from tests.ledger_steps import VAULT

PATCHES: dict[str, dict[str, object]] = {
    "campaigns": {"reauction": True, "payouts": None},
    "sources": {"name": "Other"},
    "buyers": {"tags": None, "concurrency": 4},
    "offers": {"weight": 3},
    "suppressions": {"name": "Other"},
    "delivery-profiles": {"post": {"timeout_ms": 900}},
    "numbers": {"tags": {"keyword": None}, "source": None},
    "pools": {"cap": None, "lease_s": 60},
    "voice-agents": {"sip_url": "sip:robin@other.example", "concurrency": None},
    "alerts": {"above": "0.2"},
}

each_kind = pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.path)


@each_kind
async def test_an_object_is_created_read_replaced_patched_and_deleted(
    database: Database, resource: Resource
) -> None:
    example = dict(EXAMPLES[resource.path])
    path = f"/v1/{resource.path}/{example['id']}"
    async with managing(database) as api:
        created = await ask(api, "POST", f"/v1/{resource.path}", example)
        assert (created.status, created.headers["Location"]) == (201, path)
        shown = await ask(api, "GET", path, token="read")
        assert (shown.status, shown.body) == (200, created.body)
        assert shown.headers["Etag"] == created.headers["Etag"] == '"2"'
        again = await ask(api, "PUT", path, shown.json())
        assert (again.status, again.headers["Etag"]) == (200, '"2"'), again.body
        assert await revision(database) == 2
        patched = await ask(api, "PATCH", path, PATCHES[resource.path])
        assert (patched.status, patched.headers["Etag"]) == (200, '"3"'), patched.body
        assert (await ask(api, "DELETE", path)).status == 204
        assert (await ask(api, "GET", path)).status == 404
        before = await ask(api, "GET", f"{path}?revision=3")
        assert (before.status, before.body) == (200, patched.body)
        assert (await ask(api, "GET", f"{path}?revision=1")).status == 404


async def test_a_revision_that_is_still_to_come_shows_nothing(database: Database) -> None:
    resource = RESOURCES[0]
    async with managing(database) as api:
        created = await ask(api, "POST", f"/v1/{resource.path}", EXAMPLES[resource.path])
        newest = await revision(database)
        path = created.headers["Location"]
        assert (await ask(api, "GET", f"{path}?revision={newest}")).status == 200
        later = await ask(api, "GET", f"{path}?revision={newest + 1}")
        assert (later.status, later.json()["detail"]) == (
            404,
            f"There is no {resource.title} of this id at revision {newest + 1}.",
        )


async def test_an_id_that_is_taken_is_a_conflict(database: Database) -> None:
    async with managing(database) as api:
        for resource in RESOURCES:
            path = f"/v1/{resource.path}"
            assert (await ask(api, "POST", path, EXAMPLES[resource.path])).status == 201, path
            before = await revision(database)
            again = await ask(api, "POST", path, EXAMPLES[resource.path])
            assert (again.status, again.json()["type"]) == (409, "urn:pingpost:problem:exists")
            assert await revision(database) == before


async def test_only_admins_change_and_readers_read(database: Database) -> None:
    async with managing(database, None) as api:
        for every in (f"/v1/{resource.path}" for resource in RESOURCES):
            one = f"{every}/x"
            for method, path in [("POST", every), ("PUT", one), ("PATCH", one), ("DELETE", one)]:
                assert (await ask(api, method, path, {}, token="read")).status == 403, path
            for token, status in {"calls": 403, "acme": 403, "read": 200, "nobody": 401}.items():
                assert (await ask(api, "GET", every, token=token)).status == status, every


async def test_of_two_clients_that_change_one_offer_the_second_is_told(database: Database) -> None:
    path = "/v1/offers/acme-auto"
    async with managing(database) as api:
        seen = (await ask(api, "GET", path)).headers["Etag"]
        first = await ask(api, "PATCH", path, {"weight": 5}, If_Match=seen)
        assert first.status == 200
        second = await ask(api, "PATCH", path, {"priority": 9}, If_Match=seen)
        assert (second.status, second.headers["Etag"]) == (412, first.headers["Etag"])
        assert (await ask(api, "GET", path)).body == first.body
        retried = await ask(api, "PATCH", path, {"priority": 9}, If_Match=second.headers["Etag"])
        assert (retried.json()["weight"], retried.json()["priority"]) == (5, 9)


async def test_patches_at_the_same_time_all_take_effect(database: Database) -> None:
    path = "/v1/offers/acme-auto"
    changes: list[dict[str, object]] = [
        {"weight": 7},
        {"priority": 8},
        {"concurrency": 9},
        {"enabled": False},
    ]
    async with managing(database) as api:
        done = await asyncio.gather(*(ask(api, "PATCH", path, each) for each in changes))
        assert {each.status for each in done} == {200}
        offer = (await ask(api, "GET", path)).json()
        assert [offer[key] for change in changes for key in change] == [7, 8, 9, False]
        assert await revision(database) == 1 + len(changes)


CONDITIONS: list[tuple[dict[str, str], int]] = [
    ({"If_Match": 'W/"1"'}, 412),
    ({"If_Match": "1"}, 422),
    ({"If_Match": ""}, 422),
    ({"If_None_Match": "*"}, 412),
    ({"If_None_Match": '"2"'}, 200),
    ({"If_Match": '"9", "2"'}, 200),
    ({"If_Match": '"1"'}, 412),
    ({"If_Match": "*"}, 200),
]


async def test_conditions_of_a_change(database: Database) -> None:
    async with managing(database) as api:
        for headers, status in CONDITIONS:
            body = {"name": f"New {headers}"}
            reply = await ask(api, "PATCH", "/v1/sources/pub-17", body, **headers)
            assert reply.status == status, headers


async def test_what_a_reader_has_is_not_sent_again(database: Database) -> None:
    async with managing(database) as api:
        reply = await ask(api, "GET", "/v1/sources/pub-17", If_None_Match='"1"')
        assert (reply.status, reply.body) == (304, b"")


async def test_put_creates_what_is_not_there_unless_a_condition_forbids(
    database: Database,
) -> None:
    async with managing(database) as api:
        refused = await ask(api, "PUT", "/v1/sources/new", {"name": "New"}, If_Match="*")
        assert refused.status == 412
        created = await ask(api, "PUT", "/v1/sources/new", {"name": "New"}, If_None_Match="*")
        assert (created.status, created.json()) == (201, {"id": "new", "name": "New"})
        other = await ask(api, "PUT", "/v1/sources/new", {"id": "old", "name": "New"})
        assert faults(other) == {"id": "can't be changed: create another and delete this one"}


async def test_ids_are_made_from_names_and_never_taken_ones(database: Database) -> None:
    async with managing(database, None) as api:
        ids = [
            (await ask(api, "POST", "/v1/sources", {"name": "Big Site"})).json()["id"]
            for _ in range(3)
        ]
        assert ids == ["big-site", "big-site-2", "big-site-3"]


async def test_a_marketplace_can_be_built_by_the_api_alone(database: Database) -> None:
    async with managing(database, None) as api:
        for path, body in [
            ("campaigns", {"id": "auto"}),
            ("buyers", {"id": "acme", "company": "Acme"}),
            ("offers", {"buyer": "acme", "campaign": "auto"}),
        ]:
            assert (await ask(api, "POST", f"/v1/{path}", body)).status == 201
        assert (await ask(api, "GET", "/v1/offers/acme-auto")).json() == {
            "id": "acme-auto",
            "buyer": "acme",
            "campaign": "auto",
        }
        assert (await ask(api, "GET", "/v1/buyers/acme")).json() == {
            "id": "acme",
            "company": "Acme",
        }


async def test_a_list_is_read_page_by_page(database: Database) -> None:
    async with managing(database, None) as api:
        for number in range(5):
            await ask(api, "POST", "/v1/sources", {"id": f"s{number}"})
        found: list[str] = []
        after = ""
        for _ in range(3):
            page = (await ask(api, "GET", f"/v1/sources?limit=2{after}")).json()
            found += [each["id"] for each in page["sources"]]
            after = f"&after={page['next']}"
        assert (found, page["next"]) == (["s0", "s1", "s2", "s3", "s4"], None)


FILTERED = {
    "offers?buyer=cobalt": ["cobalt-auto", "cobalt-overflow"],
    "offers?buyer=acme&campaign=auto-insurance&enabled=true": ["acme-auto"],
    "offers?enabled=false": ["delta-auto"],
    "offers?campaign=none": [],
    "buyers?company=Delta%20Holding": ["delta"],
    "buyers?type=buyer&limit=1": ["acme"],
    "buyers?type=voice_bot": [],
    "buyers?tag=gold": ["delta"],
}


async def test_lists_are_filtered(database: Database) -> None:
    async with managing(database) as api:
        await ask(api, "POST", "/v1/buyers", EXAMPLES["buyers"])
        await ask(api, "POST", "/v1/offers", EXAMPLES["offers"])
        await ask(api, "POST", "/v1/offers/delta-auto/pause")
        for query, ids in FILTERED.items():
            reply = await ask(api, "GET", f"/v1/{query}")
            assert [each["id"] for each in reply.json()[query.partition("?")[0]]] == ids, query


MEANINGLESS = {
    "limit=0": "limit",
    "limit=1001": "limit",
    "limit=%D9%A1": "limit",
    "limit=1&limit=2": "limit",
    "after=%00": "after",
    "enabled=1": "enabled",
    "campaign=%00": "campaign",
    "color=red": "color",
}


async def test_queries_that_mean_nothing_are_refused(database: Database) -> None:
    async with managing(database, None) as api:
        for query, fault in MEANINGLESS.items():
            found = faults(await ask(api, "GET", f"/v1/offers?{query}"))
            assert list(found) == [fault], query


async def test_an_offer_is_paused_and_resumed(database: Database) -> None:
    async with managing(database) as api:
        paused = await ask(api, "POST", "/v1/offers/acme-auto/pause")
        assert (paused.status, paused.json()["enabled"]) == (200, False)
        again = await ask(api, "POST", "/v1/offers/acme-auto/pause")
        assert again.headers["Etag"] == paused.headers["Etag"]
        stale = await ask(api, "POST", "/v1/offers/acme-auto/resume", If_Match='"1"')
        assert stale.status == 412
        assert (await ask(api, "POST", "/v1/offers/acme-auto/resume")).json()["enabled"] is True
        assert (await ask(api, "POST", "/v1/offers/none/resume")).status == 404


WEB = PoolTerms(
    id=PoolId("web"),
    campaign=CampaignId("auto-insurance"),
    numbers=("+18005550180", "+18005550181"),
    lease_s=600,
    heartbeat_s=60,
    grace_s=300,
)


async def test_a_pool_is_not_deleted_while_visitors_hold_its_numbers(database: Database) -> None:
    leases = NumberLeases(database, VAULT)
    async with managing(database) as api:
        await ask(api, "POST", "/v1/pools", EXAMPLES["pools"])
        lent = await leases.lease(WEB, LeaseRequest("ann", None, {}), {})
        assert isinstance(lent, Leased)
        refused = await ask(api, "DELETE", "/v1/pools/web")
        assert (refused.status, refused.json()["type"]) == (409, "urn:pingpost:problem:in-use")
        until = lent.expires_at + timedelta(seconds=WEB.grace_s)
        told = refused.json()["detail"]
        assert f"1 of them, until {until:%Y-%m-%dT%H:%M:%SZ}" in told
        assert 'PATCH with {"cap": 0}' in told
        assert "DELETE /v1/pools/web/leases/{session_id}" in told
        assert (await ask(api, "GET", "/v1/pools/web")).status == 200
        await leases.give_back(WEB, "ann")
        assert (await ask(api, "DELETE", "/v1/pools/web")).status == 204


async def test_numbers_that_visitors_hold_are_not_taken_out_of_their_pool(
    database: Database,
) -> None:
    leases = NumberLeases(database, VAULT)
    async with managing(database) as api:
        made = (await ask(api, "POST", "/v1/pools", EXAMPLES["pools"])).json()
        lent = await leases.lease(WEB, LeaseRequest("ann", None, {}), {})
        assert isinstance(lent, Leased)
        left = [each for each in WEB.numbers if each != lent.number]
        for method, body in (("PATCH", {"numbers": left}), ("PUT", {**made, "numbers": left})):
            refused = await ask(api, method, "/v1/pools/web", body)
            assert (refused.status, refused.json()["type"]) == (409, "urn:pingpost:problem:in-use")
            assert "1 visitor holds, until 20" in refused.json()["detail"]
        other = {"numbers": [lent.number, "+18005550183"]}
        assert (await ask(api, "PATCH", "/v1/pools/web", other)).status == 200
        at = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        later = f"/v1/pools/web?effective_at={at}"
        assert (await ask(api, "PATCH", later, {"numbers": ["+18005550183"]})).status == 202
        await leases.give_back(WEB, "ann")
        assert (await ask(api, "PATCH", "/v1/pools/web", {"numbers": left})).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"effective_at": "2030-01-01T00:00:00Z"}', 422),
        ('{"enabled": true}', 422),
        ("[]", 422),
        ("enabled=true", 400),
        ("{}", 200),
        ("", 200),
    ],
)
async def test_pausing_ignores_nothing_that_a_body_says(
    database: Database, body: str, status: int
) -> None:
    async with managing(database) as api:
        for verb in ("pause", "resume"):
            path = f"/v1/offers/acme-auto/{verb}"
            reply = await api.send("POST", path, token="admin", data=body)
            assert reply.status == status, reply.body
        assert (await revision(database) > 1) == (status == 200)


@pytest.mark.parametrize("offers", [[], [{"id": "acme-auto"}], {}])
async def test_offers_are_not_taken_with_their_buyer_and_never_just_dropped(
    database: Database, offers: object
) -> None:
    async with managing(database) as api:
        patch = await ask(api, "PATCH", "/v1/buyers/acme", {"offers": offers})
        put = await ask(api, "PUT", "/v1/buyers/acme", {"name": "Acme", "offers": offers})
    told = {"offers": "can't stand here: each has a path of its own"}
    assert faults(patch) == faults(put) == told


USED = {
    "campaigns/auto-insurance": "offer acme-auto, offer beacon-auto, offer cobalt-auto, and more.",
    "buyers/cobalt": "offer cobalt-auto, offer cobalt-overflow.",
    "sources/pub-17": "campaign auto-insurance.",
}


async def test_what_others_refer_to_is_not_deleted(database: Database) -> None:
    async with managing(database) as api:
        for path, users in USED.items():
            reply = await ask(api, "DELETE", f"/v1/{path}")
            assert (reply.status, reply.json()["type"]) == (409, "urn:pingpost:problem:in-use")
            assert users in reply.json()["detail"]
            assert (await ask(api, "GET", f"/v1/{path}")).status == 200


async def test_an_offer_moves_to_another_buyer_and_keeps_its_secrets(database: Database) -> None:
    async with managing(database) as api:
        await ask(api, "POST", "/v1/offers", EXAMPLES["offers"])
        moved = await ask(api, "PATCH", "/v1/offers/delta-auto", {"buyer": "beacon"})
        assert (moved.status, moved.json()["buyer"]) == (200, "beacon")
        assert "sealed" in await stored_text(database, "delta-auto")


async def stored_text(database: Database, identifier: str) -> str:
    stored = await load(database)
    return next(each.text for each in stored.items if each.id == identifier)


async def test_secrets_are_sealed_shown_as_kept_and_kept(database: Database) -> None:
    path = "/v1/offers/delta-auto"
    async with managing(database) as api:
        created = await ask(api, "POST", "/v1/offers", EXAMPLES["offers"])
        shown = created.json()
        assert shown["ping_post"]["ping"]["auth"] == {"type": "bearer", "token": {"keep": True}}
        sealed = await stored_text(database, "delta-auto")
        assert "correct horse" not in sealed
        shown["weight"] = 4
        assert (await ask(api, "PUT", path, shown)).status == 200
        token = sealed.partition('"sealed":"')[2].partition('"')[0]
        assert token in await stored_text(database, "delta-auto")
        auth = {"ping_post": {"ping": {"auth": {"token": {"env": "DELTA_TOKEN"}}}}}
        patched = await ask(api, "PATCH", path, auth)
        assert patched.json()["ping_post"]["ping"]["auth"]["token"] == {"env": "DELTA_TOKEN"}


async def test_secrets_in_headers_and_query_are_kept_changed_and_taken_away(
    database: Database,
) -> None:
    path = "/v1/offers/delta-auto"
    async with managing(database) as api:
        ping = (await ask(api, "POST", "/v1/offers", EXAMPLES["offers"])).json()["ping_post"][
            "ping"
        ]
        assert ping["headers"] == {"X-Partner": {"keep": True}, "X-Zip": "{{ call_id }}"}
        assert ping["query"] == {"api_key": {"keep": True}, "site": {"env": "ACME_TOKEN"}}
        before = await stored_text(database, "delta-auto")
        headers = {"X-Partner": {"keep": True}, "X-Zip": None, "X-Other": "as it is"}
        patch = {"ping_post": {"ping": {"headers": headers, "query": {"site": "here"}}}}
        ping = (await ask(api, "PATCH", path, patch)).json()["ping_post"]["ping"]
        assert ping["headers"] == {"X-Partner": {"keep": True}, "X-Other": "as it is"}
        assert ping["query"] == {"api_key": {"keep": True}, "site": "here"}
        kept = before.partition('"X-Partner":{"sealed":"')[2].partition('"')[0]
        assert kept in await stored_text(database, "delta-auto")
        patch = {"ping_post": {"ping": {"headers": {"X-Partner": {"secret": "battery staple"}}}}}
        assert (await ask(api, "PATCH", path, patch)).status == 200
        after = await stored_text(database, "delta-auto")
        assert kept not in after
        assert "battery staple" not in after
        patch = {"ping_post": {"ping": {"query": {"nothing": {"keep": True}}}}}
        told = faults(await ask(api, "PATCH", path, patch))
        assert list(told) == ["ping_post.ping.query.nothing"]


async def test_a_secret_to_keep_that_is_not_there_is_a_fault(database: Database) -> None:
    async with managing(database) as api:
        body = {"id": "s", "token": {"keep": True}}
        assert list(faults(await ask(api, "POST", "/v1/sources", body))) == ["token"]
