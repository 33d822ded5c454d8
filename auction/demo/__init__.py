"""``pingpost demo``: simulated buyers, a burst of calls through the service, what came of it."""

from auction.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
