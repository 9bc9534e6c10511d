"""What a team's `candidates.py` imports to bring an estimator of its own (docs/candidates.md)."""

from evergreen.loop.training.estimators.own import Given, Rows, candidate, codes, ranks
from evergreen.loop.training.estimators.spaces import Choice, Float, Integer

__all__ = ["Choice", "Float", "Given", "Integer", "Rows", "candidate", "codes", "ranks"]
