"""Webhooks in the marketplace file: what a template may name, and what can be sent."""

import re
from pathlib import Path
from typing import Any

import pytest

from config.check import CheckResult, check, check_text
from config.webhooks import CDR_TOKENS, EVENT_TOKENS

HOOK = {"id": "w", "url": "https://hooks.example/in", "events": ["call.ended"]}
PATH = "campaigns[0].webhooks[0]"


def checked(**changes: Any) -> CheckResult:
    return check({"campaigns": [{"id": "c", "webhooks": [{**HOOK, **changes}]}]}, {})


@pytest.mark.parametrize("name", [*CDR_TOKENS, *EVENT_TOKENS, "fields.zip_code", "data.attempt"])
@pytest.mark.parametrize("format_", ["json", "form"])
def test_what_a_template_may_name(name: str, format_: str) -> None:
    body = {"value": f"{{{{ {name} | default: none }}}}"}
    assert checked(format=format_, body=body, headers={"X-A": f"{{{{ {name} }}}}"}).faults == ()


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"body": {"a": ["{{ pign_id }}"]}}, ".body.a[0]", "unknown token `pign_id`"),
        ({"body": {"a": "{{ bid }}"}}, ".body.a", "known are answered_at, at"),
        ({"body": {"a": "{{ fields. }}"}}, ".body.a", "unknown token"),
        ({"body": {"a": "{{ data. }}"}}, ".body.a", "unknown token"),
        ({"body": {"a": "{{ event"}}, ".body.a", "no matching"),
        ({"headers": {"X-A": "{{ what }}"}}, ".headers.X-A", "unknown token"),
        ({"headers": {"x-pingpost-signature": "x"}}, "", "set by the service"),
        ({"headers": {"X-Pingpost-Event-Id": "x"}}, "", "set by the service"),
        ({"headers": {"Host": "x"}}, "", "can't be set"),
        ({"body": '{"a": {{ event }}'}, ".body", "is not JSON"),
        ({"body": "<a>{{ event }}", "format": "xml"}, ".body", "not well-formed XML"),
        ({"body": {"a": "b"}, "format": "xml"}, ".body", "must be text"),
        ({"body": {"a": {"b": "c"}}, "format": "form"}, ".body", "flat"),
        ({"batch": {"every_s": 60}, "format": "form"}, ".batch", "can't be sent as a form"),
        ({"batch": {"every_s": 0}}, ".batch.every_s", "at least 1"),
        ({"events": []}, ".events", ""),
        ({"events": ["call.lost"]}, ".events[0]", "one of"),
    ],
)
def test_a_fault_is_told_at_its_place(changes: dict[str, Any], path: str, words: str) -> None:
    [fault] = checked(**changes).faults
    assert fault.path.startswith(PATH + path)
    assert words in fault.message


@pytest.mark.parametrize(
    "changes",
    [
        {"body": '{"a": {{ event }}, "b": "{{ data.attempt }}"}'},
        {"body": "<a b='{{ event }}'>{{ price }}</a>", "format": "xml"},
        {"body": "a={{ event }}&b=c", "format": "form"},
        {"batch": {"every_s": 60, "max": 10}, "format": "xml"},
    ],
)
def test_what_can_be_sent(changes: dict[str, Any]) -> None:
    result = checked(**changes)
    assert result.faults == ()
    assert result.warnings == ()


def test_the_documented_webhooks_are_read() -> None:
    text = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text("utf-8")
    [documented] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    result = check_text(documented.encode(), {"HOOK_SECRET": "s", "CRM_KEY": "k"})
    assert (result.faults, result.warnings) == ((), ())
