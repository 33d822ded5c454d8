"""``python -m auction`` is ``pingpost``."""

from auction.cli import main

if __name__ == "__main__":
    main()
