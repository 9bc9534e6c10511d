"""Two-sample tests whose false-alarm rate holds at any pair of sample sizes, for rows that fail together.

Evidently's own test is used if it is right: `ks` for numbers counts both samples. Its `chisquare` takes the
reference for the truth and a new category for p = 0, its `fisher_exact` refuses samples of unequal size, and nulls are
dropped before any test: categories and missing values get tests of their own.

Rows of one day share their weather, so a week is worth fewer rows than it has. Each test is therefore made on the rows
and its log p-value divided by the design effect (Rao and Scott 1981 do so for chi-square; the others follow, since
their exponents grow with the sample size in the same way). If rows do not depend on their cluster it is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import chi2_contingency, hypergeom, norm, rankdata

SMALLEST_EXPECTED = 5.0
"""Expected count below which a category is pooled with the other rare ones before chi-square (Cochran 1954)."""
LARGEST_EFFECT = 5.0
"""Effect reported if two samples do not overlap at all, in standard deviations."""
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Clusters = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Numbers from 0 that say to which cluster each row of the reference, and each current row, belongs."""


@dataclass(frozen=True)
class Outcome:
    """One test of one column.

    `effect` is in standard deviations of a shift that separates two normal samples as much (for shares: Cohen's h,
    the same scale): 0.2 is small, 0.5 medium, 0.8 large.
    """

    method: str
    statistic: float
    p_value: float
    effect: float
    design_effect: float


def compare_numbers(reference: pd.Series[float], current: pd.Series[float], design: float) -> Outcome:
    """Evidently's Kolmogorov-Smirnov test of two samples of float64 without nulls, neither of them empty."""
    from evergreen.loop.monitoring.drift.two_sample import kolmogorov_smirnov

    distance = _ks_distance(np.asarray(reference, np.float64), np.asarray(current, np.float64))
    p = kolmogorov_smirnov(reference, current)
    rows = len(reference) * len(current) / (len(reference) + len(current))
    log_p = math.log(p) if p > 0 else math.log(2) - 2 * rows * distance**2
    effect = min(2 * float(norm.ppf((1 + distance) / 2)), LARGEST_EFFECT)
    return Outcome("Kolmogorov-Smirnov", distance, math.exp(min(log_p / design, 0.0)), effect, design)


def compare_categories(reference: pd.Series[Any], current: pd.Series[Any], design: float) -> Outcome:
    """The three tests of `category_log_p` on two samples of labels without nulls, neither of them empty."""
    table = count_table(reference, current)
    p = math.exp(min(category_log_p(table) / design, 0.0))
    return Outcome("category shares", share_distance(table), p, share_distance(table), design)


def compare_missing(reference: NDArray[np.bool_], current: NDArray[np.bool_], design: float) -> Outcome:
    """Fisher's exact test on where values are missing; the statistic is the difference of the two shares."""
    log_p = missing_log_p(reference, current)
    share_reference, share_current = float(reference.mean()), float(current.mean())
    effect = abs(2 * math.asin(math.sqrt(share_current)) - 2 * math.asin(math.sqrt(share_reference)))
    return Outcome("missing values", share_current - share_reference, math.exp(log_p / design), effect, design)


def missing_log_p(reference: NDArray[np.bool_], current: NDArray[np.bool_]) -> float:
    """Log p-value that values are missing (True) as often in both samples: exact, twice Fisher's smaller tail."""
    table = np.array([[reference.sum()], [current.sum()]])
    return min(float(_share_log_p(table, len(reference), len(current))[0]) + math.log(2), 0.0)


def category_log_p(table: Counts) -> float:
    """Log p-value that both rows of a 2 x k table of counts (reference, current) come from one distribution.

    Three tests share the level (Bonferroni): each category's share (exact, over all categories), all shares together
    (chi-square of homogeneity, rare ones pooled), and the share of rows whose category the reference never saw. What
    is pooled depends on the margins alone, so the p-value is one of the permutation distribution.
    """
    table = table[:, table.sum(axis=0) > 0]
    logs = (_one_category(table), _all_categories(table), unseen_log_p(table))
    return min(min(logs) + math.log(len(logs)), 0.0)


def unseen_log_p(table: Counts) -> float:
    """Log of a bound on the chance of as many current rows in categories without a reference row.

    A category with j rows in both samples falls into the current one whole with probability C(m, j) / C(n + m, j).
    Rows are drawn without replacement, so the categories are negatively associated and Chernoff's bound holds
    (Dubhashi and Ranjan 1998): it is exact enough for one new category and for a column of identifiers alike.
    """
    totals = table.sum(axis=0)
    rows, current = int(totals.sum()), int(table[1].sum())
    observed = int(table[1][table[0] == 0].sum())
    sizes, times = np.unique(totals[totals <= current], return_counts=True)
    if observed == 0 or len(sizes) == 0:
        return 0.0
    # log C(m, j) - log C(N, j), by lgamma: counts go into the thousands
    lg = np.vectorize(math.lgamma)
    log_whole = lg(current + 1.0) - lg(current - sizes + 1.0) - math.lgamma(rows + 1.0) + lg(rows - sizes + 1.0)

    def exponent(tilt: float) -> float:
        grown = np.logaddexp(np.log1p(-np.exp(np.minimum(log_whole, -1e-12))), log_whole + tilt * sizes)
        return float((times * grown).sum() - tilt * observed)

    found = minimize_scalar(exponent, bounds=(0.0, 50.0), method="bounded", options={"xatol": 1e-3})
    return min(float(found.fun), 0.0)


def share_distance(table: Counts) -> float:
    """Distance of two rows of shares: twice the angle between their square roots (Bhattacharyya).

    With two categories this is Cohen's h.
    """
    shares = table / table.sum(axis=1, keepdims=True)
    return 2 * math.acos(min(float(np.sqrt(shares[0] * shares[1]).sum()), 1.0))


def design_effect(values: Floats, clusters: Clusters, *, categorical: bool) -> float:
    """How many times fewer rows the two samples are worth, because rows of one cluster resemble each other; >= 1.

    With intra-cluster correlation c, cluster shares w of each sample and sizes n and m, the variance of a difference
    of means is (1/n + 1/m) (1 + c (sum (w1 - w2)^2 / (1/n + 1/m) - 1)). Clusters that both samples share in equal
    parts (rows of the same days dealt at random) cancel out.

    Args:
        values: of the reference's rows, then of the current ones: float64, or category codes if `categorical`.
        clusters: of the reference's rows and of the current ones.
        categorical: take `values` as codes; else their ranks are what is compared, as Kolmogorov-Smirnov does.
    """
    if spread(clusters) <= 1:
        return 1.0
    return design_effect_of(_indicators(values) if categorical else rankdata(values)[:, None], clusters)


def design_effect_of(marks: Floats, clusters: Clusters) -> float:
    """`design_effect` of a difference of means of `marks` (rows x k: the reference's rows, then the current ones)."""
    wide = spread(clusters)
    if wide <= 1:
        return 1.0
    return max(1.0, 1 + _intra_cluster_correlation(marks, np.concatenate(clusters), len(clusters[0])) * (wide - 1))


def spread(clusters: Clusters) -> float:
    """Design effect of rows that are all alike within a cluster: how unequally the samples share the clusters."""
    n, m = len(clusters[0]), len(clusters[1])
    most = int(max(clusters[0].max(), clusters[1].max())) + 1
    shares = np.bincount(clusters[0], minlength=most) / n - np.bincount(clusters[1], minlength=most) / m
    return float((shares**2).sum()) / (1 / n + 1 / m)


def intra_cluster_correlation(marks: Floats, code: NDArray[np.int64]) -> float:
    """How alike the rows of one cluster are, 0 to 1 (`marks` is rows x k), in one sample."""
    return _intra_cluster_correlation(marks, code, len(code))


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p-values (Holm 1979): those at most alpha hold together with error alpha, whatever their dependence."""
    order = np.argsort(p_values)
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _intra_cluster_correlation(marks: Floats, code: NDArray[np.int64], n: int) -> float:
    """One-way analysis of variance of `marks` (rows x k) within each sample: a shift between them does not count."""
    between = within = size = 0.0
    freedom_between = freedom_within = 0
    for rows in (slice(0, n), slice(n, len(code))):
        part, group = marks[rows], code[rows]
        if not len(part):
            continue
        counts = np.bincount(group).astype(float)
        sums = np.stack([np.bincount(group, weights=column) for column in part.T], axis=1)
        means = sums / np.maximum(counts, 1)[:, None]
        between += float((counts[:, None] * (means - part.mean(axis=0)) ** 2).sum())
        within += float(((part - means[group]) ** 2).sum())
        size += len(part) - float((counts**2).sum()) / len(part)
        groups = int((counts > 0).sum())
        freedom_between += groups - 1
        freedom_within += len(part) - groups
    if freedom_between == 0 or freedom_within == 0 or between == 0:
        return 0.0
    typical = size / freedom_between
    mean_between, mean_within = between / freedom_between, within / freedom_within
    return max(0.0, (mean_between - mean_within) / (mean_between + (typical - 1) * mean_within))


def _indicators(codes: Floats, most: int = 50) -> Floats:
    """0/1 columns of the most frequent categories; the rest are too rare to weigh in a sum of squares."""
    values, counts = np.unique(codes, return_counts=True)
    kept = values[np.argsort(-counts)[:most]]
    return np.asarray(codes[:, None] == kept[None, :], dtype=np.float64)


def _one_category(table: Counts, most: int = 20) -> float:
    """Log of the smallest exact p-value over the categories' own 2 x 2 tables, times their number.

    Exact tails are slow, so only the `most` tables that stand out are looked at: the p-value can only grow by that.
    """
    n, m = int(table[0].sum()), int(table[1].sum())
    pairs = np.unique(table, axis=1)
    totals = pairs.sum(axis=0)
    distance = np.abs(pairs[1] - totals * m / (n + m)) / np.sqrt(totals)
    smallest = float(_share_log_p(pairs[:, np.argsort(-distance)[:most]], n, m).min())
    return min(smallest + math.log(2 * table.shape[1]), 0.0)


def _share_log_p(pairs: Counts, n: int, m: int) -> Floats:
    """Log of the smaller tail of the hypergeometric distribution for each column (reference, current) of `pairs`."""
    totals = pairs.sum(axis=0)
    upper = hypergeom.logsf(pairs[1] - 1, n + m, totals, m)
    lower = hypergeom.logcdf(pairs[1], n + m, totals, m)
    return np.asarray(np.nan_to_num(np.minimum(upper, lower), nan=0.0, neginf=-1e4), dtype=np.float64)


def _all_categories(table: Counts) -> float:
    """Log p-value of chi-square (homogeneity of two samples), categories with small expected counts pooled."""
    share = table.sum(axis=1).min() / table.sum()
    rare = table.sum(axis=0) * share < SMALLEST_EXPECTED
    pooled = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) * share >= SMALLEST_EXPECTED]
    if pooled.shape[1] < 2 or (pooled.sum(axis=1) == 0).any():
        return 0.0
    found = chi2_contingency(pooled, correction=False)
    p = float(found.pvalue)
    return math.log(p) if p > 0 else -float(found.statistic) / 2


def count_table(reference: pd.Series[Any], current: pd.Series[Any]) -> Counts:
    """How often each label occurs in two samples without nulls: int64, 2 x k, in the order of first occurrence."""
    codes, categories = pd.factorize(np.concatenate([reference.to_numpy(object), current.to_numpy(object)]))
    n, k = len(reference), len(categories)
    return np.stack([np.bincount(codes[:n], minlength=k), np.bincount(codes[n:], minlength=k)])


def _ks_distance(reference: Floats, current: Floats) -> float:
    """Largest distance between the two empirical distribution functions."""
    reference, current = np.sort(reference), np.sort(current)
    points = np.concatenate([reference, current])
    below = np.searchsorted(reference, points, side="right") / len(reference)
    return float(np.abs(below - np.searchsorted(current, points, side="right") / len(current)).max())


def kolmogorov_smirnov(reference: pd.Series[float], current: pd.Series[float]) -> float:
    """P-value of Evidently's `ks`: two samples of float64 without nulls, neither of them empty."""
    from evidently.legacy.calculations.stattests.registry import get_registered_stattest
    from evidently.legacy.core import ColumnType

    kind = ColumnType.Numerical
    return float(get_registered_stattest("ks", kind)(reference, current, kind, None).drift_score)
