"""``python -m reference``: write the pages; with ``--check`` only say which are not current."""

import sys
from pathlib import Path

from reference.pages import PAGES, outdated, write_all

FOLDER = Path(__file__).parents[1] / "docs"


def main(arguments: list[str]) -> int:
    """0, or with ``--check`` 1 where a page is not what the code says."""
    if arguments == ["--check"]:
        old = outdated(FOLDER)
        for name in old:
            sys.stderr.write(f"{FOLDER / name} is not current: `make reference` writes it\n")
        return 1 if old else 0
    write_all(FOLDER)
    sys.stdout.write(f"{len(PAGES)} pages in {FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
