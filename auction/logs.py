"""Logging: one line per record, JSON or text, with an ``action``, without secrets or numbers."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TextIO

import orjson

from auction.redaction import redact, redact_value

LogFormat = Literal["json", "text"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_QUIET = ("aiohttp.access", "asyncio")


def configure(
    level: str, log_format: LogFormat, stream: TextIO | None = None, *, worker: int | None = None
) -> None:
    """Send every record to ``stream`` (default: standard error), replacing what was set up before.

    ``level`` is a name such as ``INFO``; ``worker`` a number that every record carries. Raises
    ValueError for an unknown level.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    if worker is not None:
        handler.addFilter(partial(_of_worker, worker))
    handler.addFilter(RedactingFilter())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _of_worker(worker: int, record: logging.LogRecord) -> bool:
    record.worker = worker
    return True


class RedactingFilter(logging.Filter):
    """Makes a record safe before a formatter sees it: message, exception, stack, extra fields."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; the record is changed in place."""
        record.msg = redact(_message(record))
        record.args = None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for key in vars(record).keys() - _STANDARD:
            setattr(record, key, redact_value(key, getattr(record, key)))
        if not hasattr(record, "action"):
            record.action = record.name
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without a newline inside."""
        line: dict[str, object] = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": getattr(record, "action", record.name),
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_text:
            line["error"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """One line for people; exceptions follow below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's text."""
        fields = "".join(f" {key}={value}" for key, value in _extra(record).items())
        action = getattr(record, "action", record.name)
        head = (
            f"{_instant(record)} {record.levelname:<7} {action}: {_one_line(record.getMessage())}"
        )
        below = [text for text in (record.exc_text, record.stack_info) if text]
        return "\n".join([head + _one_line(fields), *below])


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a log call never breaks the caller
        return f"unreadable log message: {record.msg!r}"


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {
        key: value
        for key, value in vars(record).items()
        if key not in _STANDARD and key != "action"
    }


def _instant(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")
