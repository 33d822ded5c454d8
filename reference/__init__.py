"""Pages of reference made from the code: ``python -m reference`` writes them to ``docs/reference``."""
