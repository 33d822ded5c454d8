"""Every fault of a marketplace at once, each at its place."""

from decimal import Decimal
from typing import Any

import pytest

from config.check import check, check_file, check_text
from config.faults import Step
from tests.unit.config.samples import (
    ABSENT,
    ACCEPTANCE,
    ACME,
    ACME_PING,
    BEACON,
    BEACON_PING,
    BEACON_POST,
    COBALT,
    SET,
    acceptance,
    changed,
    check_changed,
)

Case = tuple[tuple[Step, ...], object, str, str]

NESTED: Any = "deep"
for _ in range(20):
    NESTED = {"x": NESTED}

CAMPAIGN = ("campaigns", 0)
PING_PATH = "buyers[0].offers[0].ping_post.ping"
CASES: list[Case] = [
    (("currency",), "usd", "currency", "capital letters"),
    (("time_zone",), "America/Gotham", "time_zone", "not a known time zone"),
    (("time_zone",), "../../etc/passwd", "time_zone", "not a known time zone"),
    (("campagins",), [], "campagins", "did you mean `campaigns`"),
    (("campaigns",), {}, "campaigns", "must be a list"),
    ((*CAMPAIGN, "id"), "a b", "campaigns[0].id", "letters, digits"),
    ((*CAMPAIGN, "id"), "x" * 65, "campaigns[0].id", "1 to 64"),
    ((*CAMPAIGN, "id"), 7, "campaigns[0].id", "must be text"),
    ((*CAMPAIGN, "name"), "x\ny", "campaigns[0].name", "control characters"),
    ((*CAMPAIGN, "numbers", 1), "800", "campaigns[0].numbers[1]", "not a phone number"),
    ((*CAMPAIGN, "numbers", 1), 18005550101, "campaigns[0].numbers[1]", "must be text"),
    ((*CAMPAIGN, "numbers", 2), "(800) 555-0100", "campaigns[0].numbers[2]", "one campaign"),
    ((*CAMPAIGN, "allowed_countries"), ["XX"], "campaigns[0].allowed_countries[0]", "country"),
    ((*CAMPAIGN, "max_call_s"), 0, "campaigns[0].max_call_s", "at least 1"),
    ((*CAMPAIGN, "auction", "budget_ms"), 49, "campaigns[0].auction.budget_ms", "at least 50"),
    ((*CAMPAIGN, "auction", "budget_ms"), 60001, "campaigns[0].auction.budget_ms", "at most"),
    ((*CAMPAIGN, "auction", "budget_ms"), "2000", "campaigns[0].auction.budget_ms", "whole number"),
    ((*CAMPAIGN, "auction", "budget_ms"), True, "campaigns[0].auction.budget_ms", "whole number"),
    ((*CAMPAIGN, "auction", "reply_reserve_ms"), 2000, "campaigns[0].auction.reply_reserve_ms", ""),
    ((*CAMPAIGN, "auction", "rank"), "luck", "campaigns[0].auction.rank", "must be one of"),
    ((*CAMPAIGN, "reports_answered"), "yes", "campaigns[0].reports_answered", "true or false"),
    ((*CAMPAIGN, "no_route_destination"), "http://x", "campaigns[0].no_route_destination.uri", ""),
    ((*CAMPAIGN, "duplicates"), {"within_days": 0}, "campaigns[0].duplicates.within_days", ""),
    ((*CAMPAIGN, "payouts", 0, "percent"), "5", "campaigns[0].payouts[0].percent", "either"),
    ((*CAMPAIGN, "payouts", 0, "amount"), ABSENT, "campaigns[0].payouts[0].percent", "either"),
    ((*CAMPAIGN, "payouts", 0, "connected_s"), ABSENT, "campaigns[0].payouts[0].connected_s", ""),
    (("sources", 1), {"id": "pub-17"}, "sources[1].id", "is the id of sources[0] already"),
    (("buyers", 1, "id"), "acme", "buyers[1].id", "already"),
    (("buyers", 0, "type"), "reseller", "buyers[0].type", "must be one of"),
    (("buyers", 0, "concurrency"), -1, "buyers[0].concurrency", "at least 0"),
    ((*COBALT, "id"), "acme-auto", "buyers[2].offers[0].id", "buyers[0].offers[0] already"),
    ((*ACME, "campaign"), "solar", "buyers[0].offers[0].campaign", "not in this file"),
    ((*ACME, "campaign"), ABSENT, "buyers[0].offers[0].campaign", "is missing"),
    ((*ACME, "priority"), 1001, "buyers[0].offers[0].priority", "at most 1000"),
    ((*ACME, "weight"), 10001, "buyers[0].offers[0].weight", "at most 10000"),
    ((*ACME, "caps", 0, "limit"), Decimal("5.5"), "buyers[0].offers[0].caps[0].limit", "whole"),
    ((*ACME, "caps", 0, "limit"), -1, "buyers[0].offers[0].caps[0].limit", "from 0"),
    ((*ACME, "caps", 0, "per"), "week", "buyers[0].offers[0].caps[0].per", "one of"),
    ((*ACME, "caps", 1, "per"), "day", "buyers[0].offers[0].caps[1]", "second time"),
    (
        (*ACME, "caps", 2),
        {"measure": "revenue", "per": "day", "limit": "1.00001"},
        "buyers[0].offers[0].caps[2].limit",
        "4 decimals",
    ),
    ((*ACME, "filters", 0, "op"), "like", "buyers[0].offers[0].filters[0].op", "one of"),
    ((*ACME, "filters", 0, "value"), ABSENT, "buyers[0].offers[0].filters[0].value", "is missing"),
    ((*ACME, "filters", 0, "value"), ["a"], "buyers[0].offers[0].filters[0].value", "eq needs"),
    ((*ACME, "filters", 0, "value"), {"a": 1}, "buyers[0].offers[0].filters[0].value", "text"),
    (
        (*ACME, "filters", 0),
        {"field": "age", "op": "between", "value": [65, 18]},
        "buyers[0].offers[0].filters[0].value",
        "lower number first",
    ),
    (
        (*ACME, "filters", 0),
        {"field": "age", "op": "gte", "value": "old"},
        "buyers[0].offers[0].filters[0].value",
        "number",
    ),
    ((*ACME, "required_fields"), ["a "], "buyers[0].offers[0].required_fields[0]", "spaces"),
    ((*ACME, "destination", "uri"), "sip:", "buyers[0].offers[0].destination.uri", "must be sip"),
    ((*ACME, "destination", "uri"), "tel:911", "buyers[0].offers[0].destination.uri", "must be"),
    ((*ACME, "destination", "send_digits"), "1x", "buyers[0].offers[0].destination.send_digits", ""),
    ((*ACME, "conversions", 0, "connected_s"), ABSENT, "buyers[0].offers[0].conversions[0].connected_s", "timer"),
    ((*ACME, "conversions", 0, "amount"), "10000.01", "buyers[0].offers[0].conversions[0].amount", "at most"),
    ((*BEACON, "hours", "weekly"), {"mon": ["9-17"]}, "buyers[1].offers[0].hours.weekly", "08:00"),
    ((*BEACON, "hours", "weekly"), {"mon": "09:00-17:00"}, "buyers[1].offers[0].hours.weekly.mon", "list"),
    ((*BEACON, "hours", "closed_dates"), ["12/25"], "buyers[1].offers[0].hours.closed_dates[0]", "2026-12-25"),
    ((*BEACON, "hours", "time_zone"), "Chicago", "buyers[1].offers[0].hours.time_zone", "known"),
    ((*COBALT, "static_price"), "0", "buyers[2].offers[0].static_price", "more than 0"),
    ((*COBALT, "static_price"), 18.5, "buyers[2].offers[0].static_price", "number such as"),
    ((*COBALT, "static_price"), "1,000", "buyers[2].offers[0].static_price", "number such as"),
    ((*COBALT, "static_price"), "1e3", "buyers[2].offers[0].static_price", "number such as"),
    ((*COBALT, "static_price"), Decimal("1e400"), "buyers[2].offers[0].static_price", "number"),
    ((*COBALT, "static_price"), Decimal("NaN"), "buyers[2].offers[0].static_price", "number"),
    ((*COBALT, "static_price"), "18.00001", "buyers[2].offers[0].static_price", "4 decimals"),
    ((*COBALT, "destination"), ABSENT, "buyers[2].offers[0].static_price", "destination"),
    ((*ACME, "ping_post", "minimum_bid"), "-1", "buyers[0].offers[0].ping_post.minimum_bid", ""),
    ((*ACME, "ping_post", "maximum_bid"), "34", "buyers[0].offers[0].ping_post.maximum_bid", "below"),
    ((*ACME, "ping_post", "fixed_amount"), "34", "buyers[0].offers[0].ping_post.fixed_amount", "below"),
    ((*ACME, "ping_post", "on_unknown"), "hope", "buyers[0].offers[0].ping_post.on_unknown", "one of"),
    ((*ACME, "ping_post", "ping"), ABSENT, PING_PATH, "is missing"),
    ((*ACME_PING, "url"), "ftp://a/b", f"{PING_PATH}.url", "http"),
    ((*ACME_PING, "url"), "http://user:pw@a/b", f"{PING_PATH}.url", "use auth"),
    ((*ACME_PING, "url"), "http:///b", f"{PING_PATH}.url", "no host"),
    ((*ACME_PING, "url"), "http://a:99999/", f"{PING_PATH}.url", "can't be read"),
    ((*ACME_PING, "url"), "http://a/ b", f"{PING_PATH}.url", "spaces"),
    ((*ACME_PING, "url"), "http://a/\r\nX: y", f"{PING_PATH}.url", "spaces, control"),
    ((*ACME_PING, "url"), "http://a/#b", f"{PING_PATH}.url", "fragment"),
    ((*ACME_PING, "url"), "http://a/{{ offer }}", f"{PING_PATH}.url", "use query|into query"),
    ((*ACME_PING, "url"), "http://a/" + "b" * 3000, f"{PING_PATH}.url", "at most 2048"),
    ((*ACME_PING, "method"), "DELETE", f"{PING_PATH}.method", "one of"),
    ((*ACME_PING, "timeout_ms"), 0, f"{PING_PATH}.timeout_ms", "at least 1"),
    ((*ACME_PING, "timeout_ms"), 30001, f"{PING_PATH}.timeout_ms", "at most 30000"),
    ((*ACME_PING, "no_bid_statuses"), [99], f"{PING_PATH}.no_bid_statuses[0]", "at least 100"),
    ((*ACME_PING, "tiemout_ms"), 5, f"{PING_PATH}.tiemout_ms", "did you mean `timeout_ms`"),
    ((*ACME_PING, "auth", "type"), "oauth", f"{PING_PATH}.auth", "must have a `type`"),
    ((*ACME_PING, "auth", "token"), ABSENT, f"{PING_PATH}.auth.token", "is missing"),
    ((*ACME_PING, "auth", "token"), {"env": "A B"}, f"{PING_PATH}.auth.token.env", "variable"),
    ((*ACME_PING, "auth", "token"), {"vault": "x"}, f"{PING_PATH}.auth.token", "env: NAME"),
    ((*ACME_PING, "auth", "token"), "", f"{PING_PATH}.auth.token", "empty"),
    ((*ACME_PING, "auth", "token"), {"keep": False}, f"{PING_PATH}.auth.token.keep", "true"),
    ((*ACME_PING, "auth", "key"), "x", f"{PING_PATH}.auth.key", "unknown key"),
    ((*BEACON_PING, "auth", "name"), "Host", "buyers[1].offers[0].ping_post.ping.auth.name", "connection"),
    ((*ACME_PING, "headers"), {"Host": "x"}, f"{PING_PATH}.headers.Host", "connection"),
    ((*ACME_PING, "headers"), {"Content-Length": "1"}, f"{PING_PATH}.headers.Content-Length", ""),
    ((*ACME_PING, "headers"), {"Transfer-Encoding": "x"}, f"{PING_PATH}.headers.Transfer-Encoding", ""),
    ((*ACME_PING, "headers"), {"X-A": "b\r\nX-C: d"}, f"{PING_PATH}.headers.X-A", "control"),
    ((*ACME_PING, "headers"), {"X A": "b"}, f'{PING_PATH}.headers["X A"]', "header's name"),
    ((*ACME_PING, "headers"), {"X-A": "b", "x-a": "c"}, f"{PING_PATH}.headers.x-a", "twice"),
    ((*ACME_PING, "headers"), {"authorization": "x"}, f"{PING_PATH}.headers.authorization", "auth"),
    ((*ACME_PING, "headers"), {"X-A": "{{ zip }}"}, f"{PING_PATH}.headers.X-A", "unknown token"),
    ((*ACME_PING, "query"), {"zip": "{{ fields.zip"}, f"{PING_PATH}.query.zip", "no matching"),
    ((*ACME_PING, "query"), {"zip": ["a"]}, f"{PING_PATH}.query.zip", "must be text"),
    ((*ACME_PING, "body"), {"a": [{"b": "{{ x }}"}]}, f"{PING_PATH}.body.a[0].b", "unknown token"),
    ((*ACME_PING, "body"), {"{{ offer }}": 1}, f'{PING_PATH}.body["{{{{ offer }}}}"]', "key"),
    ((*ACME_PING, "body"), NESTED, f"{PING_PATH}.body" + ".x" * 17, "levels deep"),
    ((*ACME_PING, "body"), [1] * 3000, f"{PING_PATH}.body", "2000 values"),
    ((*ACME_PING, "body"), ["x" * 70000], f"{PING_PATH}.body", "65536 characters"),
    ((*ACME_PING, "body"), {"a": Decimal("0.1234567890123456789")}, f"{PING_PATH}.body.a", "exactly"),
    ((*ACME_PING, "body"), 5, f"{PING_PATH}.body", "must be a mapping"),
    ((*ACME_PING, "body"), '{"a": {{ bid }', f"{PING_PATH}.body", "expected|matching"),
    ((*ACME_PING, "body"), '{"a": {{ offer }},}', f"{PING_PATH}.body", "is not JSON"),
    ((*BEACON_POST, "body"), {"a": {"b": 1}}, "buyers[1].offers[0].ping_post.post.body", "flat"),
    ((*ACME_PING, "hash"), "md5", f"{PING_PATH}.hash", "one of|must be"),
    ((*BEACON_PING, "response", "amount", "at"), "a[", "buyers[1].offers[0].ping_post.ping.response.amount.at", "JMESPath"),
    ((*BEACON_PING, "response", "amount", "at"), "f(a)", "buyers[1].offers[0].ping_post.ping.response.amount.at", "calls `f`"),
    ((*BEACON_PING, "response", "amount"), ABSENT, "buyers[1].offers[0].ping_post.ping.response.amount", "fixed_amount"),
    ((*BEACON_PING, "response", "amount", "equals"), ["1"], "buyers[1].offers[0].ping_post.ping.response.amount.equals", "accepted only"),
    (
        (*BEACON_POST, "response"),
        {"format": "xml", "accepted": {"at": "//a["}},
        "buyers[1].offers[0].ping_post.post.response.accepted.at",
        "XPath",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "xml", "accepted": {"at": "//x:a"}},
        "buyers[1].offers[0].ping_post.post.response.accepted.at",
        "XPath",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "text", "accepted": {"at": "ok=(a)(b)"}},
        "buyers[1].offers[0].ping_post.post.response.accepted.at",
        "exactly one group",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "text", "accepted": {"at": "(a"}},
        "buyers[1].offers[0].ping_post.post.response.accepted.at",
        "regular expression: missing",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "text"},
        "buyers[1].offers[0].ping_post.post.response.accepted",
        "is missing",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "value", "path", "words"), CASES, ids=[f"{n}-{case[2]}" for n, case in enumerate(CASES)]
)
def test_a_fault_is_told_at_its_place(
    steps: tuple[Step, ...], value: object, path: str, words: str
) -> None:
    result = check_changed((steps, value))
    assert result.marketplace is None
    found = {fault.path: fault.message for fault in result.faults}
    assert set(found) - {fault for fault in found if fault.endswith("].campaign")} <= {path}
    assert any(word in found[path] for word in words.split("|"))


def test_all_faults_are_told_at_once() -> None:
    result = check_changed(
        ((*ACME_PING, "url"), "nowhere"),
        ((*ACME_PING, "timeout_ms"), 0),
        ((*BEACON, "campaign"), "solar"),
        ((*COBALT, "static_price"), "-1"),
        ((*COBALT, "id"), "beacon-auto"),
        (("currency",), None),
    )
    assert {fault.path for fault in result.faults} == {
        "currency",
        f"{PING_PATH}.url",
        f"{PING_PATH}.timeout_ms",
        "buyers[1].offers[0].campaign",
        "buyers[2].offers[0].static_price",
        "buyers[2].offers[0].id",
    }


def test_several_faults_in_one_body_are_told_apart() -> None:
    body = {"a": "{{ x }}", "b": {"c": "{{ y }}"}, "d": "{{ offer }}"}
    result = check_changed(((*ACME_PING, "body"), body))
    assert [fault.path for fault in result.faults] == [f"{PING_PATH}.body.a", f"{PING_PATH}.body.b.c"]


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("body", {"who": {"name": "{{ fields.first_name | default: x }}"}}, "body.who.name"),
        ("query", {"mail": "to {{ fields.email }}"}, "query.mail"),
        ("headers", {"X-Name": "{{ fields.last_name }}"}, "headers.X-Name"),
    ],
)
def test_a_private_field_in_a_ping_is_a_fault(key: str, value: object, path: str) -> None:
    result = check_changed(((*ACME_PING, key), value))
    assert [fault.path for fault in result.faults] == [f"{PING_PATH}.{path}"]
    assert "private field" in result.faults[0].message


def test_a_private_field_in_a_post_is_allowed() -> None:
    body = {"name": "{{ fields.first_name }}"}
    assert check_changed(((*ACME, "ping_post", "post", "body"), body)).faults == ()


def test_a_private_field_is_found_in_a_file_that_has_other_faults() -> None:
    result = check_changed(
        ((*ACME_PING, "body"), {"name": "{{ fields.email }}"}), ((*ACME_PING, "timeout_ms"), 0)
    )
    assert {fault.path for fault in result.faults} == {
        f"{PING_PATH}.timeout_ms",
        f"{PING_PATH}.body.name",
    }


def test_a_number_belongs_to_one_campaign() -> None:
    result = check_changed((("campaigns", 1), {"id": "solar", "numbers": ["800-555-0101"]}))
    assert [fault.path for fault in result.faults] == ["campaigns[1].numbers[0]"]
    assert "auto-insurance" in result.faults[0].message


def test_an_unbilled_buyer_needs_destinations() -> None:
    result = check_changed(
        (("buyers", 0, "type"), "quality_assurance"), ((*ACME, "destination"), ABSENT)
    )
    assert [fault.path for fault in result.faults] == ["buyers[0].offers[0].destination"]


def test_a_fault_names_the_nearest_object_and_its_line() -> None:
    text = ACCEPTANCE.read_text("utf-8").replace("timeout_ms: 400", "timeout_ms: 0")
    [fault] = check_text(text.encode(), SET).faults
    expected_line = text[: text.index("timeout_ms: 0")].count("\n") + 1
    assert (fault.within, fault.line) == ("offer beacon-auto", expected_line)
    assert str(fault) == (
        f"buyers[1].offers[0].ping_post.ping.timeout_ms (offer beacon-auto, line {expected_line}): "
        "must be at least 1"
    )


def test_a_missing_key_is_placed_on_the_line_of_its_owner() -> None:
    [fault] = check_text(b"currency: USD\nbuyers:\n  - id: acme\n    offers:\n      - id: a\n", {}).faults
    assert (fault.path, fault.line) == ("buyers[0].offers[0].campaign", 5)


def test_a_plain_secret_is_never_part_of_a_fault() -> None:
    secret = "hunter2\nand more"
    result = check_changed(((*ACME_PING, "auth", "token"), secret))
    assert [fault.path for fault in result.faults] == [f"{PING_PATH}.auth.token"]
    assert "hunter2" not in str(result)


@pytest.mark.parametrize("data", [None, [], "text", 5, {"buyers": 5}, {"buyers": [5, {"offers": [7]}]}])
def test_data_of_the_wrong_shape_is_a_fault_and_no_crash(data: object) -> None:
    assert check(data, {}).faults


def test_a_file_that_is_not_there_is_a_fault() -> None:
    result = check_file(ACCEPTANCE.with_name("nowhere.yaml"), {})
    assert "can't be read" in str(result.faults[0])


def test_a_json_file_is_read_by_its_name(tmp_path: Any) -> None:
    file = tmp_path / "m.json"
    file.write_text('{"currency": "EUR", "campaigns": [{"name": "Solar"}]}')
    data, marketplace = check_file(file, {}).usable()
    assert marketplace.currency == "EUR"
    assert data["campaigns"] == [{"id": "solar", "name": "Solar"}]


def test_amounts_are_exact_however_they_are_written() -> None:
    text = ACCEPTANCE.read_text("utf-8").replace('"18.00"', "18.1000")
    _, marketplace = check_text(text.encode(), SET).usable()
    assert marketplace.buyers[2].offers[0].static_price == Decimal("18.1")


def test_an_empty_key_is_as_good_as_an_absent_one() -> None:
    assert check_changed(((*ACME, "caps"), None), ((*ACME, "filters"), None)).faults == ()


def test_required_fields_may_be_one_text() -> None:
    _, marketplace = check(changed(((*ACME, "required_fields"), "zip_code, age ,")), SET).usable()
    assert marketplace.buyers[0].offers[0].required_fields == ("zip_code", "age")


def test_ten_thousand_entries_are_the_limit() -> None:
    data = acceptance()
    data["buyers"][0]["tags"] = ["t"] * 10_001
    assert "more than 10000 entries" in str(check(data, SET).faults[0])
