"""The demo from start to end."""

import asyncio
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from auction.demo.buyer_office import conversion_reports
from auction.demo.embedded import embedded_service
from auction.demo.figures import Report, Scrape, make_report, read_export
from auction.demo.presentation import make_console, make_notes, progress_bar, show
from auction.demo.service import ServiceHandle, ServiceNeeds, StartService
from auction.demo.switch import DemoSwitch, Handled
from auction.demo.traffic import demo_calls
from buyers.simulator.models import Script
from buyers.simulator.script import load_script
from buyers.simulator.server import SimulatedBuyers

SETTLE_WITHIN_S = 4.0
"""How long metrics that are published now and then may take to show the last call."""

ENDING = (signal.SIGTERM, signal.SIGINT)

_HERE = Path(__file__).parent
MARKETPLACE = _HERE / "marketplace.yaml"
BUYERS = _HERE / "buyers.yaml"
_SETTLE_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``calls`` in all, ``rate`` a second on average; the ``seed`` settles traffic and buyers."""

    calls: int = 300
    seed: int = 7
    rate: float = 40.0


async def run_demo(
    options: DemoOptions,
    start_service: StartService = embedded_service,
    *,
    console: Console | None = None,
    notes: Console | None = None,
) -> int:
    """Play the demo and show what came of it; the exit code: 0 when both sides agree, else 1.

    Results go to ``console`` (standard output), progress to ``notes`` (standard error). SIGTERM
    and SIGINT end it early, with nothing left running, as 143 and 130. Raises what
    ``start_service`` raises.
    """
    console, notes = console or make_console(), notes or make_notes()
    demo = asyncio.create_task(_demo(options, start_service, console, notes))
    loop = asyncio.get_running_loop()
    ended_by: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        ended_by.append(number)
        demo.cancel()

    for number in ENDING:
        loop.add_signal_handler(number, end, number)
    try:
        return await demo
    except asyncio.CancelledError:
        if ended_by:
            return 128 + ended_by[0]
        raise
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


async def _demo(
    options: DemoOptions, start_service: StartService, console: Console, notes: Console
) -> int:
    script = load_script(BUYERS).model_copy(update={"seed": options.seed})
    with tempfile.TemporaryDirectory(prefix="pingpost-demo-", ignore_cleanup_errors=True) as folder:
        async with SimulatedBuyers(script, free_ports=True) as buyers:
            marketplace = Path(folder) / MARKETPLACE.name
            marketplace.write_text(marketplace_for(buyers, script), encoding="utf-8")
            needs = ServiceNeeds(marketplace, Path(folder) / "data")
            notes.print("Starting PostgreSQL, the service and the buyers")
            try:
                async with start_service(needs) as service:
                    handled, report = await _play(options, service, buyers, notes)
            except aiohttp.ClientError as error:
                console.print(f"The service does not say what came of it: {error}", markup=False)
                return 1
    show(console, report)
    return _exit_code(console, handled, report)


def marketplace_for(buyers: SimulatedBuyers, script: Script) -> str:
    """The demo's marketplace file with the ports on which the buyers really listen."""
    # The mark keeps a port that was put in from being taken for a scripted one.
    text = MARKETPLACE.read_text(encoding="utf-8")
    for buyer in script.buyers:
        host, port = script.address(buyer)
        text = text.replace(f"//{host}:{port}/", f"//{host}:{buyers.port(buyer.name)}#/")
    return text.replace("#/", "/")


async def _play(
    options: DemoOptions, service: ServiceHandle, buyers: SimulatedBuyers, notes: Console
) -> tuple[list[Handled], Report]:
    calls = list(demo_calls(options.calls, options.seed, options.rate))
    async with DemoSwitch(service) as switch:
        with progress_bar(notes, len(calls)) as bar:
            handled = await switch.play(calls, bar.step)
        decided = [each.call.call_id for each in handled if each.decision is not None]
        sold = await switch.records(decided)
        for report in conversion_reports(sold, options.seed):
            await switch.report_conversion(report)
        records = await switch.records(decided)
        export = read_export(await switch.export())
        return handled, await _settled(switch, handled, records, export, buyers.counts())


async def _settled(
    switch: DemoSwitch,
    handled: list[Handled],
    records: list[dict[str, Any]],
    export: Sequence[Mapping[str, str]],
    buyers: Mapping[str, Mapping[str, Any]],
) -> Report:
    """The report once its checks hold, or as it is when the time for that is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_WITHIN_S
    while True:
        report = make_report(handled, records, export, Scrape(await switch.metrics()), buyers)
        if report.sound or loop.time() > deadline:
            return report
        await asyncio.sleep(_SETTLE_EVERY_S)


def _exit_code(console: Console, handled: list[Handled], report: Report) -> int:
    faults = [each for each in handled if each.fault is not None]
    for each in faults[:5]:
        console.print(f"[red]{each.call.call_id}[/] {each.fault}", soft_wrap=True)
    return 0 if report.sound and not faults else 1
