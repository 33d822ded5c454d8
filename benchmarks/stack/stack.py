"""All parts of a run together, in a temporary folder that goes with them."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stack.certificate import make_certificate
from benchmarks.stack.marketplace import Layout, MarketplaceOptions, make_marketplace
from benchmarks.stack.parts import (
    Buyers,
    Database,
    Service,
    ServiceOptions,
    running_buyers,
    running_database,
    running_service,
)
from benchmarks.stack.usage import Usage, total_of, usage_of


@dataclass(frozen=True, slots=True)
class StackOptions:
    """``buyers`` are asked on every call, of ``offers`` that are configured in all.

    ``services`` share one PostgreSQL, whose commits wait for a ``standby`` where there is one.
    """

    buyers: int = 10
    offers: int = 0
    layout: Layout = Layout.FILTERS
    delay_ms: float = 20.0
    transport: str | None = None
    tls: bool = False
    service: ServiceOptions = field(default_factory=ServiceOptions)
    services: int = 1
    standby: bool = False


@dataclass(frozen=True, slots=True)
class StackUsage:
    """What the three have used so far."""

    service: Usage
    database: Usage
    buyers: Usage

    @property
    def total_s(self) -> float:
        """The CPU time of all."""
        return self.service.cpu_s + self.database.cpu_s + self.buyers.cpu_s

    def since(self, earlier: "StackUsage") -> "StackUsage":
        """What was used after ``earlier``, with the memory of now."""
        return StackUsage(
            self.service.since(earlier.service),
            self.database.since(earlier.database),
            self.buyers.since(earlier.buyers),
        )


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that is running, with its data and logs in ``folder``."""

    folder: Path
    database: Database
    buyers: Buyers
    service: Service
    others: tuple[Service, ...] = ()

    def usage(self) -> StackUsage:
        """CPU time and memory, each with its children."""
        services = [usage_of(each.process.pid) for each in (self.service, *self.others)]
        parts = (self.database.process, self.buyers.process)
        return StackUsage(total_of(services), *(usage_of(part.pid) for part in parts))

    def resident(self) -> int:
        """The service's memory, in bytes."""
        return usage_of(self.service.process.pid).resident

    def check(self) -> None:
        """Raises BenchmarkError when one of them has ended."""
        services = (each.process for each in (self.service, *self.others))
        for process in (self.database.process, self.buyers.process, *services):
            process.check()


def _silently(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@asynccontextmanager
async def running_stack(
    options: StackOptions, waiting: Callable[[str], AbstractContextManager[None]] = _silently
) -> AsyncIterator[Stack]:
    """PostgreSQL, buyers and the service, ready; all ended and the data gone at the end.

    ``waiting`` shows what is waited for. Raises BenchmarkError when one of them can't be started.
    """
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(_temporary_folder()))
        tls = make_certificate(folder) if options.tls else None
        with waiting("Starting PostgreSQL and the buyers"):
            database = await running.enter_async_context(
                running_database(folder, standby=options.standby)
            )
            buyers = await running.enter_async_context(
                running_buyers(folder, options.buyers, options.delay_ms, tls)
            )
        marketplace = make_marketplace(_marketplace(options, buyers))
        with waiting(f"Starting the service with {max(options.offers, options.buyers):,} offers"):
            service = await running.enter_async_context(
                running_service(folder, database, marketplace, options.service, tls)
            )
            others = [
                await running.enter_async_context(
                    running_service(
                        folder, database, marketplace, options.service, tls, beside=service
                    )
                )
                for _ in range(options.services - 1)
            ]
        yield Stack(folder, database, buyers, service, tuple(others))


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pingpost-bench-", ignore_cleanup_errors=True)


def _marketplace(options: StackOptions, buyers: Buyers) -> MarketplaceOptions:
    return MarketplaceOptions(
        ports=buyers.ports,
        offers=options.offers,
        layout=options.layout,
        transport=options.transport,
        scheme="https" if options.tls else "http",
    )
