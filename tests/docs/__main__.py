"""Try a page while it is written: ``python -m tests.docs docs/tutorial.md``.

Runs every block, prints what it printed and how that differs from the page, and goes on. A page
that takes a service for granted gets one with an embedded database.
"""

import sys
import tempfile
from pathlib import Path

from tests.docs.granted import granted, variables_of
from tests.docs.pages import ROOT, Page
from tests.docs.preloaded import a_starter
from tests.docs.surroundings import surroundings
from tests.docs.trying import run_and_compare, run_before


def main(name: str) -> int:
    """How many blocks did not do what the page shows."""
    page, wrong = Page(ROOT / name), 0
    with (
        tempfile.TemporaryDirectory() as folder,
        a_starter() as starter,
        surroundings(Path(folder), variables_of(page.service)) as around,
        granted(around, page.service, starter),
    ):
        for block, after in page.commands():
            run_before(around, block)
            said = run_and_compare(around, block, after)
            wrong += bool(said)
            sys.stdout.write(f"{said}\n" if said else f"{block.place}: as shown\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
