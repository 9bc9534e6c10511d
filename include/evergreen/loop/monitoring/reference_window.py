"""What a batch is compared with: the champion's own data, the partitions before it, or the same season a year ago.

Each answers another question. `training`: is this still the data the champion was made of? A season that moves on is
drift, rightly. `rolling`: did something happen lately? A slow change is never seen. `season`: is this like last year?
What comes every year is not drift; it needs more than a year of partitions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from evergreen.core.definition.calendar import Calendar
from evergreen.core.names import PartitionKey

ReferenceKind = Literal["training", "rolling", "season"]


@dataclass(frozen=True)
class Reference:
    """Which rows to compare with."""

    kind: ReferenceKind
    keys: tuple[PartitionKey, ...]
    """Partitions whose features to read, oldest first; none for `training`, which the champion's reference holds"""
    sentence: str
    """In words; for `training`, why it is that if another was asked for"""


def wanted_keys(
    kind: ReferenceKind, calendar: Calendar, key: PartitionKey, *, window: int = 8, gap: int = 0
) -> list[PartitionKey]:
    """The partitions that `key` would be compared with if all had landed, oldest first; arguments as below."""
    if kind == "training":
        return []
    if kind == "rolling":
        return [calendar.shift(key, -n) for n in range(gap + window, gap, -1)]
    return calendar.season(key, window)


def choose_reference(
    kind: ReferenceKind,
    calendar: Calendar,
    key: PartitionKey,
    landed: Collection[str],
    *,
    window: int = 8,
    gap: int = 0,
) -> Reference:
    """Choose the partitions that `key` is compared with.

    If fewer than half of the wanted ones have landed (a model in its first year), it is `training`.

    Args:
        kind: the question.
        calendar: of the model.
        key: partition to be checked.
        landed: keys whose features exist; partitions that are not in it are left out.
        window: partitions to compare with.
        gap: partitions between `key` and the newest one of a rolling reference, so that a change over several
            partitions is not compared with itself.
    """
    if kind == "training":
        return Reference("training", (), "")
    keys = tuple(k for k in wanted_keys(kind, calendar, key, window=window, gap=gap) if k in landed)
    if 2 * len(keys) < window:
        return Reference("training", (), f"{len(keys)} of the {window} partitions of a {kind} reference have landed")
    said = "the partitions before it" if kind == "rolling" else "the same season a year before"
    return Reference(kind, keys, f"{said}: {len(keys)} from {keys[0]} through {keys[-1]}")
