"""Where bounds of numbers stand: near an end that is reached again and again, far from one that still moves. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evergreen.tools.propose.observed import ColumnFacts

_SURE = 4
"""Partitions from which on it counts whether an end is reached again"""
_REACHED = 0.8
"""Share of the partitions that reach an end from which on it is the column's own: an hour's 23, a season's 4"""
_NEAR = 0.25
"""Share of the range seen that is left free beyond such an end"""
_FAR = 2.0
"""The same beyond an end that moves, in ranges; to which comes `_WANDER` times what the ends themselves have moved"""
_WANDER = 3.0
_SKEWED = 10.0
"""The same for columns whose largest values lie far outside of the rest: the next one may lie farther still"""
_TREND = 8.0
"""Ranges more for a column whose ends go one way all the time: what has grown for half a history will grow further"""
_AT_ZERO = 0.01
"""Share of the range seen within which it must begin for 0 to be its bound: a mild winter's 1.5 degrees are no bound"""
_MONOTONE = 0.9
"""Share of steps that must not go back for a column to run on"""


@dataclass(frozen=True)
class Bounds:
    """Range seen, and the one allowed."""

    low: float
    high: float
    least: float
    most: float
    trend: bool
    """Its ends go one way, so that a mean of the past says little of the next"""


def runs_on(column: ColumnFacts) -> bool:
    """Whether a column only ever grows: ids, counters, years, running numbers, the reading of a meter.

    From partition to partition hardly any of its quantiles goes back, and it has left where it began: a partition's
    values lie beyond those of the first one, or are one value that rises.
    """
    found = [c for c in column.profiles if c.quantiles]
    if len(found) < _SURE:
        return False
    steps = [np.diff([c.quantiles[n] for c in found if c.quantiles]) for n in (0, 2, 4)]
    if min(float((step >= 0).mean()) for step in steps) < _MONOTONE or any(step.sum() <= 0 for step in steps):
        return False
    first, last = found[0].quantiles or (), found[-1].quantiles or ()
    apart = last[0] >= first[-1]
    return bool(apart and (column.kind == "integer" or min(float((step > 0).mean()) for step in steps) >= _MONOTONE))


def bounds_of(column: ColumnFacts) -> Bounds | None:
    """The range that values may have; None if there were no numbers."""
    lows = [c.low for c in column.profiles if c.low is not None]
    highs = [c.high for c in column.profiles if c.high is not None]
    if not lows:
        return None
    low, high = min(lows), max(highs)
    span = high - low
    if not span:
        return Bounds(low, high, low, high, trend=False)
    whole, skewed = column.kind == "integer", is_skewed(column, span)
    trends = max(abs(_trend(lows)), abs(_trend(highs)))
    least = low - _room([-value for value in lows], span, whole=whole, skewed=skewed)
    most = high + _room(highs, span, whole=whole, skewed=skewed)
    at_zero = _AT_ZERO * span
    if low >= 0 and (low <= at_zero or (whole and low <= 0.5 * span)):
        least = 0.0
    if high <= 0 and high >= -at_zero:
        most = 0.0
    return Bounds(low, high, least, most, trend=trends > 0.8)


def is_skewed(column: ColumnFacts, span: float) -> bool:
    """Whether nearly all values lie within a quarter of the range."""
    inner = [c.quantiles for c in column.profiles if c.quantiles]
    return max(q[-1] for q in inner) - min(q[0] for q in inner) < span / 4


def _room(ends: Sequence[float], span: float, *, whole: bool, skewed: bool) -> float:
    """What is left free beyond the largest of `ends`, which are those of the partitions in their order."""
    reached = sum(end == max(ends) for end in ends) / len(ends)
    if len(ends) >= _SURE and reached >= _REACHED:
        return max(1.0 if whole else 0.0, _NEAR * span)
    ranges = _SKEWED if skewed else _FAR
    return ranges * span + _WANDER * (max(ends) - min(ends)) + _TREND * max(0.0, _trend(ends)) ** 4 * span


def _trend(ends: Sequence[float]) -> float:
    """Spearman's correlation of `ends` with their order."""
    if len(ends) < _SURE or max(ends) == min(ends):
        return 0.0
    ranks = np.argsort(np.argsort(np.asarray(ends), kind="stable"), kind="stable").astype("float64")
    found = float(np.corrcoef(ranks, np.arange(len(ends), dtype="float64"))[0, 1])
    return found if math.isfinite(found) else 0.0
