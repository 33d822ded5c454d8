"""The same fan-out by other people's means, measured beside ours in one run."""
