"""What the switch asks and tells of callers, and where it sends those who go to a number."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from tests.e2e.report import Report
from tests.e2e.sip_marketplace import NUMBERS
from tests.e2e.sip_plans import (
    NUMBERED,
    PRICES,
    REFERRED,
    TOLD_OF,
    UNREACHED,
    Caller,
    Plan,
    callers,
)
from tests.e2e.sip_steps import DESK, GATEWAY, Cdr, Surroundings, surroundings
from tests.e2e.sipp import HOST, Sipp, start_callers

FIELDS = 'X-Pingpost-Fields: {"zip_code": "90210", "age": 41, "owner": true}'
ODD = {
    "nested": '{"zip_code": {"of": "the caller"}}',
    "cut-short": '{"zip_code": "90210"',
    "no-object": '"90210"',
    "twice": '{"zip_code": "90210", "zip_code": "90211"}',
}
WORD, TEL = "<sip:+13105550111@carrier.example>", "<tel:+13105550111>"
TRUNKS_WORD, TRUNKS_TEL = f"P-Asserted-Identity: {WORD}", f"P-Asserted-Identity: {TEL}"
FROM, SAID = "+13102500000", "+13105550111"
CALLERS: dict[str, tuple[str, tuple[str, ...], str | None]] = {
    "from": (FROM, (), FROM),
    "trunk": (FROM, (TRUNKS_WORD,), SAID),
    "trunk-only": ("anonymous", (TRUNKS_TEL,), SAID),
    "not-private": (FROM, (TRUNKS_WORD, "Privacy: none"), SAID),
    "id": (FROM, (TRUNKS_WORD, "Privacy: id"), None),
    "user": (FROM, (TRUNKS_TEL, "Privacy: critical;user"), None),
    "anonymous": ("anonymous", (), None),
}
"""Of each caller: the From, the headers, and the number that the service is told."""

Identity = tuple[str | None, str | None]
"""Of an INVITE: what is private of its caller, and the number that the trunk vouches for."""

SOLD = (GATEWAY, "ended", None)


async def _call(
    around: Surroundings, plan: Plan, *headers: str, number: str | None = None, name: str = ""
) -> Sipp:
    """One call with these headers; ``number``: what its From says."""
    caller = Caller(number, plan) if number else next(callers(plan, 1))
    return await start_callers(
        around.folder,
        plan.scenario,
        [caller],
        around.switch.port,
        at_once=1,
        headers=headers,
        name=f"callers-{plan.code}{name}",
    )


async def _all_right(report: Report, calls: Sequence[Sipp]) -> None:
    codes = await asyncio.gather(*(each.ended(within_s=30.0) for each in calls))
    for each in calls:
        assert not each.errors, each.errors
    report.equal("exit codes of sipp", [0] * len(calls), codes)


def _of(cdrs: Sequence[Cdr], sipp: Sipp) -> Cdr:
    [cdr] = [each for each in cdrs if each["call_id"].startswith(f"1-{sipp.process.pid}-")]
    return cdr


def _attempts(cdr: Cdr) -> list[tuple[str, str, str | None]]:
    return [(each["offer"], each["outcome"], each["reason"]) for each in cdr["attempts"]]


def _header(invite: str, name: str) -> str | None:
    """The first header of a name; None where there is none."""
    lines = [line.partition(":") for line in invite.splitlines()[1:]]
    return next((value.strip() for key, _, value in lines if key.lower() == name.lower()), None)


async def test_a_number_is_dialled_at_the_gateway_and_a_503_leads_on(
    tmp_path: Path, report: Report
) -> None:
    async with surroundings(tmp_path, cap=30) as around:
        calls = [
            await _call(around, NUMBERED),
            await _call(around, REFERRED, FIELDS),
            await _call(around, UNREACHED),
        ]
        odd = {
            name: await _call(around, NUMBERED, f"X-Pingpost-Fields: {word}", name=f"-{name}")
            for name, word in ODD.items()
        }
        await _all_right(report, [*calls, *odd.values()])
        cdrs = await around.settled(within_s=20.0)
        _went_to_the_number(report, around)
        numbered, referred, unreached = [_of(cdrs, each) for each in calls]
        report.equal("dialled", [SOLD], _attempts(numbered))
        unavailable = ("alpha-told", "failed", "dial_failed")
        report.equal("dialled after a 503", [unavailable, SOLD], _attempts(referred))
        failed = [(GATEWAY, "failed", "dial_failed")]
        report.equal("503 of the gateway", failed, _attempts(unreached))
        earned = [Decimal(cdr["revenue"]) for cdr in (numbered, referred, unreached)]
        report.equal("revenue", [PRICES[GATEWAY], PRICES[GATEWAY], Decimal()], earned)
        for name, call in odd.items():
            attempts = _attempts(_of(cdrs, call))
            report.equal(f"with fields that are odd, {name}: attempts", [SOLD], attempts)
        await _fields_were_told(report, around)
        await around.nothing_is_left_at_the_switch(report)


def _went_to_the_number(report: Report, around: Surroundings) -> None:
    port = around.switch.environment["SWITCH_GATEWAY"].rpartition(":")[2]
    dialled = f"INVITE sip:{NUMBERS[GATEWAY][4:]}@{HOST}:{port};user=phone SIP/2.0"
    lines = {each.splitlines()[0] for each in around.centres[GATEWAY].invited()}
    report.equal("what the gateway is asked for", {dialled}, lines)


async def _fields_were_told(report: Report, around: Surroundings) -> None:
    """What the trunk knows of a caller is asked with, and goes no further."""
    fields = {"zip_code": "90210", "age": 41, "owner": True}
    told = [each["fields"] for each in await around.told("alpha-told", "/ping")]
    report.equal("fields that the buyer is told", [fields], told)
    kept = {
        _header(each, "X-Pingpost-Fields")
        for offer in ("alpha-told", GATEWAY)
        for each in around.centres[offer].invited()
    }
    report.equal("fields that are sent on", {None}, kept)


async def test_a_callers_number_is_the_trunks_word_on_it_unless_the_caller_withholds_it(
    tmp_path: Path, report: Report
) -> None:
    async with surroundings(tmp_path, cap=30) as around:
        calls = {
            name: await _call(around, TOLD_OF, FIELDS, *headers, number=number, name=f"-{name}")
            for name, (number, headers, _) in CALLERS.items()
        }
        private = (TRUNKS_WORD, "Privacy: id")
        numbered = await _call(around, NUMBERED, *private)
        await _all_right(report, [*calls.values(), numbered])
        cdrs = await around.settled(within_s=20.0)
        for name, (_, _, wanted) in CALLERS.items():
            seen = _of(cdrs, calls[name])
            told = (seen["caller_id"], seen["offer"])
            report.equal(f"{name}: the caller, and who bought", (wanted, "alpha-told"), told)
        sent = sorted(str(each["caller_id"]) for each in await around.told("alpha-told", "/post"))
        told_of = sorted(str(wanted) for *_, wanted in CALLERS.values())
        report.equal("callers that the buyer is told", told_of, sent)
        await around.service.kill()
        await _all_right(report, [await _call(around, NUMBERED, *private, name="-fallen")])
        _shown(report, around)


def _shown(report: Report, around: Surroundings) -> None:
    """Only our gateway and our own desk are told the number of a caller who withholds it."""
    seen = Counter(_identity(each) for each in around.centres["alpha-told"].invited())
    wanted: list[Identity] = [("id", None), ("critical;user", None), ("none", WORD)]
    wanted += [(None, None), (None, None), (None, WORD), (None, TEL)]
    report.equal("privacy and number at a call centre", Counter(wanted), seen)
    for trusted in (GATEWAY, DESK):
        told = Counter(_identity(each) for each in around.centres[trusted].invited())
        report.equal(f"privacy and number at the {trusted}", {("id", WORD): 1}, told)


def _identity(invite: str) -> Identity:
    return _header(invite, "Privacy"), _header(invite, "P-Asserted-Identity")
