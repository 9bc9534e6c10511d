"""What newer challengers of a model have gained so far, and how soon the next one is due because of it. Pure.

A model whose challengers have been better again and again lives in a world that moves, and each partition that its
champion is older costs. The record is the gain of each past challenger on its held-out partitions, promoted or refused,
for each partition by which its labels were newer than those of the champion that it met.

**Pace**: the precision-weighted mean of these gains, with the variance between challengers added (random effects,
DerSimonian and Laird 1986). Only the newest `MOST` count, and of those whose held-out partitions overlap only the
newest: each day is evidence once.

**Interval**: a champion that is replaced every n partitions is (n - 1) / 2 older on average than one that is replaced
at each. n is as large as keeps that below `TOLERATED` of the loss, and never larger than the definition says. If the
pace may be chance, the definition holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from evergreen.core.names import PartitionKey
from evergreen.loop.champion.evaluation.paired_test import Comparison

MOST = 4
"""Newest challengers that count"""
SURE = 0.05
"""Two-sided p value of the pace from which the policy goes by it"""
TOLERATED = 0.01
"""Mean share of the loss that waiting for the next challenger may cost"""


ROUNDING = 1e-6
"""A smaller standard error, in parts of the loss, is none that days could show"""
LEAST = 1e-15
"""P value below which a smaller one tells nothing more: some eight standard errors"""


@dataclass(frozen=True)
class Met:
    """A challenger that was compared with its champion."""

    keys: tuple[PartitionKey, ...]
    """Held-out partitions it was compared on"""
    newer: int
    """Partitions by which its labels were newer than the champion's"""
    gain: float
    """Fall of the loss, in parts of the champion's"""
    p_value: float
    """Two-sided, against no difference"""
    judged: bool = True
    """Whether there were days enough to say anything"""

    @property
    def error(self) -> float:
        """Standard error of the gain, from its p value; infinite if nothing can be said."""
        if not self.judged:
            return math.inf
        if abs(self.gain) < ROUNDING:
            return ROUNDING  # equal models: that nothing was gained is known
        if self.p_value >= 1:
            return math.inf
        return max(abs(self.gain) / -NormalDist().inv_cdf(max(self.p_value, LEAST) / 2), ROUNDING)


def _two_sided(z: float) -> float:
    """P value of a normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2))


@dataclass(frozen=True)
class Pace:
    """Gain for each partition of newer labels, over past challengers."""

    gain: float
    error: float
    between: float
    """Variance of the true gains between challengers"""
    challengers: int

    @property
    def p_value(self) -> float:
        """Two-sided, against no gain."""
        return _two_sided(self.gain / self.error)

    @property
    def sure(self) -> bool:
        """Whether newer challengers are known to be better."""
        return self.gain > 0 and self.p_value < SURE


def met(comparison: Comparison, keys: Sequence[PartitionKey], newer: int) -> Met:
    """A comparison as the record keeps it."""
    return Met(tuple(keys), newer, comparison.relative, comparison.p_value, comparison.low is not None)


def pace(past: Sequence[Met]) -> Pace | None:
    """The pace of the newest challengers, given in the order of their comparisons; None if there is no usable one."""
    used, chosen = set[str](), list[Met]()
    newest_first = list(reversed(past))  # and stays so among those on the same partitions: sorting keeps equal ones
    for one in sorted(newest_first, key=lambda found: found.keys, reverse=True):
        if one.newer < 1 or not math.isfinite(one.error) or used.intersection(one.keys):
            continue
        used.update(one.keys)
        chosen.append(one)
    return _meta([(one.gain / one.newer, one.error / one.newer) for one in chosen[:MOST]])


def _meta(found: Sequence[tuple[float, float]]) -> Pace | None:
    """Random-effects mean of estimates with standard errors."""
    if not found:
        return None
    weights = [error**-2 for _, error in found]
    total = sum(weights)
    fixed = sum(w * gain for w, (gain, _) in zip(weights, found, strict=True)) / total
    spread = sum(w * (gain - fixed) ** 2 for w, (gain, _) in zip(weights, found, strict=True))
    scale = total - sum(w * w for w in weights) / total
    between = max(0.0, (spread - (len(found) - 1)) / scale) if len(found) > 1 else 0.0
    weights = [1 / (error**2 + between) for _, error in found]
    mean = sum(w * gain for w, (gain, _) in zip(weights, found, strict=True)) / sum(weights)
    return Pace(mean, sum(weights) ** -0.5, between, len(found))


def interval(known: Pace | None, usual: int) -> int:
    """Partitions after which the next challenger is due: `usual` unless newer ones are known to be better.

    A champion that is replaced every n partitions lags (n - 1) / 2 behind on average, which may cost `TOLERATED`.
    """
    if known is None or not known.sure:
        return usual
    return max(1, min(usual, 1 + int(2 * TOLERATED / known.gain)))
