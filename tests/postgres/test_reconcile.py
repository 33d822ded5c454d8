"""``pingpost reconcile`` from calls in the database and a buyer's file to table, CSV, exit code."""

import asyncio
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from click.testing import CliRunner

from auction.cli import main
from auction.domain.call import Call, Caller
from auction.domain.call_list import CallFilter
from auction.domain.ids import BuyerId
from auction.domain.next_attempt import AlreadyConverted
from auction.domain.plan import Candidate
from auction.domain.switch_events import EndedBy, EventType
from auction.marketplaces import apply_file
from auction.web.cdr_formats import CdrFormat, render_cdrs, render_head
from auction.web.record_view import View, render_listed
from config.secret_box import SecretBox, new_key, read_key
from storage.call_lists import CallLists
from storage.database import Database
from storage.events import CallEvents
from storage.keys import ServiceKey, service_key
from storage.ledger import PostgresLedger
from storage.records import CallRecords
from storage.vault import CallerVault
from tests.ledger_steps import a_candidate, a_recent_call, an_event, from_number, route
from tests.money_steps import fail_over, give_up
from tests.next_steps import a_failure

NEW_YORK = ZoneInfo("America/New_York")
SECRET_KEY = new_key()
MARKETPLACE = """
campaigns:
  - {id: auto, name: Auto, numbers: ["+18005550100"]}
buyers:
  - id: cobalt
    name: Cobalt
    offers:
      - id: cobalt-auto
        campaign: auto
        destination: {uri: "tel:+18885550142"}
        static_price: "18.00"
  - {id: idle, name: Idle}
"""
CALLS = 4


@dataclass(slots=True)
class Scene:
    """A database with calls that are over: 120 s connected, 128 s in all, 18.00 each."""

    dsn: str
    folder: Path
    starts: Sequence[datetime]
    database: Database
    vault: CallerVault

    def row(self, number: int, **changes: object) -> dict[str, object]:
        """The buyer's row of a call, in its own words and zone."""
        start = (self.starts[number] + timedelta(seconds=9)).astimezone(NEW_YORK)
        return {
            "ANI": f"(310) 555-{number:04}",
            "Call Start": start.strftime("%m/%d/%Y %I:%M:%S %p"),
            "Duration": "2:00",
            "Payout": "$18.00",
            **changes,
        }

    def file(self, *rows: dict[str, object], name: str = "cobalt.csv") -> Path:
        path = self.folder / name
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    async def export(self, buyer: str) -> Path:
        """Our own CSV of a buyer's calls, as ``GET /v1/calls`` streams it."""
        lists = CallLists(CallRecords(self.database, self.vault))
        page = await lists.list_calls(CallFilter(buyer=BuyerId(buyer)), None, 1000)
        assert page.next is None
        cdrs = [render_listed(each, View(None, None, unmasked=False)) for each in page.calls]
        path = self.folder / f"{buyer}-export.csv"
        path.write_bytes(render_head(CdrFormat.CSV) + render_cdrs(CdrFormat.CSV, cdrs))
        return path

    async def reconcile(self, path: Path, *options: str) -> tuple[int, str, str]:
        """The exit code, standard output and standard error."""
        environment = {"PINGPOST_DSN": self.dsn, "PINGPOST_SECRET_KEY": SECRET_KEY}
        result = await asyncio.to_thread(
            CliRunner().invoke, main, ["reconcile", str(path), *options], env=environment
        )
        return result.exit_code, result.stdout, result.stderr


@pytest_asyncio.fixture
async def scene(database: Database, dsn: str, tmp_path: Path) -> Scene:
    box = SecretBox(read_key(SECRET_KEY))
    marketplace = tmp_path / "marketplace.yaml"
    marketplace.write_text(MARKETPLACE)
    await apply_file(database, box, marketplace, {})
    call_box = SecretBox(await service_key(database, box, ServiceKey.CALL_DATA))
    identity = await service_key(database, box, ServiceKey.CALLER_IDENTITY)
    vault = CallerVault(call_box, identity)
    ledger = PostgresLedger(database, vault, new_epoch=lambda: 1)
    events = CallEvents(database, lambda _: None)
    starts = [await _play(ledger, events, number) for number in range(CALLS)]
    return Scene(dsn, tmp_path, starts, database, vault)


async def _play(ledger: PostgresLedger, events: CallEvents, number: int) -> datetime:
    call = a_recent_call(f"c-{number}", caller=from_number(number))
    await route(ledger, call, a_candidate("cobalt-auto", buyer="cobalt", price="18.00"))
    await events.record(an_event(call, EventType.ANSWERED, 8))
    await events.record(an_event(call, EventType.ENDED, 128, ended_by=EndedBy.CALLER))
    return datetime.now(UTC)


def figures(output: str) -> dict[str, list[str]]:
    """The table by class: calls, ours, theirs, difference."""
    rows = [line.split() for line in output.splitlines() if len(line.split()) == 5]
    return {name: cells for name, *cells in rows}


async def test_a_file_that_tells_the_same_ends_with_0(scene: Scene) -> None:
    path = scene.file(*(scene.row(number) for number in range(CALLS)))
    code, output, errors = await scene.reconcile(path, "--buyer", "cobalt")
    assert (code, figures(output)["matched"]) == (0, ["4", "72.00", "72.00", "0.00"]), errors
    assert figures(output)["total"] == ["4", "72.00", "72.00", "0.00"]


async def test_differences_are_told_class_by_class_and_written_down(scene: Scene) -> None:
    unknown: dict[str, Any] = {"ANI": "9175550000"}
    path = scene.file(
        scene.row(0),
        scene.row(1, Duration="2:07"),
        scene.row(2, Duration="60", Payout="$0.00"),
        scene.row(0, **unknown),
        scene.row(0, Payout="eighteen"),
        name="differs.csv",
    )
    output_path = scene.folder / "rows.csv"
    code, output, errors = await scene.reconcile(
        path, "--buyer", "cobalt", "--output", str(output_path)
    )
    assert code == 1, errors
    found = figures(output)
    assert found["matched"] == ["1", "18.00", "18.00", "0.00"]
    assert found["different_duration"] == ["1", "18.00", "18.00", "0.00"]
    assert found["different_duration+different_amount"] == ["1", "18.00", "0.00", "-18.00"]
    assert found["missing_at_them"] == ["1", "18.00", "0.00", "-18.00"]
    assert found["missing_at_us"] == ["1", "0.00", "18.00", "18.00"]
    assert found["total"] == ["5", "72.00", "54.00", "-18.00"]
    assert "In 1 of the different durations" in output
    assert "line 6: amount is none" in errors
    assert "1 rows can't be read" in errors
    text = output_path.read_text()
    assert len(text.splitlines()) == 6
    assert "+1310*****01" in text
    assert "3105550001" not in text + output + errors


async def test_call_ids_columns_and_a_time_of_ones_own(scene: Scene) -> None:
    rows = [{"ref": f"c-{number}", "Secs": 120, "Paid": 18} for number in (1, 3)]
    path = scene.file(*rows, name="ids.csv")
    options = ["--buyer", "cobalt", "--column", "call_id=ref", "--column", "duration=Secs"]
    code, _, errors = await scene.reconcile(path, *options)
    assert (code, "give --from and --to" in errors) == (2, True)
    since = (scene.starts[0] - timedelta(hours=1)).isoformat()
    until = (scene.starts[-1] + timedelta(hours=1)).isoformat()
    code, output, _ = await scene.reconcile(path, *options, "--from", since, "--to", until)
    assert code == 1
    assert (figures(output)["matched"][0], figures(output)["missing_at_them"][0]) == ("2", "2")


async def test_another_zone_is_not_guessed_but_hinted_at(scene: Scene) -> None:
    path = scene.file(scene.row(0), name="zone.csv")
    code, output, _ = await scene.reconcile(path, "--buyer", "cobalt", "--time-zone", "UTC")
    assert code == 1
    assert "Not one call matches" in output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--buyer", "nobody"), "there is no buyer 'nobody'"),
        (("--buyer", "cobalt", "--column", "amount=Nothing"), "no column 'Nothing'"),
        (("--buyer", "cobalt", "--column", "what=Payout"), "NAME=HEADER"),
        (("--buyer", "cobalt", "--time-zone", "Mars/Base"), "is no time zone"),
        (("--buyer", "cobalt", "--from", "noon"), "is no time"),
        (("--buyer", "cobalt", "--delimiter", "::"), "one character"),
        (("--buyer", "cobalt", "--time-format", "%s"), "no row tells a start"),
    ],
)
async def test_what_cannot_be_compared_ends_with_2(
    scene: Scene, options: tuple[str, ...], words: str
) -> None:
    path = scene.file(scene.row(0), name="good.csv")
    code, output, errors = await scene.reconcile(path, *options)
    assert (code, output) == (2, ""), errors
    assert words in errors


async def test_the_buyers_file_is_never_overwritten(scene: Scene) -> None:
    path = scene.file(scene.row(0), name="precious.csv")
    before = path.read_bytes()
    code, _, _ = await scene.reconcile(path, "--buyer", "cobalt", "--output", str(path))
    assert (code, path.read_bytes()) == (2, before)


async def test_a_buyer_without_calls_has_nothing_of_ours(scene: Scene) -> None:
    path = scene.file(scene.row(0), name="idle.csv")
    code, output, _ = await scene.reconcile(path, "--buyer", "idle")
    assert (code, figures(output)["total"][0]) == (1, "1")


COBALT = a_candidate("cobalt-auto", buyer="cobalt", price="18.00")
OTHER = a_candidate("beacon-auto", buyer="beacon", price="44.20")


@dataclass(slots=True)
class Lives:
    """Calls that came in a while before they were sent to anybody."""

    ledger: PostgresLedger
    events: CallEvents

    async def begin(self, call_id: str, candidate: Candidate = COBALT, **changes: Any) -> Call:
        """A call that has gone to its first buyer."""
        received_at = datetime.now(UTC) - timedelta(minutes=20)
        call = a_recent_call(call_id, received_at=received_at, **changes)
        await route(self.ledger, call, candidate)
        return call

    async def tell(self, call: Call, attempt: int, **ends: float | None) -> None:
        """When an attempt was answered and when it ended, in seconds."""
        for kind in (EventType.ANSWERED, EventType.ENDED):
            if (at := ends.get(kind.value)) is not None:
                told = {"attempt": attempt, "event_id": f"{call.call_id} {attempt} {kind.value}"}
                await self.events.record(an_event(call, kind, at, **told))


@pytest.fixture
def lives(scene: Scene) -> Lives:
    ledger = PostgresLedger(scene.database, scene.vault, new_epoch=lambda: 1)
    return Lives(ledger, CallEvents(scene.database, lambda _: None))


async def test_our_own_export_agrees_with_us(scene: Scene, lives: Lives) -> None:
    await lives.tell(await lives.begin("unanswered"), 1, ended=30)
    await lives.begin("live", caller=Caller())
    await lives.begin("a test", test=True)
    await lives.tell(await lives.begin("-looks like a formula"), 1, answered=5, ended=95.25)
    twice = await lives.begin("twice here")
    await fail_over(lives.ledger, twice, COBALT)
    await lives.tell(twice, 2, answered=40, ended=160)
    came = await lives.begin("came here", OTHER)
    await fail_over(lives.ledger, came, COBALT)
    await lives.tell(came, 2, answered=40, ended=70)
    left = await lives.begin("left")
    await fail_over(lives.ledger, left, OTHER)
    await lives.tell(left, 2, answered=40, ended=170)
    await give_up(lives.ledger, await lives.begin("being decided again"))
    sold = await lives.begin("sold at once")
    await lives.tell(sold, 1, answered=5)
    assert isinstance(await lives.ledger.open_next(a_failure(sold)), AlreadyConverted)
    await lives.tell(sold, 1, ended=65)

    for buyer in ("cobalt", "beacon"):
        code, output, errors = await scene.reconcile(await scene.export(buyer), "--buyer", buyer)
        assert code == 0, output + errors
        found = figures(output)
        assert found["matched"] == found["total"]
        assert found["total"][1:3] == {"cobalt": ["144.00"] * 2, "beacon": ["44.20"] * 2}[buyer]


@pytest.mark.parametrize("then", [COBALT, OTHER])
async def test_our_own_export_agrees_on_what_an_attempt_earned_that_had_been_given_up(
    scene: Scene, lives: Lives, then: Candidate
) -> None:
    call = await lives.begin("sold after all")
    await fail_over(lives.ledger, call, then)
    await lives.tell(call, 1, answered=5, ended=25)
    await lives.tell(call, 2, answered=40, ended=160)
    # The record of a call tells the connected time of its last attempt only.
    options = ("--buyer", "cobalt", "--tolerance-s", "100")
    code, output, errors = await scene.reconcile(await scene.export("cobalt"), *options)
    assert code == 0, output + errors
    assert figures(output)["total"] == ["5", "90.00", "90.00", "0.00"]
