"""What spans are told to be of, by the environment's own variables."""

import os

import pytest
from opentelemetry.sdk.resources import SERVICE_NAME

from auction.tracing.provider import resource


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "pingpost"),
        ({"OTEL_SERVICE_NAME": ""}, "pingpost"),
        ({"OTEL_SERVICE_NAME": "calls"}, "calls"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=calls"}, "calls"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, "b"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}, "pingpost"),
    ],
)
def test_a_service_is_named_by_its_environment_or_by_us(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str
) -> None:
    for variable in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    attributes = resource().attributes
    assert (attributes[SERVICE_NAME], attributes["process.pid"]) == (name, os.getpid())
