"""Would another version lose less than the champion? Both losses of the same rows, looked at again as labels land.

The version that served before can still predict, and so can a challenger that was refused because of insufficient
evidence: once labels land, both losses of each row are known, and what makes a week hard for one model makes it hard
for the other. The paired difference takes all of that out, so a bad promotion is seen in days, while the course of the
loss alone would need weeks.

**One look** is the gate's comparison (`champion.comparison`) of everything since the comparison began: rows of one day
fail together, so days are what is counted, neighbouring days that move together count for less, and a few bad days
that may not have come yet are allowed for.

**Many looks**: each partition that is labelled is a look, and each spends a part of alpha (Lan and DeMets 1983,
"Discrete sequential boundaries for clinical trials"): `SHARE` of what is left, so that most of it goes to the first
weeks, where a bad promotion is to be found. By Bonferroni's inequality the chance that any look, however many there
are, takes a version that is no better for better is at most alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evergreen.core.text import p_value, percent
from evergreen.loop.champion.evaluation.paired_test import estimate_by_cluster
from evergreen.loop.monitoring.loss.harm_test import SMALLEST_CLUSTER, Floats, join_small

SHARE = 0.3
"""Part of the alpha that is left which a look spends"""
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
    p_value: float
    """Two-sided, against no difference"""
    needed: float
    """Below which it is proven: what this look may spend of alpha"""
    relative: float
    """Mean regret, in parts of the mean loss of the version before"""
    clusters: int
    sentence: str
    """About the version before, without its subject"""


def level(alpha: float, look: int) -> float:
    """Alpha of the `look`-th look, from 1: all of them together come to `alpha`."""
    return float(alpha * SHARE * (1 - SHARE) ** (look - 1))


def judge(clusters: Sequence[PairedCluster], *, alpha: float, margin: float, look: int) -> RegretResult:
    """Test what both versions have been scored on since the comparison began, oldest first.

    Args:
        clusters: of the partitions that both were scored on, as far as labels have landed.
        alpha: chance of ever taking a version that is no better for better, over all looks.
        margin: rise of the champion's loss over the other version's, relative to it, below which nothing is called.
        look: how many labelled partitions there have been to look at, from 1.
    """
    return judge_at(clusters, needed=level(alpha, look), margin=margin)


def judge_at(clusters: Sequence[PairedCluster], *, needed: float, margin: float) -> RegretResult:
    """The same if this look may spend `needed` of alpha."""
    values, rows = _means(clusters)
    days = len(values)
    if days < FEWEST_DAYS:
        said = "too few labelled days to compare it with the champion."
        return RegretResult(False, 1.0, needed, 0.0, days, said)
    # Two-sided like the gate's: alpha / 2 for each side, which makes up for days that resemble each other.
    found = estimate_by_cluster(values, rows, alpha=needed)
    base = float(np.average([c.before for c in clusters], weights=[c.rows for c in clusters]))
    relative = found.mean / abs(base) if base else 0.0
    proven = found.p_value < needed and found.mean > 0 and relative >= margin
    return RegretResult(
        proven, found.p_value, needed, relative, days, _sentence(proven, relative, found.p_value, needed, days)
    )


def _means(clusters: Sequence[PairedCluster]) -> tuple[Floats, Floats]:
    """Mean regret and rows of each cluster: small ones joined with their next, as their variance is another."""
    if not clusters:
        return np.empty(0), np.empty(0)
    enough = SMALLEST_CLUSTER * float(np.median([c.rows for c in clusters]))
    return join_small([(c.rows, c.regret) for c in clusters], enough)


def _sentence(proven: bool, relative: float, p: float, needed: float, clusters: int) -> str:
    change = "less" if relative >= 0 else "more"
    evidence = f"{p_value(p)}, {needed:.2g} needed"
    return (
        f"on the same {clusters} days it would have lost {percent(abs(relative))} {change} than the champion "
        f"({evidence}: {'proven' if proven else 'no proof'})."
    )
