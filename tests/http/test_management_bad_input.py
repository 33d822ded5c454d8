"""Bad input to the management API: a clear error with its path, and nothing is changed."""

from io import BytesIO

import pytest

from auction.web.management.resources import RESOURCES, Resource
from storage.database import Database
from tests.http.managed_steps import EXAMPLES, ask, faults, managing, revision

OFFER = {"id": "o", "buyer": "acme", "campaign": "auto-insurance"}
PING = {"url": "https://delta.example/ping"}


def deep(levels: int) -> object:
    value: object = {}
    for _ in range(levels):
        value = {"a": value}
    return value


OFFERS: list[tuple[dict[str, object], str, str]] = [
    ({"colour": "red"}, "colour", "unknown key"),
    ({"wieght": 1}, "wieght", "did you mean `weight`"),
    ({"buyer": None}, "buyer", "is missing"),
    ({"buyer": 7}, "buyer", "must be an id"),
    ({"buyer": "nobody"}, "buyer", "not there"),
    ({"campaign": "none"}, "campaign", "not there"),
    ({"id": "a b"}, "id", "letters, digits"),
    ({"weight": "1"}, "weight", "whole number"),
    ({"weight": 10**40}, "weight", "at most"),
    ({"static_price": 1e300}, "static_price", "must be a number"),
    ({"static_price": "1.23456", "destination": {"uri": "tel:+18885550142"}}, "static_price", "4"),
    ({"static_price": 5}, "static_price", "destination"),
    ({"hours": {"time_zone": "Mars/Olympus"}}, "hours.time_zone", "not a known time zone"),
    (
        {"hours": {"weekly": {"mon": ["08:00-12:00", "11:00-13:00"]}}},
        "hours.weekly.mon[1]",
        "overlap",
    ),
    ({"hours": {"weekly": {"mon": ["25:00-26:00"]}}}, "hours.weekly.mon[0]", "time"),
    ({"required_fields": ["f"] * 10_001}, "required_fields", "10000"),
    ({"filters": [{"field": "zip", "op": "in", "value": ["1"] * 10_001}]}, "filters[0].value", "1"),
    ({"ping_post": {"ping": {**PING, "body": deep(60)}}}, "ping_post.ping.body", "deep"),
    ({"ping_post": {"ping": {**PING, "body": {"e": "{{ fields.email }}"}}}}, "*", "private"),
    ({"caps": [{"measure": "calls", "per": "day", "limit": -1}]}, "caps[0].limit", "whole number"),
]


async def test_every_fault_of_an_offer_is_told_with_its_path(database: Database) -> None:
    async with managing(database) as api:
        for change, path, word in OFFERS:
            found = faults(await ask(api, "POST", "/v1/offers", {**OFFER, **change}))
            [(where, message)] = list(found.items())[:1]
            assert path == "*" or where.startswith(path), found
            assert word in message, found
        assert await revision(database) == 1


async def test_several_faults_are_told_at_once(database: Database) -> None:
    async with managing(database) as api:
        body = {**OFFER, "weight": -1, "priority": "x", "colour": 1}
        assert set(faults(await ask(api, "POST", "/v1/offers", body))) == {
            "weight",
            "priority",
            "colour",
        }


BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "not-json"),
    (b"{", 400, "not-json"),
    (b"\xff\xfe", 400, "not-json"),
    (b"[" * 100_000, 400, "not-json"),
    (b'{"a": NaN}', 400, "not-json"),
    (b'{"a": -Infinity}', 400, "not-json"),
    (b'{"id": "a", "id": "b"}', 422, "invalid"),
    (b'{"weight": ' + b"9" * 200 + b"}", 422, "invalid"),
    (b"[]", 422, "invalid"),
    (b'{"a": ' * 150 + b"1" + b"}" * 150, 422, "invalid"),
    (b'{"name": "' + b"x" * 1_100_000 + b'"}', 413, "too-large"),
]


async def test_bodies_that_are_no_objects_are_refused_on_every_path(database: Database) -> None:
    async with managing(database) as api:
        for body, status, kind in BODIES:
            for method, path in [
                *(("POST", f"/v1/{each.path}") for each in RESOURCES[:1]),
                ("PUT", "/v1/offers/acme-auto"),
                ("PATCH", "/v1/offers/acme-auto"),
            ]:
                reply = await api.send(method, path, token="admin", data=BytesIO(body))
                assert (reply.status, reply.json()["type"].rpartition(":")[2]) == (status, kind), (
                    body[:20]
                )
        assert await revision(database) == 1


ABSURD = {
    "nested 60 deep": deep(60),
    "a number of 41 digits": 10**40,
    "a list of 10,001 entries": ["x"] * 10_001,
    "a text of 100,000 characters": "x" * 100_000,
    "a text with a control character": "x\0",
}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda each: each.path)
async def test_every_key_of_every_resource_refuses_absurd_values_with_its_path(
    database: Database, resource: Resource
) -> None:
    path = f"/v1/{resource.path}"
    keys = [each.alias or name for name, each in resource.model.model_fields.items()]
    async with managing(database) as api:
        for key in (*keys, "colour"):
            for what, value in ABSURD.items():
                body = {**EXAMPLES[resource.path], key: value}
                told = faults(await ask(api, "POST", path, body))
                assert any(each.startswith(key) for each in told), (key, what, told)
        assert await revision(database) == 1


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("buyers/acme", {"time_zone": "Mars/Olympus"}, "time_zone"),
        ("offers/acme-auto", {"hours": {"time_zone": "EST5EDT4"}}, "hours.time_zone"),
        ("offers/acme-auto", {"hours": {"weekly": {"mon": ["08:00"]}}}, "hours.weekly.mon[0]"),
        (
            "offers/acme-auto",
            {"hours": {"weekly": {"mon": ["22:00-06:00", "23:00-24:00"]}}},
            "hours.weekly.mon[1]",
        ),
        ("offers/acme-auto", {"hours": {"closed_dates": ["2026-02-30"]}}, "hours.closed_dates[0]"),
    ],
)
async def test_zones_and_hours_that_can_not_be_are_refused_with_their_path(
    database: Database, path: str, body: object, key: str
) -> None:
    async with managing(database) as api:
        told = faults(await ask(api, "PATCH", f"/v1/{path}", body))
        assert [each for each in told if each.startswith(key)], told


async def test_a_list_of_10_000_entries_is_taken(database: Database) -> None:
    async with managing(database) as api:
        numbers = [f"+1800{number:07}" for number in range(2_000_000, 2_010_000)]
        body = {"id": "large", "caller_blocklist": numbers}
        assert (await ask(api, "POST", "/v1/campaigns", body)).status == 201
        body = {"id": "larger", "caller_blocklist": [*numbers, "+13105550100"]}
        assert list(faults(await ask(api, "POST", "/v1/campaigns", body))) == ["caller_blocklist"]


async def test_a_change_that_breaks_another_object_is_refused(database: Database) -> None:
    async with managing(database) as api:
        private = {"private_fields": ["vertical"]}
        reply = await ask(api, "PATCH", "/v1/campaigns/auto-insurance", private)
        assert "would break offer beacon-auto" in faults(reply)[""]
        kind = {"type": "quality_assurance"}
        bare = {**EXAMPLES["offers"], "id": "bare"}
        del bare["static_price"], bare["destination"]
        assert (await ask(api, "POST", "/v1/offers", bare)).status == 201
        reply = await ask(api, "PATCH", "/v1/buyers/acme", kind)
        assert "would break offer bare" in faults(reply)[""]
        assert (await ask(api, "PATCH", "/v1/buyers/cobalt", kind)).status == 200


async def test_a_field_that_becomes_private_breaks_offers_that_send_it_by_their_profile(
    database: Database,
) -> None:
    async with managing(database) as api:
        house = EXAMPLES["delivery-profiles"]
        assert (await ask(api, "POST", "/v1/delivery-profiles", house)).status == 201
        assert (await ask(api, "POST", "/v1/campaigns", EXAMPLES["campaigns"])).status == 201
        for name, profile in (("by-built-in", "form"), ("by-own", "house")):
            ping_post = {**EXAMPLES["offers"]["ping_post"], "profile": profile}
            changes = {"id": name, "campaign": "solar", "ping_post": ping_post}
            offer = {**EXAMPLES["offers"], **changes}
            assert (await ask(api, "POST", "/v1/offers", offer)).status == 201
        private = {"private_fields": ["zip_code"]}
        for name in ("by-own", "by-built-in"):
            reply = await ask(api, "PATCH", "/v1/campaigns/solar", private)
            assert f"would break offer {name}" in faults(reply)[""]
            assert (await ask(api, "DELETE", f"/v1/offers/{name}")).status == 204


async def test_a_field_that_becomes_private_is_told_from_others_that_look_alike(
    database: Database,
) -> None:
    async with managing(database) as api:
        ping = {"url": "https://delta.example/ping", "body": {"a": "{{ fields.half_off }}"}}
        offer = {**EXAMPLES["offers"], "ping_post": {"ping": ping}}
        assert (await ask(api, "POST", "/v1/offers", offer)).status == 201
        path = "/v1/campaigns/auto-insurance"
        alike = {"private_fields": ["halfxoff", "%", "half"]}
        assert (await ask(api, "PATCH", path, alike)).status == 200
        reply = await ask(api, "PATCH", path, {"private_fields": ["half_off"]})
        assert "would break offer delta-auto" in faults(reply)[""]


async def test_a_number_has_one_campaign(database: Database) -> None:
    async with managing(database) as api:
        body = {"id": "solar", "numbers": ["(800) 555-0101"]}
        reply = await ask(api, "POST", "/v1/campaigns", body)
        assert "auto-insurance" in faults(reply)["numbers[0]"]


async def test_offers_are_not_changed_within_their_buyer(database: Database) -> None:
    async with managing(database) as api:
        body = {"offers": [{"id": "x", "campaign": "auto-insurance"}]}
        assert list(faults(await ask(api, "PATCH", "/v1/buyers/acme", body))) == ["offers"]


async def test_no_answer_repeats_a_secret(database: Database) -> None:
    async with managing(database) as api:
        body = {"id": "s", "token": "correct\nhorse", "correct horse": 1, "name": 7}
        reply = await ask(api, "POST", "/v1/sources", body)
        assert b"correct\\nhorse" not in reply.body
        assert faults(reply)["token"] == "must not contain control characters"
