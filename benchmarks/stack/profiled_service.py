"""``pingpost`` under cProfile, on CPU time, so that waiting costs nothing: ``PROFILE serve …``."""

import cProfile
import sys
import time

from auction.cli import main


def run(file: str, arguments: list[str]) -> None:
    """Run a command to its end and leave the profile in ``file``."""
    profile = cProfile.Profile(time.thread_time)
    try:
        profile.runcall(main, arguments)
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
