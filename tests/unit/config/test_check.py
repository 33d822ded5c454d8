"""Every fault of a marketplace at once, each at its place."""

from decimal import Decimal
from typing import Any

import pytest

from config.check import check, check_file, check_text
from config.faults import Step, render_path
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

NESTED: Any = "deep"
for _ in range(20):
    NESTED = {"x": NESTED}

CAMPAIGN = ("campaigns", 0)
PING_PATH = "buyers[0].offers[0].ping_post.ping"
# Where a value is put, the value, words of the fault, and where below that place it is told.
CASES: list[tuple[Any, ...]] = [
    (("currency",), "usd", "capital letters"),
    (("time_zone",), "America/Gotham", "not a known time zone"),
    (("time_zone",), "../../etc/passwd", "not a known time zone"),
    (("campagins",), [], "did you mean `campaigns`"),
    (("campaigns",), {}, "must be a list"),
    ((*CAMPAIGN, "id"), "a b", "letters, digits"),
    ((*CAMPAIGN, "id"), "x" * 65, "1 to 64"),
    ((*CAMPAIGN, "id"), 7, "must be text"),
    ((*CAMPAIGN, "name"), "x\ny", "control characters"),
    ((*CAMPAIGN, "numbers", 1), "800", "not a phone number"),
    ((*CAMPAIGN, "numbers", 1), 18005550101, "must be text"),
    ((*CAMPAIGN, "numbers", 2), "(800) 555-0100", "one place"),
    ((*CAMPAIGN, "allowed_countries"), ["XX"], "country", "[0]"),
    ((*CAMPAIGN, "max_call_s"), 0, "at least 1"),
    ((*CAMPAIGN, "auction", "budget_ms"), 49, "at least 50"),
    ((*CAMPAIGN, "auction", "budget_ms"), 60001, "at most"),
    ((*CAMPAIGN, "auction", "budget_ms"), "2000", "whole number"),
    ((*CAMPAIGN, "auction", "budget_ms"), True, "whole number"),
    ((*CAMPAIGN, "auction", "reply_reserve_ms"), 2000, ""),
    ((*CAMPAIGN, "auction", "rank"), "luck", "must be one of"),
    ((*CAMPAIGN, "reports_answered"), "yes", "true or false"),
    ((*CAMPAIGN, "no_route_destination"), "http://x", "must be sip"),
    ((*CAMPAIGN, "duplicates"), {"within_days": 0}, "", ".within_days"),
    ((*CAMPAIGN, "payouts", 0, "percent"), "5", "either"),
    ((*CAMPAIGN, "payouts", 0, "connected_s"), ABSENT, ""),
    (("sources", 1), {"id": "pub-17"}, "is the id of sources[0] already", ".id"),
    (("buyers", 1, "id"), "acme", "already"),
    (("buyers", 0, "type"), "reseller", "must be one of"),
    (("buyers", 0, "concurrency"), -1, "at least 0"),
    ((*COBALT, "id"), "acme-auto", "buyers[0].offers[0] already"),
    ((*ACME, "campaign"), "solar", "not there"),
    ((*ACME, "campaign"), ABSENT, "is missing"),
    ((*ACME, "priority"), 1001, "at most 1000"),
    ((*ACME, "weight"), 10001, "at most 10000"),
    ((*ACME, "caps", 0, "limit"), Decimal("5.5"), "whole"),
    ((*ACME, "caps", 0, "limit"), -1, "from 0"),
    ((*ACME, "caps", 0, "per"), "week", "one of"),
    ((*ACME, "caps", 1), {"measure": "calls", "per": "day", "limit": 1}, "second time"),
    (
        (*ACME, "caps", 2),
        {"measure": "revenue", "per": "day", "limit": "1.00001"},
        "4 decimals",
        ".limit",
    ),
    ((*ACME, "filters", 0, "op"), "like", "one of"),
    ((*ACME, "filters", 0, "value"), ABSENT, "is missing"),
    ((*ACME, "filters", 0, "value"), ["a"], "eq needs"),
    ((*ACME, "filters", 0, "value"), {"a": 1}, "text"),
    (
        (*ACME, "filters", 0),
        {"field": "age", "op": "between", "value": [65, 18]},
        "lower number first",
        ".value",
    ),
    ((*ACME, "filters", 0), {"field": "age", "op": "gte", "value": "old"}, "number", ".value"),
    ((*ACME, "required_fields"), ["a "], "spaces", "[0]"),
    ((*ACME, "destination", "uri"), "sip:", "must be sip"),
    ((*ACME, "destination", "uri"), "tel:911", "must be"),
    ((*ACME, "destination", "send_digits"), "1x", ""),
    ((*ACME, "conversions", 0, "connected_s"), ABSENT, "timer"),
    ((*ACME, "conversions", 0, "amount"), "10000.01", "at most"),
    ((*BEACON, "hours", "weekly"), {"mon": ["9-17"]}, "08:00", ".mon[0]"),
    ((*BEACON, "hours", "weekly"), {"mon": ["08:00-18:00"] * 201}, "200 ranges"),
    ((*BEACON, "hours", "weekly"), ["08:00-18:00"], "must be a mapping"),
    ((*CAMPAIGN, "auction", "bogus"), 1, "unknown key: remove it"),
    (("webhooks",), [], "unknown key: remove it"),
    (("budget_ms",), 5, "unknown key: remove it"),
    ((*ACME, "weigth"), 5, "did you mean `weight`"),
    (
        (*CAMPAIGN, "no_route_destination"),
        {"uri": "tel:+18005550100", "dail_timeout_s": 5},
        "did you mean `dial_timeout_s`",
        ".dail_timeout_s",
    ),
    ((*BEACON_PING, "auth", "nmae"), "X", "did you mean `name`"),
    ((*ACME_PING, "auth", "pasword"), "x", "unknown key: remove it"),
    ((*BEACON, "hours", "weekly"), {"mon": "09:00-17:00"}, "list", ".mon"),
    ((*BEACON, "hours", "closed_dates"), ["12/25"], "2026-12-25", "[0]"),
    ((*BEACON, "hours", "time_zone"), "Chicago", "known"),
    ((*COBALT, "static_price"), 18.5, "number such as"),
    ((*COBALT, "static_price"), "1,000", "number such as"),
    ((*COBALT, "static_price"), "1e3", "number such as"),
    ((*COBALT, "static_price"), Decimal("1e400"), "number"),
    ((*COBALT, "static_price"), Decimal("NaN"), "number"),
    ((*COBALT, "static_price"), "18.00001", "4 decimals"),
    ((*ACME, "ping_post", "minimum_bid"), "-1", ""),
    ((*ACME, "ping_post", "maximum_bid"), "34", "below"),
    ((*ACME, "ping_post", "fixed_amount"), "34", "below"),
    ((*ACME, "ping_post", "on_unknown"), "hope", "one of"),
    ((*ACME, "ping_post", "ping"), ABSENT, "is missing"),
    ((*ACME, "ping_post", "max_ping_rate"), {"per_second": 0}, "more than 0", ".per_second"),
    ((*ACME, "ping_post", "max_ping_rate"), {"shadow": True}, "is missing", ".per_second"),
    ((*ACME, "ping_post", "breaker"), {"failure_ratio": "1.5"}, "at most 1", ".failure_ratio"),
    ((*ACME, "ping_post", "breaker"), {"trickle": 0}, "more than 0", ".trickle"),
    ((*ACME, "ping_post", "breaker"), {"probes": 0}, "at least 1", ".probes"),
    ((*ACME, "ping_post", "breaker"), {"shadow": "yes"}, "true or false", ".shadow"),
    (
        (*ACME, "ping_post", "breaker"),
        {"failure_ratio": "0.3", "timeout_ratio": "0.4"},
        "above failure_ratio 0.3",
        ".timeout_ratio",
    ),
    ((*ACME_PING, "url"), "ftp://a/b", "http"),
    ((*ACME_PING, "url"), "http://user:pw@a/b", "use auth"),
    ((*ACME_PING, "url"), "http:///b", "no host"),
    ((*ACME_PING, "url"), "http://a:99999/", "can't be read"),
    ((*ACME_PING, "url"), "http://a/ b", "spaces"),
    ((*ACME_PING, "url"), "http://a/\r\nX: y", "spaces, control"),
    ((*ACME_PING, "url"), "http://a/#b", "fragment"),
    ((*ACME_PING, "url"), "http://a/{{ offer }}", "use query|into query"),
    ((*ACME_PING, "url"), "http://a/" + "b" * 3000, "at most 2048"),
    ((*ACME_PING, "method"), "DELETE", "one of"),
    ((*ACME_PING, "timeout_ms"), 0, "at least 1"),
    ((*ACME_PING, "timeout_ms"), 30001, "at most 30000"),
    ((*ACME_PING, "no_bid_statuses"), [99], "at least 100", "[0]"),
    ((*ACME_PING, "tiemout_ms"), 5, "did you mean `timeout_ms`"),
    ((*ACME_PING, "auth"), {"type": "oauth"}, "must have a `type`"),
    ((*ACME_PING, "auth", "token"), ABSENT, "is missing"),
    ((*ACME_PING, "auth", "token"), {"env": "A B"}, "variable", ".env"),
    ((*ACME_PING, "auth", "token"), {"env": "PINGPOST_BOOTSTRAP_TOKEN"}, "own settings", ".env"),
    ((*ACME_PING, "auth", "token"), {"vault": "x"}, "env: NAME"),
    ((*ACME_PING, "auth", "token"), "", "empty"),
    ((*ACME_PING, "auth", "token"), {"keep": False}, "true", ".keep"),
    ((*ACME_PING, "auth", "key"), "x", "unknown key"),
    ((*BEACON_PING, "auth", "name"), "Host", "connection"),
    ((*ACME_PING, "headers"), {"Host": "x"}, "connection", ".Host"),
    ((*ACME_PING, "headers"), {"Content-Length": "1"}, "", ".Content-Length"),
    ((*ACME_PING, "headers"), {"Transfer-Encoding": "x"}, "", ".Transfer-Encoding"),
    ((*ACME_PING, "headers"), {"X-A": "b\r\nX-C: d"}, "control", ".X-A"),
    ((*ACME_PING, "headers"), {"X A": "b"}, "header's name", '["X A"]'),
    ((*ACME_PING, "headers"), {"X-A": "b", "x-a": "c"}, "twice", ".x-a"),
    ((*ACME_PING, "headers"), {"authorization": "x"}, "auth", ".authorization"),
    ((*ACME_PING, "headers"), {"X-A": "{{ zip }}"}, "unknown token", ".X-A"),
    ((*ACME_PING, "query"), {"zip": "{{ fields.zip"}, "no matching", ".zip"),
    ((*ACME_PING, "query"), {"zip": ["a"]}, "must be text", ".zip"),
    ((*ACME_PING, "body"), {"a": [{"b": "{{ x }}"}]}, "unknown token", ".a[0].b"),
    ((*ACME_PING, "body"), {"{{ offer }}": 1}, "key", '["{{ offer }}"]'),
    ((*ACME_PING, "body"), NESTED, "levels deep", ".x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x"),
    ((*ACME_PING, "body"), [1] * 3000, "2000 values"),
    ((*ACME_PING, "body"), ["x" * 70000], "65536 characters"),
    ((*ACME_PING, "body"), {"a": Decimal("0.1234567890123456789")}, "exactly", ".a"),
    ((*ACME_PING, "body"), 5, "must be a mapping"),
    ((*ACME_PING, "body"), '{"a": {{ bid }', "expected|matching"),
    ((*ACME_PING, "body"), '{"a": {{ offer }},}', "is not JSON"),
    ((*BEACON_POST, "body"), {"a": {"b": 1}}, "flat"),
    ((*ACME_PING, "hash"), "md5", "one of|must be"),
    ((*BEACON_PING, "response", "amount", "at"), "a[", "JMESPath"),
    ((*BEACON_PING, "response", "amount", "at"), "f(a)", "calls `f`"),
    ((*BEACON_PING, "response", "amount"), ABSENT, "fixed_amount"),
    ((*BEACON_PING, "response", "amount", "equals"), ["1"], "accepted only"),
    (
        (*BEACON_POST, "response"),
        {"format": "xml", "accepted": {"at": "//a["}},
        "XPath",
        ".accepted.at",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "xml", "accepted": {"at": "//x:a"}},
        "XPath",
        ".accepted.at",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "text", "accepted": {"at": "ok=(a)(b)"}},
        "exactly one group",
        ".accepted.at",
    ),
    (
        (*BEACON_POST, "response"),
        {"format": "text", "accepted": {"at": "(a"}},
        "regular expression: missing",
        ".accepted.at",
    ),
    ((*BEACON_POST, "response"), {"format": "text"}, "is missing", ".accepted"),
]


@pytest.mark.parametrize(
    ("steps", "value", "words", "below"),
    [(*case, "")[:4] for case in CASES],
    ids=[f"{number}-{render_path(case[0])}" for number, case in enumerate(CASES)],
)
def test_a_fault_is_told_at_its_place(
    steps: tuple[Step, ...], value: object, words: str, below: str
) -> None:
    result = check_changed((steps, value))
    assert result.marketplace is None
    found = {fault.path: fault.message for fault in result.faults}
    path = render_path(steps) + below
    assert {other for other in found if not other.endswith("].campaign")} <= {path}
    assert any(word in found[path] for word in words.split("|"))


def test_a_static_price_needs_a_destination() -> None:
    [fault] = check_changed(((*COBALT, "destination"), ABSENT)).faults
    assert fault.path == "buyers[2].offers[0].static_price"
    assert "needs a destination" in fault.message


def test_a_payout_needs_an_amount_or_a_percentage() -> None:
    [fault] = check_changed(((*CAMPAIGN, "payouts", 0, "amount"), ABSENT)).faults
    assert fault.path == "campaigns[0].payouts[0].percent"
    assert "give either" in fault.message


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


@pytest.mark.parametrize(
    ("weekly", "below"),
    [
        (
            {"mon": ["25:00-26:00", "8-9"], "funday": []},
            [".mon[0]", ".mon[1]", ".funday"],
        ),
        (
            {"mon-fri": ["08:00-12:00", "11:00-13:00"], "sat": ["8-9"], "sun": "08:00-09:00"},
            [".mon-fri[1]", ".sat[0]", ".sun"],
        ),
        (
            {
                "mon": ["09:00-10:00", 5],
                "nonday-fri": ["8"],
                "tue": [None, "9"],
                "wed": ["24:00-1:00"],
            },
            [".mon[1]", ".nonday-fri", ".nonday-fri[0]", ".tue[0]", ".tue[1]", ".wed[0]"],
        ),
    ],
)
def test_every_fault_of_the_hours_is_told_at_its_place(weekly: object, below: list[str]) -> None:
    result = check_changed(((*BEACON, "hours", "weekly"), weekly))
    expected = sorted(f"buyers[1].offers[0].hours.weekly{path}" for path in below)
    assert sorted(fault.path for fault in result.faults) == expected


def test_several_faults_in_one_body_are_told_apart() -> None:
    body = {"a": "{{ x }}", "b": {"c": "{{ y }}"}, "d": "{{ offer }}"}
    result = check_changed(((*ACME_PING, "body"), body))
    assert [fault.path for fault in result.faults] == [
        f"{PING_PATH}.body.a",
        f"{PING_PATH}.body.b.c",
    ]


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
    [fault] = check_text(
        b"currency: USD\nbuyers:\n  - id: acme\n    offers:\n      - id: a\n", {}
    ).faults
    assert (fault.path, fault.line) == ("buyers[0].offers[0].campaign", 5)


def test_a_plain_secret_is_never_part_of_a_fault() -> None:
    secret = "hunter2\nand more"
    result = check_changed(((*ACME_PING, "auth", "token"), secret))
    assert [fault.path for fault in result.faults] == [f"{PING_PATH}.auth.token"]
    assert "hunter2" not in str(result)


@pytest.mark.parametrize(
    "data", [None, [], "text", 5, {"buyers": 5}, {"buyers": [5, {"offers": [7]}]}]
)
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
