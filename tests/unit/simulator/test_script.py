"""Scripts: every fault at once and where it is, secrets, the shipped examples."""

from pathlib import Path
from typing import Any

import pytest

from buyers.simulator.script import ScriptError, load_script, parse_script

FIXTURES = Path(__file__).parents[2] / "fixtures"


def faults_of(document: object) -> list[str]:
    with pytest.raises(ScriptError) as raised:
        parse_script(document, {})
    return list(raised.value.faults)


def buyer(**settings: Any) -> dict[str, Any]:
    return {"name": "acme", **settings}


def test_a_name_is_all_a_buyer_needs() -> None:
    script = parse_script({"buyers": [{"name": "acme"}]})
    assert script.buyers[0].ping.path == "/ping"
    assert script.buyers[0].post.behaviours == {"accept": 1}


def test_every_fault_is_reported_at_once_with_its_path() -> None:
    faults = faults_of(
        {
            "seed": "x",
            "typo": 1,
            "buyers": [
                buyer(port=70_000, auth={"type": "bearer"}),
                buyer(
                    ping={
                        "latency_ms": {"distribution": "normal", "mean": -1},
                        "bid": 12.5,
                        "behaviours": {"bidd": 1},
                    },
                    post={"behaviours": {"accept": 0}, "path": "post"},
                ),
            ],
        }
    )
    assert sorted(fault.split(": ")[0] for fault in faults) == [
        "buyers[0].auth.token",
        "buyers[0].port",
        "buyers[1].name",
        "buyers[1].ping.behaviours",
        "buyers[1].ping.bid.value",
        "buyers[1].ping.latency_ms.deviation",
        "buyers[1].ping.latency_ms.mean",
        "buyers[1].post.behaviours",
        "buyers[1].post.path",
        "seed",
        "typo",
    ]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (None, "script: "),
        ([], "script: "),
        ({"buyers": []}, "buyers: at least one"),
        ({"buyers": {}}, "buyers: "),
        ({"buyers": [1]}, "buyers[0]: "),
        ({"buyers": [buyer(ping={"path": "/_counts"})]}, "buyers[0].ping.path: "),
        ({"buyers": [buyer(ping={"path": "/a b"})]}, "buyers[0].ping.path: "),
        ({"buyers": [buyer(ping={"path": "/x"}, post={"path": "/x"})]}, "buyers[0].post.path: "),
        ({"buyers": [buyer(name="a b")]}, "buyers[0].name: "),
        ({"buyers": [buyer(auth={"type": "digest"})]}, "buyers[0].auth: "),
        ({"buyers": [buyer(auth={"type": "bearer", "token": {"env": "GONE"}})]}, "buyers[0].auth"),
        ({"buyers": [buyer(tls={"certificate": "/nowhere", "key": "/nowhere"})]}, "buyers[0].tls."),
    ],
)
def test_a_script_that_cannot_be_played_says_where(document: object, fault: str) -> None:
    assert any(found.startswith(fault) for found in faults_of(document)), faults_of(document)


def test_two_buyers_on_one_port_need_paths_of_their_own() -> None:
    faults = faults_of(
        {"buyers": [buyer(port=9101), {"name": "beacon", "port": 9101, "host": "127.0.0.1"}]}
    )
    assert faults == [
        "buyers[1].ping.path: 127.0.0.1:9101/ping is used twice",
        "buyers[1].post.path: 127.0.0.1:9101/post is used twice",
    ]


def test_a_behaviour_that_the_dialect_cannot_express_is_a_fault() -> None:
    dialect = {"accepted": {"ok": True, "price": "{{ amount }}"}, "refused": {"ok": False}}
    for behaviour, words in [
        ("wrong_currency", "needs {{ currency }}"),
        ("bad_destination", "needs {{ destination }}"),
        ("refusal_with_price", "needs dialect.refused_with_price"),
        ("doctype", "needs a dialect in xml"),
    ]:
        ping = {"dialect": dialect, "behaviours": {behaviour: 1}}
        (fault,) = faults_of({"buyers": [buyer(ping=ping)]})
        assert words in fault


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ({"format": "xml", "accepted": {}, "refused": "<no/>"}, "accepted: a template in xml"),
        ({"format": "text", "accepted": "y", "refused": ["n"]}, "refused: a template in text"),
        ({"format": "form", "accepted": {"a": {}}, "refused": {}}, "flat mapping"),
        ({"accepted": {"a": "{{ amont }}"}, "refused": {}}, "unknown token {{ amont }}"),
        ({"accepted": {}, "refused": {}, "content_type": "a\r\nb: c"}, "control characters"),
    ],
)
def test_a_dialect_that_cannot_be_written_is_a_fault(dialect: object, words: str) -> None:
    (fault,) = faults_of({"buyers": [buyer(ping={"dialect": dialect})]})
    assert fault.startswith("buyers[0].ping.dialect: ")
    assert words in fault


def test_secrets_come_from_the_environment_and_are_never_shown() -> None:
    document = {"buyers": [buyer(auth={"type": "bearer", "token": {"env": "ACME_TOKEN"}})]}
    script = parse_script(document, {"ACME_TOKEN": "s3cret"})
    assert "s3cret" not in repr(script)


def test_no_fault_repeats_a_secret() -> None:
    document = {"buyers": [buyer(auth={"type": "bearer", "token": ["s3cret"]})]}
    assert "s3cret" not in " ".join(faults_of(document))


def test_an_unreadable_file_is_one_fault(tmp_path: Path) -> None:
    broken = tmp_path / "buyers.yaml"
    broken.write_text("buyers: [")
    for path in (broken, tmp_path / "missing.yaml"):
        with pytest.raises(ScriptError) as raised:
            load_script(path)
        assert len(raised.value.faults) == 1


def test_a_script_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "buyers.json"
    path.write_text('{"buyers": [{"name": "acme", "ping": {"bid": "1.00"}}]}')
    assert load_script(path).buyers[0].name == "acme"


def test_the_acceptance_buyers_listen_where_their_marketplace_asks() -> None:
    script = load_script(FIXTURES / "buyers.yaml", {"ACME_TOKEN": "a", "BEACON_KEY": "b"})
    assert [(buyer.name, buyer.port, buyer.ping.path) for buyer in script.buyers] == [
        ("acme", 9101, "/ping"),
        ("beacon", 9102, "/rtb/ping"),
    ]
