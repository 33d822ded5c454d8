"""Settings: flags over environment over file, every fault at once."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from config.dsn import redact_dsn
from config.faults import ConfigError
from config.poolers import Pooler
from config.secret_box import new_key
from config.settings import (
    default_data_dir,
    load_settings,
    secrets_of,
    unknown_variables,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DSN", "PORT", "OPS_PORT", "HOST", "WORKERS", "SECRET_KEY", "OUTBOUND_ALLOW"):
        monkeypatch.delenv(f"PINGPOST_{name}", raising=False)
    for name in ("DATA_DIR", "BOOTSTRAP_TOKEN", "LOG_LEVEL", "LOG_FORMAT", "DATABASE_POOLER"):
        monkeypatch.delenv(f"PINGPOST_{name}", raising=False)


def a_file(folder: Path, text: str) -> Path:
    file = folder / "pingpost.toml"
    file.write_text(text)
    return file


def messages(error: ConfigError) -> dict[str, str]:
    return {fault.path: fault.message for fault in error.faults}


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.ops_port) == ("127.0.0.1", 8080, 9090)
    assert settings.dsn is None
    assert settings.secret_key_bytes is None
    assert settings.outbound_allow == ()


def test_a_pooler_is_in_front_of_a_server_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().database_pooler is Pooler.NONE
    monkeypatch.setenv("PINGPOST_DATABASE_POOLER", "Transaction")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert list(messages(caught.value)) == ["PINGPOST_DATABASE_POOLER"]
    monkeypatch.setenv("PINGPOST_DSN", "postgresql://pgbouncer:6432/pingpost")
    assert load_settings().database_pooler is Pooler.TRANSACTION
    monkeypatch.setenv("PINGPOST_DATABASE_POOLER", "statement")
    with pytest.raises(ConfigError, match="DATABASE_POOLER"):
        load_settings()


def test_overload_has_limits_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    assert (defaults.overload_static_lag_ms, defaults.overload_refuse_lag_ms) == (250, 1000)
    assert (defaults.overload_static_calls, defaults.overload_refuse_calls) == (2_000, 4_000)
    assert (defaults.overload_static_queued, defaults.overload_refuse_queued) == (1_000, 4_000)
    monkeypatch.setenv("PINGPOST_OVERLOAD_REFUSE_CALLS", "0")
    assert load_settings().overload_refuse_calls == 0
    monkeypatch.setenv("PINGPOST_OVERLOAD_REFUSE_CALLS", "-1")
    with pytest.raises(ConfigError, match="at least 0"):
        load_settings()


def test_flags_win_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = a_file(tmp_path, 'port = 1\nops_port = 2\nworkers = 3\nlog_level = "DEBUG"')
    monkeypatch.setenv("PINGPOST_OPS_PORT", "20")
    monkeypatch.setenv("PINGPOST_WORKERS", "30")
    settings = load_settings({"workers": 40, "host": None}, file)
    assert (settings.port, settings.ops_port, settings.workers) == (1, 20, 40)
    assert settings.log_level == "debug"
    assert settings.host == "127.0.0.1"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGPOST_DSN", "")
    assert load_settings().dsn is None


def test_all_faults_are_told_at_once_each_under_its_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = a_file(tmp_path, 'prot = 1\nlog_format = "xml"\nworkers = 1')
    monkeypatch.setenv("PINGPOST_PORT", "eighty")
    monkeypatch.setenv("PINGPOST_DSN", "mysql://u:hunter2@h/db")
    monkeypatch.setenv("PINGPOST_SECRET_KEY", "hunter2")
    monkeypatch.setenv("PINGPOST_BOOTSTRAP_TOKEN", "hunter2\n")
    monkeypatch.setenv("PINGPOST_OUTBOUND_ALLOW", "127.0.0.0/8,10.0.0.0/99")
    with pytest.raises(ConfigError) as raised:
        load_settings({"ops_port": 70_000}, file)
    found = messages(raised.value)
    assert found.keys() == {
        "PINGPOST_PORT",
        "PINGPOST_DSN",
        "PINGPOST_SECRET_KEY",
        "PINGPOST_BOOTSTRAP_TOKEN",
        "PINGPOST_OUTBOUND_ALLOW",
        "--ops-port",
        f"prot in {file}",
        f"log_format in {file}",
    }
    assert found["PINGPOST_PORT"] == "must be a whole number"
    assert found["--ops-port"] == "must be at most 65535"
    assert "32 bytes" in found["PINGPOST_SECRET_KEY"]
    assert "hunter2" not in str(raised.value)


def test_networks_are_separated_by_commas_or_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PINGPOST_OUTBOUND_ALLOW", "127.0.0.0/8, ::1")
    assert load_settings().outbound_allow == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    monkeypatch.delenv("PINGPOST_OUTBOUND_ALLOW")
    file = a_file(tmp_path, 'outbound_allow = ["10.0.0.0/8"]')
    assert load_settings({}, file).outbound_allow == (ip_network("10.0.0.0/8"),)


def test_the_ports_must_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGPOST_PORT", "9090")
    with pytest.raises(ConfigError, match="same as port"):
        load_settings()
    assert load_settings({"port": 0, "ops_port": 0}).port == 0


def test_a_redacted_dump_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    monkeypatch.setenv("PINGPOST_DSN", "postgresql://user:hunter2@db:5433/calls?password=hunter2")
    monkeypatch.setenv("PINGPOST_BOOTSTRAP_TOKEN", "hunter2")
    monkeypatch.setenv("PINGPOST_SECRET_KEY", key)
    monkeypatch.setenv("PINGPOST_TWILIO_AUTH_TOKEN", "hunter2,hunter22")
    monkeypatch.setenv("PINGPOST_JAMBONZ_SECRET", "hunter2")
    settings = load_settings()
    dump = settings.redacted()
    assert dump["dsn"] == "postgresql://user:***@db:5433/calls"
    assert dump["bootstrap_token"] == "***"
    shown = f"{dump} {settings!r} {settings}"
    assert "hunter2" not in shown
    assert key not in shown
    assert settings.secret_key_bytes is not None
    assert len(settings.secret_key_bytes) == 32


def test_an_odd_data_source_name_is_hidden_whole() -> None:
    assert redact_dsn("postgresql://[hunter2") == "***"


@pytest.mark.parametrize(("text", "words"), [("port = ", "is not TOML"), (None, "can't be read")])
def test_a_file_that_can_not_be_read_is_told(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "nowhere.toml" if text is None else a_file(tmp_path, text)
    with pytest.raises(ConfigError, match=words):
        load_settings({}, file)


def test_misspelt_variables_are_found() -> None:
    environ = {"PINGPOST_PORT": "1", "PINGPOST_PROT": "1", "PINGPOST_TEST_DSN": "x", "PATH": "/"}
    assert unknown_variables(environ) == ["PINGPOST_PROT"]


def test_the_data_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_dir() == Path("/data/pingpost")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/u")
    assert default_data_dir() == Path("/home/u/.local/share/pingpost")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/pingpost")


def test_secrets_of_signatures_may_be_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGPOST_TWILIO_AUTH_TOKEN", "first, second")
    settings = load_settings()
    assert secrets_of(settings.twilio_auth_token) == ("first", "second")
    assert secrets_of(settings.jambonz_secret) == ()


@pytest.mark.parametrize("text", ["first,", ",", "first,,second"])
def test_no_secret_of_a_signature_is_empty(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PINGPOST_JAMBONZ_SECRET", text)
    with pytest.raises(ConfigError, match="none of them empty"):
        load_settings()


@pytest.mark.parametrize("url", ["https://calls.example", "http://[::1]:8080", "https://a.b:1/"])
def test_the_public_address_is_an_origin(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PINGPOST_PUBLIC_URL", url)
    assert load_settings().public_url == url.rstrip("/")


@pytest.mark.parametrize("url", ["calls.example", "https://u:p@a.b", "https://a.b/x", "ftp://a.b"])
def test_what_is_no_origin_is_no_public_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PINGPOST_PUBLIC_URL", url)
    with pytest.raises(ConfigError, match="without a path"):
        load_settings()
