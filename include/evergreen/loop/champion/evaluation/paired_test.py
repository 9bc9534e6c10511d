"""Is the challenger's loss lower than the champion's? Paired by row, with errors clustered by day. Pure.

**Sign**: `delta` is the champion's mean loss minus the challenger's. It is positive if the challenger is better.

**Error**: rows of one day fail together, so days are what is counted. The mean difference of the losses gets the
cluster jackknife standard error (CR3), which stays honest with the dozen or so days a holdout has and with days of
unequal size (MacKinnon, Nielsen and Webb 2023, "Cluster-robust inference: a guide"). What a model gets wrong today it
tends to get wrong tomorrow, so the covariance of neighbouring days is added if it is positive (after Newey and
West 1987, lag 1). Student's t has as many degrees of freedom as days of equal size would hold the same information,
less one (Carter, Schnepel and Steigerwald 2017).

**Skewness**: a challenger that wins a little on most days and loses much on a few looks better in a short holdout than
it is, because the bad days may not have come. The t statistic is corrected for the skewness of the days (Hall 1992, "On
the removal of skewness by transformation") if that lowers the evidence, never if it would raise it.

**Level**: one that is no better is taken for superior in at most alpha / 2 of the looks if days are independent and
no more skewed one way than the other. With 5 to 28 days it is about alpha at alpha 0.05, and up to 1.5 alpha at alpha
0.02, if neighbouring days correlate by 0.4 or the days have exponential tails on the bad side.

**Looks**: alpha holds for one look at data chosen beforehand. If a champion meets several challengers, or a
challenger is judged again as labels land, each look gets an equal share (`looks`): by Bonferroni's inequality the
chance over all of them together is then at most `looks` times that of one, however the looks depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evergreen.core.values import ComparisonOutcome
from evergreen.loop.training.losses import Floats

Mode = Literal["superiority", "non_inferiority"]
FEWEST_CLUSTERS = 2
NO_SPREAD = 1e-9
"""A standard error below this part of the mean is rounding: every row differs by the same amount."""
ROUNDING = 1e-13
"""A difference below this part of the losses is rounding too: the models are equal."""


@dataclass(frozen=True)
class Estimate:
    """A mean over rows with its cluster-robust two-sided interval at level 1 - alpha.

    `low` and `high` are None if there are fewer than two clusters: nothing can be said then.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float
    """Two-sided, against a mean of 0"""


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion. Differences are champion minus challenger: positive if the challenger is better.

    `delta`, `low` and `high` are in units of the loss; the `relative_` ones in parts of the champion's loss. The
    interval has the level 1 - alpha, where `alpha` is what this look got: the caller's, divided by its `looks`.
    """

    verdict: ComparisonOutcome
    delta: float
    low: float | None
    high: float | None
    relative: float
    relative_low: float | None
    relative_high: float | None
    p_value: float
    """Two-sided, against no difference; below `alpha` if the interval leaves 0 out"""
    champion_loss: float
    challenger_loss: float
    clusters: int
    rows: int
    mode: Mode
    alpha: float
    margin: float


def compare(
    champion_losses: Floats,
    challenger_losses: Floats,
    clusters: Sequence[Any] | NDArray[Any] | pd.Series,
    *,
    alpha: float,
    margin: float = 0.0,
    mode: Mode = "superiority",
    seed: int = 0,
    looks: int = 1,
) -> Comparison:
    """Compare two models by their losses on the same rows.

    The challenger is `superior` if the whole interval of level 1 - alpha lies above 0, and `worse` if it lies below. In
    mode `non_inferiority`, one that is neither counts as `non_inferior` if its loss is certain (same level) to be at
    most 1 + margin times the champion's. All else is `inconclusive`: so are equal losses, and a single cluster.

    Args:
        champion_losses: float64, one a row; smaller is better.
        challenger_losses: of the same rows in the same order.
        clusters: what each row fails together with (its day): texts, whole numbers or instants, which sort in the order
            of time.
        alpha: 1 - level of the interval, in (0, 1).
        margin: part of the champion's loss that a non-inferior challenger may be worse by; mode superiority ignores it.
        mode: what the challenger has to show.
        seed: any value gives the same result: everything is in closed form and nothing is drawn at random.
        looks: looks among which alpha is shared equally.

    Raises:
        ValueError: nothing to compare, lengths that differ, a loss that is no finite number, a row without a cluster,
            or an option out of range.
    """
    _check_options(alpha, margin, mode, looks)
    ours, theirs, codes = _checked(champion_losses, challenger_losses, clusters)
    level = alpha / looks
    base = float(ours.mean())
    difference = ours - theirs
    if float(np.abs(difference).max()) <= ROUNDING * max(float(np.abs(ours).max()), float(np.abs(theirs).max())):
        difference = np.zeros_like(ours)
    found = estimate(difference, codes, alpha=level)
    within = estimate(difference + math.copysign(margin, base) * ours, codes, alpha=level)
    parts = [None if value is None or base == 0 else value / abs(base) for value in (found.mean, found.low, found.high)]
    return Comparison(
        verdict=_judge(found, within, mode),
        delta=found.mean,
        low=found.low,
        high=found.high,
        relative=parts[0] or 0.0,
        relative_low=parts[1],
        relative_high=parts[2],
        p_value=found.p_value,
        champion_loss=base,
        challenger_loss=float(theirs.mean()),
        clusters=int(codes.max()) + 1,
        rows=int(ours.size),
        mode=mode,
        alpha=level,
        margin=margin,
    )


def nothing(*, alpha: float, margin: float, mode: Mode) -> Comparison:
    """The comparison of no rows at all: inconclusive."""
    return Comparison(
        "inconclusive", 0.0, None, None, 0.0, None, None, 1.0, 0.0, 0.0, 0, 0, mode=mode, alpha=alpha, margin=margin
    )


def _check_options(alpha: float, margin: float, mode: str, looks: int) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    if not (margin >= 0 and math.isfinite(margin)):
        raise ValueError(f"margin is {margin}; it must be 0 or more, a part of the champion's loss")
    if mode not in get_args(Mode):
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(get_args(Mode))}")
    if looks < 1:
        raise ValueError(f"looks is {looks}; it must be 1 or more")


def _checked(champion: Floats, challenger: Floats, clusters: Any) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Both losses, and the number of each row's cluster in the order of time."""
    ours, theirs = np.asarray(champion, np.float64), np.asarray(challenger, np.float64)
    names = pd.Series(np.asarray(clusters))
    if not (ours.ndim == theirs.ndim == 1 and ours.size == theirs.size == len(names)):
        raise ValueError(
            f"champion's losses {ours.shape}, challenger's {theirs.shape} and clusters ({len(names)},) are not three "
            "lists of one length"
        )
    if not ours.size:
        raise ValueError("there are no rows to compare on")
    for owner, values in (("champion", ours), ("challenger", theirs)):
        if unfit := int((~np.isfinite(values)).sum()):
            raise ValueError(f"{unfit:,} of the {owner}'s {values.size:,} losses are no finite numbers")
    if unnamed := int(names.isna().sum()):
        raise ValueError(f"{unnamed:,} rows have no cluster")
    try:
        codes, _ = pd.factorize(names, sort=True)
    except TypeError:  # names of several types have no order but that of their texts
        codes, _ = pd.factorize(names.astype(str), sort=True)
    return ours, theirs, codes


def _judge(found: Estimate, within: Estimate, mode: Mode) -> ComparisonOutcome:
    if found.low is None or found.high is None:
        return "inconclusive"
    if found.low > 0:
        return "superior"
    if found.high < 0:
        return "worse"  # even within the margin: what is known to be worse is no remedy
    equal = found.low == found.high == 0
    if mode == "non_inferiority" and (equal or (within.low is not None and within.low > 0)):
        return "non_inferior"
    return "inconclusive"


def estimate(values: Floats, codes: NDArray[np.integer[Any]], *, alpha: float) -> Estimate:
    """Mean of `values` with an interval that holds when rows of one cluster, and neighbouring clusters, move together.

    Args:
        values: float64, one a row.
        codes: cluster of each row, as integers from 0 without gaps, in the order of time.
        alpha: 1 - level of the two-sided interval.
    """
    sizes = np.bincount(codes).astype(np.float64)
    mean = float(values.mean()) if values.size else 0.0
    if sizes.size < FEWEST_CLUSTERS:
        return Estimate(mean, None, None, 1.0)
    return _interval(mean, np.bincount(codes, weights=values - mean) / sizes.sum(), sizes / sizes.sum(), alpha)


def estimate_by_cluster(means: Floats, rows: Floats, *, alpha: float) -> Estimate:
    """The same if only the mean of each cluster and its number of rows are known, in the order of time."""
    shares = rows / rows.sum() if rows.size else rows
    mean = float((means * shares).sum())
    if means.size < FEWEST_CLUSTERS:
        return Estimate(mean, None, None, 1.0)
    return _interval(mean, shares * (means - mean), shares, alpha)


def _interval(mean: float, residuals: Floats, shares: Floats, alpha: float) -> Estimate:
    """Of a mean of clusters with these shares of the rows, and these parts of the deviation from it."""
    error = _standard_error(residuals, shares)
    if error <= NO_SPREAD * abs(mean) or error == 0.0:
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    degrees = max(1.0, 1 / float((shares**2).sum()) - 1)
    bend = _skewness(residuals) / math.sqrt(shares.size)
    needed = float(stats.t.isf(alpha / 2, degrees))
    return Estimate(
        mean,
        mean - error * max(needed, _bent_back(needed, bend)),
        mean + error * max(needed, _bent_back(needed, -bend)),
        _p_value(mean / error, bend, degrees),
    )


def _standard_error(residuals: Floats, shares: Floats) -> float:
    """Of the mean: cluster jackknife, with the covariance of neighbours if it is positive."""
    jackknife = float(((residuals / (1 - shares)) ** 2).sum())
    neighbours = 2 * float((residuals[1:] * residuals[:-1]).sum())
    return math.sqrt(jackknife + max(0.0, neighbours))


def _skewness(residuals: Floats) -> float:
    spread = float((residuals**2).mean())
    return float((residuals**3).mean()) / spread**1.5 if spread > 0 else 0.0


def _bent(t: float, bend: float) -> float:
    """Hall's transformation of a t statistic; `bend` is the skewness over the root of the number of clusters."""
    return t if abs(bend) < 1e-9 else ((1 + bend * t / 3) ** 3 - 1) / bend + bend / 6


def _bent_back(value: float, bend: float) -> float:
    """The t statistic whose transform is `value`."""
    return value if abs(bend) < 1e-9 else 3 * (float(np.cbrt(1 + bend * (value - bend / 6))) - 1) / bend


def _p_value(t: float, bend: float, degrees: float) -> float:
    """Two-sided, the side of `t` being judged by what is smaller: the statistic or its transform."""
    size, bend = abs(t), bend if t > 0 else -bend
    return min(1.0, 2 * float(stats.t.sf(min(size, _bent(size, bend)), degrees)))
