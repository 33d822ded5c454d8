"""The acceptance file as data, and ways to change it."""

import copy
from pathlib import Path
from typing import Any

from config.check import CheckResult, check
from config.faults import Step
from config.yaml_file import load_yaml

ACCEPTANCE = Path(__file__).parents[2] / "fixtures" / "marketplace.yaml"
SET = {"ACME_TOKEN": "a", "BEACON_KEY": "b"}
"""The environment that the acceptance file asks for."""

ABSENT = object()

ACME = ("buyers", 0, "offers", 0)
BEACON = ("buyers", 1, "offers", 0)
COBALT = ("buyers", 2, "offers", 0)
ACME_PING = (*ACME, "ping_post", "ping")
BEACON_PING = (*BEACON, "ping_post", "ping")
BEACON_POST = (*BEACON, "ping_post", "post")


def acceptance() -> dict[str, Any]:
    """A fresh copy of the acceptance file's data."""
    data = load_yaml(ACCEPTANCE.read_text("utf-8"))
    assert isinstance(data, dict)
    return data


def changed(*changes: tuple[tuple[Step, ...], object]) -> dict[str, Any]:
    """The acceptance data with values put at some places (``ABSENT`` takes a key away)."""
    data = acceptance()
    for steps, value in changes:
        owner: Any = data
        for step in steps[:-1]:
            owner = owner[step]
        if value is ABSENT:
            del owner[steps[-1]]
        elif isinstance(owner, list) and steps[-1] == len(owner):
            owner.append(copy.deepcopy(value))
        else:
            owner[steps[-1]] = copy.deepcopy(value)
    return data


def check_changed(*changes: tuple[tuple[Step, ...], object]) -> CheckResult:
    """What check says of the changed acceptance data, its secrets set."""
    return check(changed(*changes), SET)
