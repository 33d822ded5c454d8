"""Whether calls are traced, and what that changes: nothing where they are not."""

from typing import Protocol

from aiohttp.typedefs import Middleware

from auction.ports import BuyerGateway, NextLedger
from config.faults import ConfigError, Fault

_EXTRA_NEEDED = "needs OpenTelemetry: the extra `otel`, or the packages of requirements.lock"


class Tracing(Protocol):
    """What is put around the parts that calls go through."""

    @property
    def middlewares(self) -> tuple[Middleware, ...]:
        """What the requests of switches go through."""

    def ledger(self, ledger: NextLedger) -> NextLedger:
        """The ledger, its steps traced."""

    def gateway(self, gateway: BuyerGateway) -> BuyerGateway:
        """The gateway, its pings and posts traced."""

    async def close(self) -> None:
        """Send what is left, soon."""


class Untraced:
    """Every part as it is."""

    middlewares: tuple[Middleware, ...] = ()

    def ledger(self, ledger: NextLedger) -> NextLedger:
        """The same."""
        return ledger

    def gateway(self, gateway: BuyerGateway) -> BuyerGateway:
        """The same."""
        return gateway

    async def close(self) -> None:
        """There is nothing to send."""


def start_tracing(*, on: bool) -> Tracing:
    """Spans from here on, if they are wanted. Raises ConfigError without OpenTelemetry."""
    if not on:
        return Untraced()
    try:
        from auction.tracing.provider import Exporting  # noqa: PLC0415 - an extra, and it costs time
    except ModuleNotFoundError as error:
        raise ConfigError([Fault(("PINGPOST_TRACING",), _EXTRA_NEEDED)]) from error
    return Exporting()
