"""Several processes that decide calls, and the one that keeps them running."""
