"""How fast and how small: every claim about cost as a ratio measured in one run. ``python -m experiments.bench``."""
