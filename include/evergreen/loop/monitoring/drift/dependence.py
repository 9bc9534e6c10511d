"""The tests of how columns depend on each other (`joint`) as two more of a check's family, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.core.text import listed, quoted_name
from evergreen.loop.monitoring.drift import dependence_test, wording
from evergreen.loop.monitoring.drift.dependence_test import PairChange
from evergreen.loop.monitoring.drift.rank_scores import Column, Part
from evergreen.loop.monitoring.drift.two_sample import Clusters, Outcome

JOINT = "joint dependence"
"""Stands for how the columns depend on each other in lists of drifted columns."""
MOST_PAIRS = 3
"""Pairs of columns that a sentence names."""


@dataclass(frozen=True)
class Found:
    """One test and what it saw, in words."""

    outcome: Outcome
    change: str


def tests(columns: Sequence[Column], clusters: Clusters | None, alpha: float, min_effect: float) -> list[Found]:
    """Both tests of dependence, not yet adjusted for the others of the check; none if there is nothing to compare.

    Args:
        columns: of both samples.
        clusters: of their rows.
        alpha: level at which a pair is named.
        min_effect: smallest effect that counts, in standard deviations.
    """
    found = dependence_test.compare(columns, clusters)
    if found is None:
        return []
    # a pair that matters is reported before one that is more certain and too small to matter
    told = [c for c in found.pairs if c.effect >= min_effect] or list(found.pairs)
    lead, pattern = told[0], found.pattern
    named = [c for c in told if c.p_value <= alpha][:MOST_PAIRS] or [lead]
    return [
        Found(
            Outcome("correlation of each pair", lead.now - lead.before, lead.p_value, lead.effect, lead.design_effect),
            listed([_told(c) for c in named], MOST_PAIRS),
        ),
        Found(
            Outcome("pattern of all pairs", pattern.ratio, pattern.p_value, pattern.effect, pattern.design_effect),
            wording.change_of_pattern(pattern.ratio),
        ),
    ]


def _told(change: PairChange) -> str:
    one, other = change.parts
    ranks = one.aspect == other.aspect == "rank"
    return wording.change_of_correlation(_name(one), _name(other), change.before, change.now, ranks=ranks)


def _name(part: Part) -> str:
    if part.aspect == "category":
        return f"{part.column} = {quoted_name(str(part.category))}"
    if part.aspect == "missing":
        return f"nulls of {part.column}"
    return part.column if part.aspect == "rank" else f"extremes of {part.column}"
