"""Is a version that served before better than the champion again? A world that returns needs no new training.

Seasons return, promotions end, and a line that was broken is mended. The version that fits the world as it was is
still there (a repository of past concepts: FLORA3, Widmer and Kubat 1996; RCD, Gonçalves and De Barros 2013; Gama and
Kosina 2014), and both losses of each row are known once labels land. Trackers of the best expert keep a part of the
weight on every expert for the same reason (fixed share, Herbster and Warmuth 1998). They may change at each step; who
serves here changes on proof only.

**Windows**: when the world turns back is not known, and all that the champion gained before would hide it. So only the
newest partitions that it has served count, once as many as the gate holds out and once twice as many (`WINDOWS`).

**Many looks**: each labelled partition is a look; look n spends alpha / (n (n + 1)), the weights of the harm test,
shared equally among windows and earlier versions. By Bonferroni's inequality the chance that a champion ever gives way
to a version that is no better than it in any of these windows is at most alpha, however long it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evergreen.loop.monitoring.rivals import regret_test
from evergreen.loop.monitoring.rivals.regret_test import PairedCluster, RegretResult

WINDOWS = (2, 4)
"""Labelled partitions, the newest ones, on which an earlier version may show itself"""


def level(alpha: float, look: int, versions: int) -> float:
    """Alpha of one window of one of `versions` at the `look`-th look, from 1: all of them come to `alpha`."""
    return alpha / (look * (look + 1)) / (max(1, versions) * len(WINDOWS))


def judge(
    partitions: Sequence[Sequence[PairedCluster]], *, alpha: float, margin: float, look: int, versions: int
) -> RegretResult | None:
    """Test an earlier version on the newest partitions; None if the champion has served too few of them.

    Args:
        partitions: the clusters of each of the newest partitions under both versions, oldest first.
        alpha: chance of ever taking a version that is no better for better, over all looks and versions.
        margin: rise of the champion's loss over the other version's, relative to it, below which nothing is called.
        look: how many labelled partitions the champion has served.
        versions: how many earlier versions are compared with it.
    """
    needed, found = level(alpha, look, versions), list[RegretResult]()
    for window in WINDOWS:
        if len(partitions) >= window:
            clusters = [cluster for partition in partitions[-window:] for cluster in partition]
            said = regret_test.judge_at(clusters, needed=needed, margin=margin)
            found.append(replace(said, sentence=f"over the last {window} labelled partitions, {said.sentence}"))
    return min(found, key=lambda said: (not said.proven, said.p_value), default=None)
