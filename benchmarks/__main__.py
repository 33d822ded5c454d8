"""``python -m benchmarks``."""

from benchmarks.group import main

if __name__ == "__main__":
    main()
