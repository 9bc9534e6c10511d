"""Is a realised loss what was to be expected, and is the loss that is estimated before labels more than that?

A probability expects a loss of itself; what it lost beyond that is its *excess* (see `loss.harm_test`), which is about
zero for as long as it is right, however hard the week was. A week is bad if its excess lies beyond what the excess of
the holdout and of the weeks before lets expect: a prediction interval with two sources of error, the clusters (days)
within a week and the weeks themselves. A week that was bad does not widen it: else one would excuse the next. Of a
model that gives values the excess is the loss, and the holdout's mean is what was expected.

One bad week is no proof of harm, which counts all weeks and allows for repeated looks. It is a fact about that week,
and who used its predictions wants to know. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from evergreen.core.names import PartitionKey
from evergreen.loop.monitoring.loss.estimated import Estimate
from evergreen.loop.monitoring.loss.harm_test import Cluster

LEVEL = 0.99
"""One-sided: of weeks that are as was expected, one in a hundred is called bad"""
FEWEST_PAIRS = 4
"""Partitions whose estimate and loss are both known, without which an estimate is shown and nothing more"""
NEWEST = 26
"""Partitions that what is expected is learned from"""


@dataclass(frozen=True)
class Expectation:
    """What a labelled partition lost, and what was to be expected of it."""

    key: PartitionKey
    loss: float
    expected: float
    high: float
    """Above this a loss is not explained by chance"""
    above: bool
    """Whether it is above that, and by more than the margin"""
    version: int | None = None
    """Version that predicted it"""

    @property
    def rise(self) -> float:
        """How much more than expected was lost, as a share of that."""
        return self.loss / self.expected - 1 if self.expected > 0 else 0.0


def expect(
    key: PartitionKey,
    now: Sequence[Cluster],
    holdout: Sequence[Cluster],
    before: Sequence[Sequence[Cluster]],
    *,
    margin: float,
) -> Expectation | None:
    """What was to be expected of the partition `key`; None if the holdout has fewer than two clusters.

    Args:
        key: the partition.
        now: its clusters.
        holdout: those that the champion was judged on.
        before: those of each partition that it served before, oldest first.
        margin: relative rise below which nothing is called bad, however certain.
    """
    if len(holdout) < 2 or not now:
        return None
    usual: list[Sequence[Cluster]] = [holdout]
    for group in [group for group in before if group][-NEWEST:]:
        if not _compare(key, group, usual, margin).above:
            usual.append(group)
    return _compare(key, now, usual, margin)


def _compare(
    key: PartitionKey, now: Sequence[Cluster], usual: Sequence[Sequence[Cluster]], margin: float
) -> Expectation:
    """`now` beside the excess of the holdout, the first of `usual`, and the spread of all of `usual`."""
    holdout = usual[0]
    loss = _mean(now, [c.loss for c in now])
    expected = max(0.0, _mean(now, [c.expected for c in now]) + _mean(holdout, [c.excess for c in holdout]))
    within, freedom = _within(usual)
    error = math.sqrt(within * (1 / len(now) + 1 / len(holdout)) + 2 * _between(usual, within))
    high = expected + float(student.ppf(LEVEL, freedom)) * error
    return Expectation(key, loss, expected, high, above=loss > high and loss > expected * (1 + margin))


def _mean(clusters: Sequence[Cluster], values: Sequence[float]) -> float:
    return float(np.average(values, weights=[c.rows for c in clusters]))


def _within(groups: Sequence[Sequence[Cluster]]) -> tuple[float, int]:
    """Variance of a cluster's excess about its group's mean, and its degrees of freedom, one at least."""
    squares, freedom = 0.0, 0
    for group in groups:
        excess = np.array([c.excess for c in group])
        squares += float(((excess - excess.mean()) ** 2).sum())
        freedom += len(excess) - 1
    return squares / max(freedom, 1), max(freedom, 1)


def _between(groups: Sequence[Sequence[Cluster]], within: float) -> float:
    """Variance of a partition's mean excess beyond what its clusters explain; 0 if fewer than three are known."""
    if len(groups) < 3:
        return 0.0
    means = np.array([_mean(group, [c.excess for c in group]) for group in groups])
    chance = float(np.mean([within / len(group) for group in groups]))
    return max(0.0, float(means.var(ddof=1)) - chance)


@dataclass(frozen=True)
class Pair:
    """What was estimated of an earlier partition, and what it lost."""

    estimated: float
    realised: float
    holdout: float
    """Of the champion that predicted it"""


@dataclass(frozen=True)
class Outlook:
    """What the partition without labels will probably lose, beside what the champion was promoted with."""

    loss: float
    low: float
    """Of the estimate, with the error that estimates have had lately"""
    expected: float
    """The holdout's loss"""
    costs: bool
    """Whether it will probably lose more than that"""

    @property
    def rise(self) -> float:
        """How much more is estimated than the holdout lost, as a share of that."""
        return self.loss / self.expected - 1 if self.expected > 0 else 0.0


def look_ahead(estimate: Estimate | None, past: Sequence[Pair], *, margin: float) -> Outlook | None:
    """Whether the partition will probably lose more than the champion's holdout; None if nothing is estimated.

    The estimate's own interval reckons with rows and days, and takes for granted that the concept stands still. How far
    estimates have been from what came counts as well: the larger of both errors is taken. As long as few estimates have
    been held against labels, nobody is woken by one.

    Args:
        estimate: of the partition.
        past: earlier partitions, oldest first.
        margin: relative rise below which nothing is said to cost, however certain.
    """
    if estimate is None:
        return None
    reach = estimate.loss - estimate.low
    errors = np.array([(p.realised - p.estimated) / p.holdout for p in past[-NEWEST:] if p.holdout > 0])
    proven = len(errors) >= FEWEST_PAIRS
    if proven:
        learnt = math.sqrt(float((errors**2).mean())) * estimate.holdout
        reach = max(reach, float(student.ppf(0.95, len(errors))) * learnt)
    low = estimate.loss - reach
    costs = proven and low > estimate.holdout and estimate.loss > estimate.holdout * (1 + margin)
    return Outlook(estimate.loss, low, estimate.holdout, costs)
