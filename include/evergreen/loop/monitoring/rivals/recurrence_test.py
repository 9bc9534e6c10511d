"""Is a version that served before better than the champion again? A world that returns needs no new training.

Seasons return, promotions end, and a line that was broken is mended. The version that fits the world as it was is
still there (a repository of past concepts: FLORA3, Widmer and Kubat 1996; RCD, Gonçalves and De Barros 2013; Gama and
Kosina 2014), and both losses of each row are known once labels land. Trackers of the best expert keep a part of the
weight on every expert for the same reason (fixed share, Herbster and Warmuth 1998). They may change at each step; who
serves here changes on proof only.

**Windows**: when the world turns back is not known, and all that the champion gained before would hide it. So only the
newest partitions that it has served count, once as many as the gate holds out and once twice as many (`WINDOWS`).

**Which versions**: the newest that knew other worlds. Two whose labels end less than half a training window apart were
made from mostly the same rows, so only the newer of them is kept (`spread`): where a champion is replaced at each
partition, the newest few versions would all be of this month.

**Many looks**: each labelled partition is a look; look n spends alpha / (n (n + 1)), the weights of the harm test,
shared equally among windows and earlier versions. By Bonferroni's inequality the chance that a champion ever gives way
to a version that is no better than it in any of these windows is at most alpha, however long it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.errors import PartitionKeyError
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


def spread(
    definition: ModelDefinition, newest_first: Sequence[tuple[int, PartitionKey]], *, champion: PartitionKey
) -> list[int]:
    """The versions to compare a champion with, at most `monitoring.pool`: the newest.

    With `monitoring.learned_pace` champions change often, and the newest would all be of one time: those whose labels
    end less than half a training window from the champion's, or from each other's, count as one.

    Args:
        definition: the model.
        newest_first: versions that have served, with the newest partition whose labels each was made from; without the
            champion.
        champion: that of the champion.
    """
    if not definition.monitoring.learned_pace:
        return [version for version, _ in newest_first[: definition.monitoring.pool]]
    chosen, ends = list[int](), [champion]
    apart = max(1, definition.training.window // 2)
    for version, as_of in newest_first:
        if len(chosen) < definition.monitoring.pool and all(_between(definition, as_of, end) >= apart for end in ends):
            chosen.append(version)
            ends.append(as_of)
    return chosen


def _between(definition: ModelDefinition, one: str, other: str) -> int:
    """Partitions between two keys; of keys of another calendar, none that are known to be apart."""
    try:
        return abs(definition.partitions.distance(one, other))
    except PartitionKeyError:
        return 0
