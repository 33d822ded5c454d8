"""The database's URL: its servers, what may be wrong with it, and that nothing of it is told."""

import pytest

from config.dsn import Server, fault_of_dsn, redact_dsn, servers_of


@pytest.mark.parametrize(
    ("dsn", "servers"),
    [
        ("postgresql://u:p@one/calls", [Server("one")]),
        ("postgresql://u:p@one:5433/calls", [Server("one", 5433)]),
        ("postgresql://one:5433,two/calls", [Server("one", 5433), Server("two")]),
        ("postgres://u@one,two:6/c?port=7", [Server("one", 7), Server("two", 7)]),
        ("postgresql://u@one,two/c?port=7,8", [Server("one", 7), Server("two", 8)]),
        ("postgresql://[::1]:5433,[fe80::2]/c", [Server("::1", 5433), Server("fe80::2")]),
        ("postgresql://u@/c?host=/run/a,/run/b", [Server("/run/a"), Server("/run/b")]),
        ("postgresql:///c?host=one,two:9", [Server("one"), Server("two", 9)]),
        ("postgresql://u@%2Frun%2Fa:5433/c", [Server("/run/a", 5433)]),
        ("postgresql:///calls", []),
    ],
)
def test_the_servers_of_a_url(dsn: str, servers: list[Server]) -> None:
    assert list(servers_of(dsn)) == servers
    assert fault_of_dsn(dsn) is None


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("mysql://u:hush@one/c", "must start with postgresql://"),
        ("postgresql://u:hush@one:port/c", "ports from 1 to 65535"),
        ("postgresql://u:hush@one:70000/c", "ports from 1 to 65535"),
        ("postgresql://u:hush@one,two/c?port=1,2,3", "one for each of its 2 hosts"),
        ("postgresql://u:hush@one,,two/c", "an empty place"),
        ("postgresql://u:hu@sh@one/c", "code odd characters"),
        ("postgresql://u:hush@[::1/c", "can't be read as a URL"),
        ("postgresql://u:hush@[::1]5433/c", "can't be read as a URL"),
        ("postgresql://u:hush@one,two/c?target_session_attrs=any", "read-write or primary"),
        ("postgresql://u:hush@one,two/c?target_session_attrs=standby", "read-write or primary"),
    ],
)
def test_a_url_that_can_not_work_is_told_without_its_text(dsn: str, words: str) -> None:
    fault = fault_of_dsn(dsn)
    assert fault is not None
    assert words in fault
    assert "hush" not in fault


@pytest.mark.parametrize("wanted", ["read-write", "primary"])
def test_a_url_may_ask_for_the_server_that_takes_writes(wanted: str) -> None:
    assert fault_of_dsn(f"postgresql://one,two/c?target_session_attrs={wanted}") is None


def test_a_redacted_url_names_every_server_and_no_password() -> None:
    dsn = "postgresql://user:hush@one:5433,two/calls?password=hush"
    assert redact_dsn(dsn) == "postgresql://user:***@one:5433,two/calls"
    assert redact_dsn("postgresql:///calls?host=/run/a&password=hush") == "postgresql:///calls"


@pytest.mark.parametrize(
    "dsn", ["postgresql://[hush", "postgresql://u:hu@sh@one/c", "postgresql://u:hu/sh@one/c"]
)
def test_a_url_that_can_not_be_read_is_hidden_whole(dsn: str) -> None:
    assert redact_dsn(dsn) == "***"
