"""What can go wrong in a run and is told in plain words."""


class BenchmarkError(Exception):
    """A run without a result; the message says why, and what can be done about it."""
