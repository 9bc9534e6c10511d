"""The arithmetic of comparisons: prediction intervals, divergences, and bounds that a person can read. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

UNSEEN = 0.005
"""Share that values never seen before are given if shares are compared: one of them is no infinite change."""


def interval(values: Sequence[float], alpha: float, room: float) -> tuple[float, float]:
    """The prediction interval of one more value after `values` (two or more), with the chance `alpha` to lie outside.

    A standard deviation below `room` is taken to be `room`: a few values that happen to be equal promise nothing.
    """
    import numpy as np
    from scipy.special import stdtrit  # what scipy.stats.t.ppf asks; importing scipy.stats takes a third of a second

    n = len(values)
    spread = max(float(np.std(values, ddof=1)), room)
    half = float(stdtrit(n - 1, 1 - alpha / 2)) * spread * math.sqrt(1 + 1 / n)
    centre = float(np.mean(values))
    return centre - half, centre + half


def share_error(shares: Sequence[float], rows: float) -> float:
    """Standard deviation of a share of `rows` rows drawn at random if it is the mean of `shares` (binomial)."""
    p = sum(shares) / len(shares)
    return math.sqrt(p * (1 - p) / max(rows, 1.0))


def quantile_errors(
    known: Sequence[Sequence[float]], positions: Sequence[float], drawn: Sequence[float], rows: float
) -> list[float]:
    """Standard deviations of the quantiles at `positions` of `rows` numbers drawn at random from those of `known`.

    Each of `known` is the smallest, the quantiles and the largest of as many numbers as `drawn` says. The error is
    sqrt(p (1 - p) / n) / f (Serfling, Approximation Theorems of Mathematical Statistics, 1980, 2.3.3), the density f
    taken from the distance to the neighbour that is farther for its share. The tails are taken to be exponential: the
    extreme of m numbers lies ln m of their means away (Renyi, On the theory of order statistics, 1953).
    """
    import numpy as np

    shares = np.asarray(positions)
    between = np.diff([0.0, *positions, 1.0])
    slopes = np.diff(np.asarray(known, dtype=float), axis=1) / between
    for side in (0, -1):
        slopes[:, side] /= np.maximum(1.0, np.log(np.maximum(1.0, between[side] * np.asarray(drawn))))
    usual = np.median(slopes, axis=0)
    errors = np.sqrt(shares * (1 - shares) / max(rows, 1.0)) * np.maximum(usual[:-1], usual[1:])
    return [float(error) for error in errors]


def divergence_error(values: int, rows: float, alpha: float) -> float:
    """What the divergence of `rows` rows drawn at random from `values` different values exceeds with chance `alpha`.

    Twice the number of rows times the divergence is a chi-square with a degree of freedom less than there are values
    (Wilks, The large-sample distribution of the likelihood ratio, 1938).
    """
    from scipy.special import gammaincinv  # what scipy.stats.chi2.ppf asks

    return float(gammaincinv((values - 1) / 2, 1 - alpha)) / max(rows, 1.0) if values > 1 else 0.0


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
