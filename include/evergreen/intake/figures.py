"""The arithmetic of comparisons: prediction intervals, divergences, and bounds that a person can read. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

UNSEEN = 0.005
"""Share that values never seen before are given where shares are compared: one of them is no infinite change."""


def interval(values: Sequence[float], alpha: float, room: float) -> tuple[float, float]:
    """The prediction interval of one more value after `values` (two or more), with the chance `alpha` to lie outside.

    A standard deviation below `room` is taken to be `room`: a few values that happen to be equal promise nothing.
    """
    import numpy as np
    from scipy import stats

    n = len(values)
    spread = max(float(np.std(values, ddof=1)), room)
    half = float(stats.t.ppf(1 - alpha / 2, n - 1)) * spread * math.sqrt(1 + 1 / n)
    centre = float(np.mean(values))
    return centre - half, centre + half


def divergence(observed: Mapping[str, float], usual: Mapping[str, float]) -> float:
    """Kullback-Leibler divergence of `observed` from `usual`, in nats, as Great Expectations computes it.

    Values that are not among the usual ones share the weight `UNSEEN`.
    """
    unseen = [value for value in observed if value not in usual]
    scale = 1 - UNSEEN if unseen else 1.0
    expected = {value: usual[value] * scale if value in usual else UNSEEN / len(unseen) for value in observed}
    return sum(p * math.log(p / expected[value]) for value, p in observed.items() if p > 0)


def mean_shares(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean share of each value; a partition without it counts as 0."""
    values = dict.fromkeys(value for part in shares for value in part)
    return {value: sum(part.get(value, 0.0) for part in shares) / len(shares) for value in values}


def below(value: float, scale: float) -> float:
    """`value` rounded down, with no more decimals than somebody reads where differences of `scale` do not count."""
    if not scale or not math.isfinite(scale) or not math.isfinite(value):
        return value
    digits = max(0, 1 - math.floor(math.log10(abs(scale))))
    return round(math.floor(round(value * 10**digits, 6)) / 10**digits, digits) if digits < 15 else value


def above(value: float, scale: float) -> float:
    """`value` rounded up likewise."""
    return -below(-value, scale)
