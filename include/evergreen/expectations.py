"""The comparisons that a team's `expectations.py` can list beside those of Great Expectations (`gxe`).

Each compares a landed table with earlier partitions, or with the other table of its partition.
"""

from evergreen.loop.intake.comparisons.rules import (
    Categories,
    MatchesInputs,
    Nulls,
    Numbers,
    PeriodCovered,
    RowCount,
)

__all__ = ["Categories", "MatchesInputs", "Nulls", "Numbers", "PeriodCovered", "RowCount"]
