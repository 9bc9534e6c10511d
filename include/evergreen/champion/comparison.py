"""Is the challenger's loss lower than the champion's? Paired by row, with errors clustered by day. Pure.

Rows of one day fail together, so days are what is counted. The mean difference of the losses gets the cluster jackknife
standard error (CR3), which stays honest with the dozen or so days a holdout has, and is judged by Student's t with
clusters - 1 degrees of freedom (MacKinnon, Nielsen and Webb 2023, "Cluster-robust inference: a guide"). What a model
gets wrong today it tends to get wrong tomorrow, so the covariance of neighbouring days is added where it is positive
(after Newey and West 1987, lag 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evergreen.training.losses import Floats

Mode = Literal["superiority", "non_inferiority"]
Outcome = Literal["superior", "non_inferior", "inconclusive", "worse"]
FEWEST_CLUSTERS = 2
NO_SPREAD = 1e-9
"""A standard error below this part of the mean is rounding: every row differs by the same amount."""


@dataclass(frozen=True)
class Estimate:
    """A mean over rows with its cluster-robust two-sided interval at level 1 - alpha.

    `low` and `high` are None where there are fewer than two clusters: nothing can be said then.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float
    """Two-sided, against a mean of 0"""


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion. Differences are champion minus challenger: positive where the challenger is better.

    `delta`, `low` and `high` are in units of the loss; the `relative_` ones in parts of the champion's loss.
    """

    verdict: Outcome
    delta: float
    low: float | None
    high: float | None
    relative: float
    relative_low: float | None
    relative_high: float | None
    p_value: float
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
    clusters: Sequence[Any] | NDArray[Any],
    *,
    alpha: float,
    margin: float = 0.0,
    mode: Mode = "superiority",
) -> Comparison:
    """Compare two models by their losses on the same rows.

    The challenger is superior where the whole interval of level 1 - alpha lies above 0, so that one no better is taken
    for superior in at most alpha / 2 of the looks. It is worse where the interval lies below 0. In mode
    `non_inferiority`, one that is not worse counts as non-inferior where its loss is certain (same level) to be less
    than (1 + margin) times the champion's.

    Args:
        champion_losses: float64, one a row.
        challenger_losses: of the same rows in the same order.
        clusters: what each row fails together with; their names sort in the order of time.
        alpha: 1 - level of the interval.
        margin: relative loss that a non-inferior challenger may be worse by.
        mode: what the challenger has to show.
    """
    ours, theirs = np.asarray(champion_losses, np.float64), np.asarray(challenger_losses, np.float64)
    _, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    if not ours.shape == theirs.shape == codes.shape:
        raise ValueError(f"{ours.shape} champion's losses, {theirs.shape} challenger's, {codes.shape} clusters")
    found = estimate(ours - theirs, codes, alpha=alpha)
    within = estimate((1 + margin) * ours - theirs, codes, alpha=alpha)
    base = float(ours.mean()) if ours.size else 0.0
    parts = [None if value is None or base == 0 else value / base for value in (found.mean, found.low, found.high)]
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
        challenger_loss=float(theirs.mean()) if theirs.size else 0.0,
        clusters=int(codes.max(initial=-1)) + 1,
        rows=int(ours.size),
        mode=mode,
        alpha=alpha,
        margin=margin,
    )


def _judge(found: Estimate, within: Estimate, mode: Mode) -> Outcome:
    if found.low is not None and found.low > 0:
        return "superior"
    if found.high is not None and found.high < 0:
        return "worse"  # even within the margin: what is known to be worse is no remedy
    if mode == "non_inferiority" and within.low is not None and within.low > 0:
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
    residuals = np.bincount(codes, weights=values - mean) / sizes.sum()
    jackknife = float(((residuals / (1 - sizes / sizes.sum())) ** 2).sum())
    neighbours = 2 * float((residuals[1:] * residuals[:-1]).sum())
    error = math.sqrt(jackknife + max(0.0, neighbours))
    if error <= NO_SPREAD * abs(mean) or error == 0.0:
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    degrees = sizes.size - 1
    reach = float(stats.t.ppf(1 - alpha / 2, degrees)) * error
    return Estimate(mean, mean - reach, mean + reach, float(2 * stats.t.sf(abs(mean) / error, degrees)))
