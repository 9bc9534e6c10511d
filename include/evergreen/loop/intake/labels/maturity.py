"""Are the labels of a partition complete enough to learn from and to judge by? Pure.

Labels that land before all are known are seldom a fair sample: a returned order is known at once, one that was kept is
known when its time has run out. What they say of the model is then wrong, and no test on the rows that are there can
tell. So a partition counts when the share of its inputs with a label is as large as usual.

What is usual is learned from the partitions before, oldest first: the median of the newest `WINDOW` that were
complete, less an allowance for chance. It never follows a fall by itself: a partition that is held back teaches
nothing. Before any was complete `START` is asked for; if the first partitions agree with each other on a lower share
of at least `FLOOR` (a feed that labels a part of its rows and never the rest), that is what is usual. All of it is a
function of the shares alone, whatever the order in which they became known.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evergreen.core.names import PartitionKey

WINDOW = 8
"""Complete partitions that say what is usual"""
START = 0.9
"""Share that is asked for while nothing is known, as `MatchesInputs` does"""
FLOOR = 0.5
"""Least share that is ever taken for usual without being told: below, rows with a label are the exception"""
STEADY = 3
"""Partitions in a row that must agree on a share below `START`"""
NARROW, WIDE = 0.05, 0.15
"""Allowance below the usual share: at least, and at most"""
DEVIATIONS = 3.0

Basis = Literal["definition", "usual", "start", "unmeasured", "unreadable"]


@dataclass(frozen=True)
class Coverage:
    """How many of the accepted inputs of partition `key` have a label; `labelled` is None if they are collected."""

    key: PartitionKey
    inputs: int
    labelled: int | None

    @property
    def share(self) -> float | None:
        """0 to 1; None if it is not known, or there are no inputs."""
        return None if self.labelled is None or self.inputs == 0 else self.labelled / self.inputs


@dataclass(frozen=True)
class Maturity:
    """Whether the labels of a partition count."""

    coverage: Coverage
    needed: float
    """Share from which on they do"""
    basis: Basis
    """Where `needed` comes from"""
    mature: bool


def judge(coverages: Sequence[Coverage], complete: float | None) -> dict[PartitionKey, Maturity]:
    """Judge the labelled partitions of a model, by key.

    Args:
        coverages: of every partition whose inputs and labels are accepted, oldest first.
        complete: the definition's `feed.labels.complete`; None learns what is usual.
    """
    if complete is not None:
        return {c.key: _against(c, complete, "definition") for c in coverages}
    first = _first_complete(coverages)
    history = [] if first is None else [coverages[first]]
    found = {}
    for place, coverage in enumerate(coverages):
        if first is None or coverage.share is None:
            found[coverage.key] = _against(coverage, START, "start")
            continue
        found[coverage.key] = _against(coverage, usual(history, coverage.inputs), "usual")
        # Those before the first complete one are judged by it, and teach nothing.
        if place > first and found[coverage.key].mature:
            history.append(coverage)
    return found


def usual(history: Sequence[Coverage], rows: int) -> float:
    """Least share that a partition of `rows` inputs must reach if those of `history` were complete."""
    shares = [c.share for c in history[-WINDOW:] if c.share is not None]
    return max(FLOOR, statistics.median(shares) - allowance(shares, rows))


def allowance(shares: Sequence[float], rows: int) -> float:
    """How far below the median of `shares` one of `rows` inputs may lie by chance, or because the feed varies."""
    chance = min(max(statistics.median(shares), 0.03), 0.97)
    spread = DEVIATIONS * math.sqrt(chance * (1 - chance) / rows)
    return min(max(NARROW, spread, 2 * statistics.pstdev(shares)), WIDE)


def _against(coverage: Coverage, needed: float, basis: Basis) -> Maturity:
    share = coverage.share
    if share is None:
        # Retention has removed its rows, so nothing reads them; what was made of them before stays what it was.
        return Maturity(coverage, needed, "unreadable", mature=True)
    return Maturity(coverage, needed, basis, mature=share >= needed)


def _first_complete(coverages: Sequence[Coverage]) -> int | None:
    """Place of the first partition that is complete on its own: by `START`, or because the ones before it agree."""
    for place, coverage in enumerate(coverages):
        share = coverage.share
        if share is None:
            continue
        if share >= START or _steady(coverages[max(0, place - STEADY + 1) : place + 1]):
            return place
    return None


def _steady(run: Sequence[Coverage]) -> bool:
    """Whether so many partitions in a row have been labelled alike, and not by exception."""
    shares = [c.share for c in run if c.share is not None]
    return len(shares) == STEADY and min(shares) >= FLOOR and max(shares) - min(shares) <= 2 * NARROW
