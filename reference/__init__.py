"""Pages of reference made from the code: ``python -m reference`` writes them below ``docs``."""
