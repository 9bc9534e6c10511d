"""Was the last promotion a mistake? The new champion against the one it replaced, on the rows both can be scored on.

The version that served before can still predict: once labels land, both losses of each row are known, and what makes a
week hard for one model makes it hard for the other. The paired difference takes all of that out, so a bad promotion is
seen in days where the course of the loss alone would need weeks.

Rows of one day fail together, so the unit is the day's mean difference. Its t statistic becomes a Bayes factor for
"the mean is above 0" against "it is 0" with normal priors on the standardised mean and the right Haar prior on the
variance: an e-process (Pérez-Ortiz et al. 2024, "E-statistics, group invariance and anytime valid testing"), so the
chance that it ever reaches 1 / alpha is at most alpha however often one looks. Where neighbouring days resemble each
other, the statistic is shrunk by as much as its variance grows: then that holds approximately. It starts with the
promotion and is not restarted: what goes wrong later is for `monitoring.harm`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evergreen.monitoring import words
from evergreen.monitoring.harm import SMALLEST_CLUSTER, Floats, join_small, log_risen

PRIOR_VARIANCES = (1 / 4, 1.0, 4.0)
"""Of the mean difference in standard deviations of a day, in equal parts"""
FEWEST_DAYS = 3


@dataclass(frozen=True)
class PairedCluster:
    """Rows that fail together, such as one day's, scored by both versions."""

    name: str
    rows: int
    loss: float
    """Mean loss of the version that serves"""
    before: float
    """Mean loss of the version that served before"""

    @property
    def regret(self) -> float:
        """What serving the new version has cost."""
        return self.loss - self.before


@dataclass(frozen=True)
class RegretResult:
    """Whether the version that served before is proven better, and by how much."""

    proven: bool
    e_value: float
    """Evidence against "the new version is no worse"; proven at 1 / alpha"""
    needed: float
    relative: float
    """Mean regret, in parts of the mean loss of the version before"""
    clusters: int
    sentence: str
    """About the version before, without its subject"""


def judge(clusters: Sequence[PairedCluster], *, alpha: float, margin: float) -> RegretResult:
    """Test what has been served since a promotion, oldest first.

    Args:
        clusters: of the partitions that the new version has served, as far as labels have landed.
        alpha: chance of ever calling a promotion a mistake that was none.
        margin: rise of the loss over that of the version before, relative to it, below which nothing is called.
    """
    values, rows = _means(clusters)
    days = len(values)
    if days < FEWEST_DAYS:
        return RegretResult(False, 1.0, 1 / alpha, 0.0, days, "too few labelled days to compare it with the champion.")
    e_value = math.exp(min(log_e_value(values), 600.0))
    level = float(np.average([c.before for c in clusters], weights=[c.rows for c in clusters]))
    relative = float(np.average(values, weights=rows)) / abs(level) if level else 0.0
    proven = e_value >= 1 / alpha and relative >= margin
    said = _sentence(proven, relative, e_value, alpha, days)
    return RegretResult(proven, e_value, 1 / alpha, relative, days, said)


def log_e_value(values: Floats) -> float:
    """Log of the Bayes factor for a mean above 0 against a mean of 0, of normal values of unknown variance.

    It is the mean over `PRIOR_VARIANCES` of half-normal priors (the two-sided factor of Rouder et al. 2009, times twice
    the posterior chance that the mean is positive); a mean of 0 has expectation 1, one below it less.
    """
    n = len(values)
    squares = float(((values - values.mean()) ** 2).sum())
    if n < 2 or squares <= 1e-300:
        return 0.0
    t = float(values.mean()) / math.sqrt(squares / (n - 1) / n * _inflation(values, squares))
    terms = [log_risen(t, n - 1, 1 + n * prior) for prior in PRIOR_VARIANCES]
    return float(np.logaddexp.reduce(terms)) - math.log(len(terms))


def _inflation(values: Floats, squares: float) -> float:
    """How many times larger the variance of the mean is because neighbouring days resemble each other; >= 1.

    The correlation of neighbours is biased by some -1 / n (Kendall 1954), which is put back; below 0 none counts.
    """
    residuals = values - values.mean()
    neighbours = float((residuals[1:] * residuals[:-1]).sum()) / squares + 1 / len(values)
    return 1 + 2 * max(0.0, neighbours)


def _means(clusters: Sequence[PairedCluster]) -> tuple[Floats, Floats]:
    """Mean regret and rows of each cluster: small ones joined with their next, as their variance is another."""
    if not clusters:
        return np.empty(0), np.empty(0)
    enough = SMALLEST_CLUSTER * float(np.median([c.rows for c in clusters]))
    return join_small([(c.rows, c.regret) for c in clusters], enough)


def _sentence(proven: bool, relative: float, e_value: float, alpha: float, clusters: int) -> str:
    change = "less" if relative >= 0 else "more"
    evidence = f"evidence {words.number(min(e_value, 1e6))} to 1, {1 / alpha:.0f} to 1 needed"
    return (
        f"on the same {clusters} days it would have lost {words.percent(abs(relative))} {change} than the champion "
        f"({evidence}: {'proven' if proven else 'no proof'})."
    )
