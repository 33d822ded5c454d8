"""``pingpost demo``: simulated buyers, a burst of calls through the service, what came of it."""
