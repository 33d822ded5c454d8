"""Logs: one readable line per record, and nothing in it that must not be there."""

import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from auction import logs
from auction.redaction import mask_numbers, redact, redact_value

logger = logging.getLogger("tests.logs")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; the logging set-up is restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_of_a_worker_carries_its_number(stream: io.StringIO) -> None:
    logs.configure("INFO", "json", stream, worker=2)
    logger.info("Decided", extra={"action": "decided"})
    [line] = lines_of(stream)
    assert line["worker"] == 2


def test_a_record_is_one_json_object_with_its_action_and_fields(stream: io.StringIO) -> None:
    logs.configure("INFO", "json", stream)
    logger.info("Decided in %d ms", 12, extra={"action": "decided", "offer": "acme", "ms": 12.5})
    [line] = lines_of(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tests.logs",
        "action": "decided",
        "message": "Decided in 12 ms",
        "offer": "acme",
        "ms": 12.5,
    }


def test_every_record_has_an_action(stream: io.StringIO) -> None:
    logs.configure("INFO", "json", stream)
    logger.warning("careful")
    assert lines_of(stream)[0]["action"] == "tests.logs"


def test_text_is_one_line_per_record_with_the_exception_below(stream: io.StringIO) -> None:
    logs.configure("INFO", "text", stream)
    logger.info("two\nlines", extra={"action": "told", "offer": "a\nb"})
    try:
        raise ValueError("call from +13105551234")
    except ValueError:
        logger.exception("failed", extra={"action": "failing"})
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("INFO    told: two\\nlines offer=a\\nb")
    assert "failing: failed" in rest[0]
    assert rest[1] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: call from *********34"


def test_levels_are_kept_and_an_unknown_one_is_refused(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream)
    logger.info("quiet")
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="LOUD"):
        logs.configure("LOUD", "json", stream)


def test_the_access_log_is_off_and_warnings_are_logged(stream: io.StringIO) -> None:
    logs.configure("INFO", "json", stream)
    logging.getLogger("aiohttp.access").info("GET /?token=abc")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old ways", UserWarning, stacklevel=1)
    [line] = lines_of(stream)
    assert line["logger"] == "py.warnings"


SECRETS = ["hunter2", "s3cr3t-t0ken", "3105551234", "555-1234", "555 1234"]

CALLER = "+13105551234"


def leak_in_message() -> None:
    logger.error("call from %s with Authorization: Bearer s3cr3t-t0ken", CALLER)


def leak_in_written_numbers() -> None:
    logger.error("called (310) 555-1234, 310.555.1234, +1 310 555 1234 and 310-555-1234")


def leak_in_fields() -> None:
    logger.error(
        "fields",
        extra={
            "token": "s3cr3t-t0ken",
            "api_key": "hunter2",
            "X-API-Key": "hunter2",
            "PASSWORD": "hunter2",
            "caller_id": CALLER,
            "call_id": "call-13105551234-1",
            "number": 13105551234,
            "headers": {"Authorization": "Bearer s3cr3t-t0ken", "n": [CALLER]},
            "nested": [{"secret": "hunter2"}, {"note": "password: hunter2"}],
            "dsn": "postgresql://pingpost:hunter2@db/pingpost",
        },
    )


def leak_in_dsn() -> None:
    logger.error("can't reach postgresql://pingpost:hun%%ter2/hunter2@db:5432/pingpost")


def leak_in_json_text() -> None:
    logger.error('body {"password": "hunter2", "token": "s3cr3t-t0ken", "caller_id": "%s"}', CALLER)


def leak_in_query() -> None:
    logger.error("GET /v1/postbacks/conversion?token=s3cr3t-t0ken&call_id=1&api_key=hunter2")


def leak_in_exception() -> None:
    try:
        try:
            raise KeyError(f"caller {CALLER}")
        except KeyError as error:
            raise RuntimeError("password=hunter2 and Bearer s3cr3t-t0ken") from error
    except RuntimeError:
        logger.exception("broken", stack_info=True)


def leak_in_stack() -> None:
    logger.error("stacked", stack_info=True)  # the stack shows this line: +13105551234


def leak_in_object() -> None:
    class Buyer:
        def __repr__(self) -> str:
            return f"Buyer(secret='hunter2', number={CALLER!r})"

    logger.error("%r", Buyer(), extra={"buyer": Buyer()})


def leak_in_bytes() -> None:
    logger.error("%s", b'{"caller_id":"+13105551234"}', extra={"raw": b"token=s3cr3t-t0ken"})


def leak_in_bad_format() -> None:
    too_few = (CALLER,)
    logger.error("%d of %s", *too_few)


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize(
    "leak",
    [
        leak_in_message,
        leak_in_written_numbers,
        leak_in_fields,
        leak_in_dsn,
        leak_in_json_text,
        leak_in_query,
        leak_in_exception,
        leak_in_stack,
        leak_in_object,
        leak_in_bytes,
        leak_in_bad_format,
    ],
)
def test_no_secret_and_no_full_number_reaches_the_log(
    leak: Any, log_format: Any, stream: io.StringIO
) -> None:
    logs.configure("INFO", log_format, stream)
    leak()
    text = stream.getvalue()
    assert text
    assert [secret for secret in SECRETS if secret in text] == []


def test_text_that_is_no_utf_8_is_logged_all_the_same(stream: io.StringIO) -> None:
    logs.configure("INFO", "json", stream)
    logger.info("odd \udcff", extra={"name_sent": "\ud800"})
    assert lines_of(stream)[0]["message"] == "odd \\udcff"


def test_an_object_that_can_not_be_written_breaks_no_caller(stream: io.StringIO) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    logs.configure("INFO", "json", stream)
    logger.info("%s", Odd(), extra={"odd": Odd()})
    assert lines_of(stream)[0]["message"].startswith("unreadable log message")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T18:05:30.123Z",
        "2026-11-21 18:05:30,123",
        "listening on 127.0.0.1:18080",
        "deadline 1970.25 ms, code 305, zip 90210-1234",
        "the token lookup failed",
        "revision 123456",
        "key 'token' is missing",
    ],
)
def test_harmless_text_stays_readable(text: str) -> None:
    assert redact(text) == text


def test_identifiers_stay_searchable() -> None:
    ids = {"call_id": "3848276298220188511@switch-1", "ping_id": "4f12345678901234abcdef-0"}
    assert {key: redact_value(key, text) for key, text in ids.items()} == ids


def test_a_mask_keeps_the_last_two_digits() -> None:
    assert mask_numbers("from +13105551234 to 18005550100.") == "from *********34 to *********00."
