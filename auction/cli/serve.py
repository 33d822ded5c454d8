"""Commands that run something: the service, the demo, simulated buyers."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auction.cli.group import CONFIG, DATA_DIR, MARKETPLACE_FILE, run, settings_of

if TYPE_CHECKING:
    from buyers.simulator.models import Script
    from buyers.simulator.server import SimulatedBuyers


@click.command("serve")
@click.option(
    "--marketplace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A marketplace file, loaded into an empty database or when it was the one loaded last.",
)
@click.option("--host", help="Address of both ports; 127.0.0.1 unless given.")
@click.option("--port", type=int, help="Port of the API; 8080 unless given.")
@click.option("--ops-port", type=int, help="Port of health and metrics; 9090 unless given.")
@click.option("--workers", type=int, help="Processes that decide calls; 1 unless given.")
@click.option("--no-migrate", is_flag=True, help="Do not bring the schema up to date.")
@CONFIG
@DATA_DIR
@click.pass_context
def serve_command(
    context: click.Context,
    marketplace: Path | None,
    host: str | None,
    port: int | None,
    ops_port: int | None,
    workers: int | None,
    data_dir: Path | None,
    *,
    no_migrate: bool,
) -> None:
    """Run the service until SIGTERM or SIGINT.

    With PINGPOST_DSN it uses that PostgreSQL, without one an embedded server in the data directory.
    On SIGTERM no new connection is taken, calls in flight are answered, the exit code is 0. With
    several workers one that dies is replaced, and SIGHUP replaces all without refusing a call.
    """
    from auction import logs
    from auction.app import running_service
    from auction.serving import serve
    from auction.workers.parent import running_crew

    settings = settings_of(
        context,
        host=host,
        port=port,
        ops_port=ops_port,
        workers=workers,
        data_dir=data_dir,
        migrate=False if no_migrate else None,
    )
    logs.configure(settings.log_level, settings.log_format)
    running = running_crew if settings.workers > 1 else running_service
    run(serve(running(settings, marketplace)))


@click.command("worker", hidden=True)
@click.argument("control", type=int)
def worker_command(control: int) -> None:
    """Decide calls for a `serve` that has started this with a socket at CONTROL."""
    from auction.workers.worker import work

    run(work(control))


@click.command("simulate-buyers")
@MARKETPLACE_FILE
def simulate_buyers_command(file: Path) -> None:
    """Run the buyers that a script FILE describes until SIGTERM or SIGINT.

    They listen on real ports, bid, refuse and misbehave as scripted. What they saw is served at
    /_counts on each port.
    """
    from buyers.simulator.script import ScriptError, load_script

    try:
        script = load_script(file)
    except ScriptError as error:
        raise click.ClickException(str(error)) from None
    run(_simulate(script))


@click.command("demo")
@click.option(
    "--calls", type=click.IntRange(1, 10_000), default=300, show_default=True, help="How many."
)
@click.option("--seed", default=7, show_default=True, help="Settles traffic and buyers' luck.")
@click.option(
    "--rate",
    type=click.FloatRange(1, 1000),
    default=40.0,
    show_default=True,
    help="Calls a second on average.",
)
def demo_command(calls: int, seed: int, rate: float) -> None:
    """Play a burst of calls: embedded PostgreSQL, simulated buyers, the real service over HTTP.

    Ends with a table and one decision explained; leaves nothing running.
    """
    from auction import logs
    from auction.demo import DemoOptions, run_demo

    logs.configure("error", "text")
    raise SystemExit(run(run_demo(DemoOptions(calls, seed, rate))))


def _announce(buyers: "SimulatedBuyers") -> None:
    for name, url in buyers.urls.items():
        click.echo(f"{name} listens on {url}", err=True)
    if buyers.control_url is not None:
        click.echo(f"counts of all at {buyers.control_url}/_counts", err=True)


async def _simulate(script: "Script") -> None:
    from buyers.simulator.server import run_simulator

    task = asyncio.current_task()
    assert task is not None, "commands run in a task"
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await run_simulator(script, ready=_announce)
    except asyncio.CancelledError:
        click.echo("stopped", err=True)
