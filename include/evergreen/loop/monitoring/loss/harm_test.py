"""Does the champion lose more than it should? A sequential test that may be looked at after every partition.

Which loss? The late rate of flights swings between 10 and 50 % a week, and with it the Brier score of any model, a
perfect one included: p (1 - p) is larger where p is nearer to one half. What tells a worse model from a harder week is
the *excess*: realised loss minus the loss the model itself expects of its predictions (p (1 - p) for Brier, the entropy
for log loss; of several classes the sum over them). It is zero on average for as long as the probabilities are right,
whatever the mix of easy and hard rows, and grows if they no longer are: a changed concept, a base rate the features do
not explain, labels gone bad, a class that the model does not know. A model that only gives values expects no loss;
there the excess is the loss itself.

Rows of one day fail together, so the unit is the cluster's mean excess. It is compared with the excess on the
champion's holdout at promotion, whose own uncertainty counts: a two-sample t statistic, turned into the Bayes factor
with half-normal priors on the standardised rise and the right Haar prior on the nuisance mean and variance. That is
an e-process (Rouder et al. 2009 for the formula; Pérez-Ortiz et al. 2024, "E-statistics, group invariance and anytime
valid testing"): the chance that it ever reaches 1 / alpha is at most alpha, however often one looks (Ville). Harm may
begin at any time, so one is started with each partition and they are averaged with weights that sum to 1 (Shin,
Ramdas and Rinaldo 2024): early good weeks cannot hide late bad ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from evergreen.core.names import PartitionKey
from evergreen.core.text import number, percent

PRIOR_VARIANCES = (1 / 16, 1 / 4, 1.0, 4.0)
"""Of the difference in standard deviations of a cluster, in equal parts: harm of a quarter of one up to several."""
SMALLEST_CLUSTER = 0.5
"""Part of the median cluster that a cluster must have in rows; smaller ones are joined with their next."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cluster:
    """Rows that fail together, such as one day's."""

    name: str
    rows: int
    loss: float
    """Mean realised loss"""
    expected: float
    """Mean loss that the model expected"""

    @property
    def excess(self) -> float:
        """Realised minus expected loss."""
        return self.loss - self.expected


@dataclass(frozen=True)
class Batch:
    """A labelled partition that the champion predicted."""

    key: PartitionKey
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True)
class HarmResult:
    """Whether the champion is proven worse than at its promotion, and by how much."""

    proven: bool
    since: str | None
    """Partition from which on the evidence is strongest; None if nothing has been measured"""
    e_value: float
    """Evidence against "as good as at promotion"; proven at 1 / alpha"""
    needed: float
    rise: float
    """Excess loss since then, over the excess at promotion"""
    relative_rise: float
    """`rise` over the mean loss at promotion"""
    partitions: int
    sentence: str


def judge(baseline: Sequence[Cluster], batches: Sequence[Batch], *, alpha: float, margin: float) -> HarmResult:
    """Test the partitions a champion has served, oldest first, against its holdout at promotion.

    Args:
        baseline: clusters of the holdout, predicted by this champion.
        batches: what it predicted since, as far as labels have landed.
        alpha: chance of an alarm over the life of a champion that stays as good as it was.
        margin: rise of the loss, relative to that at promotion, below which it is not called harm.
    """
    seen = [b for b in batches if b.clusters]
    sizes = [[c.rows for c in baseline], [c.rows for b in seen for c in b.clusters]]
    enough = SMALLEST_CLUSTER * min((float(np.median(s)) for s in sizes if s), default=0.0)
    before = _excess(baseline, enough)
    if len(before) < 2 or not seen:
        what = "no labels of its predictions have landed" if not seen else "its holdout has fewer than two clusters"
        return HarmResult(False, None, 1.0, 1 / alpha, 0.0, 0.0, 0, f"Nothing to judge the champion by yet: {what}.")
    parts = [_excess(b.clusters, enough) for b in seen]
    terms = [_start(before, np.concatenate(parts[n:]), n) for n in range(len(parts))]
    best = max(range(len(terms)), key=terms.__getitem__)
    e_value = math.fsum(math.exp(min(term, 600.0)) for term in terms)
    rise = float(np.concatenate(parts[best:]).mean() - before.mean())
    level = float(np.average([c.loss for c in baseline], weights=[c.rows for c in baseline]))
    # By money a holdout can have cost nothing: then what was expected to be lost there is the measure.
    level = level or float(np.average([c.expected for c in baseline], weights=[c.rows for c in baseline]))
    relative = rise / level if level > 0 else 0.0
    proven = e_value >= 1 / alpha and relative >= margin
    sentence = _sentence(proven, seen[best].key, relative, e_value, 1 / alpha, margin)
    return HarmResult(proven, seen[best].key, e_value, 1 / alpha, rise, relative, len(seen), sentence)


def _start(before: Floats, since: Floats, start: int) -> float:
    """Log of the weighted e-value for harm that began with the batch number `start`."""
    return log_e_value(before, since) - math.log((start + 1) * (start + 2))


def log_e_value(before: Floats, since: Floats) -> float:
    """Log of the Bayes factor for "the mean has risen" against "it has not": normal clusters of one variance.

    It is the mean over `PRIOR_VARIANCES` of half-normal priors: the two-sided factor, times twice the posterior chance
    that the difference is positive. If the variances differ, the larger standard error counts, which can only lower
    the evidence.
    """
    n, m = len(before), len(since)
    if n < 2:
        return 0.0
    size, freedom = n * m / (n + m), n + m - 2
    squares = float(((before - before.mean()) ** 2).sum() + ((since - since.mean()) ** 2).sum())
    separate = float(before.var(ddof=1)) / n + (float(since.var(ddof=1)) / m if m > 1 else 0.0)
    variance = max(squares / freedom / size, separate)
    if variance <= 1e-300:
        return 0.0
    t = float(since.mean() - before.mean()) / math.sqrt(variance)
    terms = [_log_risen(t, freedom, 1 + size * prior) for prior in PRIOR_VARIANCES]
    return float(np.logaddexp.reduce(terms)) - math.log(len(terms))


def _log_risen(t: float, freedom: int, shrunk: float) -> float:
    """Log Bayes factor of "above 0" against "0" for a t statistic (half-normal prior, right Haar prior on the scale).

    `shrunk` is 1 + the prior's variance times the number of clusters that the statistic is worth. The posterior of the
    standardised mean is a t distribution with one degree of freedom more.
    """
    gain = math.log1p(t**2 / freedom) - math.log1p(t**2 / (freedom * shrunk))
    pull = t * math.sqrt((shrunk - 1) / shrunk)
    spread = math.sqrt((freedom + t**2 / shrunk) / (freedom + 1))
    # The distribution function itself: scipy.stats.t checks and broadcasts its arguments for a hundred times as long.
    above = float(stdtr(freedom + 1, pull / spread))
    log_above = math.log(above) if above > 0 else -math.inf
    return -0.5 * math.log(shrunk) + (freedom + 1) / 2 * gain + math.log(2) + log_above


def _excess(clusters: Sequence[Cluster], enough: float) -> Floats:
    """Mean excess of each cluster, small ones joined."""
    return join_small([(c.rows, c.excess) for c in clusters], enough)[0]


def join_small(means: Sequence[tuple[int, float]], enough: float) -> tuple[Floats, Floats]:
    """Means and rows of clusters: of neighbours together if one alone has fewer rows than `enough`.

    Clusters of a like size have a like variance, which the t statistic takes for granted.

    Args:
        means: rows and mean of each cluster, in the order of time.
        enough: rows that each cluster is to have.
    """
    joined: list[tuple[int, float]] = []
    for count, mean in means:
        rows, total = count, count * mean
        if joined and joined[-1][0] < enough:
            rows, total = rows + joined[-1][0], total + joined.pop()[1]
        joined.append((rows, total))
    if len(joined) > 1 and joined[-1][0] < enough:
        rows, total = joined.pop()
        joined[-1] = (joined[-1][0] + rows, joined[-1][1] + total)
    return np.array([total / rows for rows, total in joined]), np.array([float(rows) for rows, _ in joined])


def _sentence(proven: bool, since: str, relative: float, e_value: float, needed: float, margin: float) -> str:
    evidence = f"evidence {number(min(e_value, 1e6))} to 1, {needed:.0f} to 1 needed"
    more = f"since {since} it loses {percent(relative)} more than it should"
    if proven:
        return f"The champion is proven worse than at its promotion: {more} ({evidence})."
    if e_value >= needed:
        return f"Not called harm: {more}, which is certain ({evidence}) but below the margin of {margin:.0%}."
    return f"The champion is not proven to lose more than it should ({evidence})."
