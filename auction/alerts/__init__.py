"""Rules that watch the figures: read, judged, told."""
