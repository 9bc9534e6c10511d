"""Which of the landed partitions make the first champion, and which are left to be checked after it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.calendar import Calendar
from evergreen.core.definition.training import FEWEST_TRAIN_PARTITIONS
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError, NotReadyError

MOST_CHECKED = 26
"""Partitions that are checked one after the other by default: each takes some ten seconds"""


@dataclass(frozen=True)
class Landed:
    """Keys of the partitions whose tables have landed, oldest first."""

    inputs: tuple[PartitionKey, ...]
    labels: tuple[PartitionKey, ...]

    @property
    def both(self) -> list[PartitionKey]:
        """Partitions that a training can use."""
        there = set(self.inputs)
        return [key for key in self.labels if key in there]

    def through(self, key: PartitionKey | None) -> Landed:
        """What of it lies before `key` or is `key`."""
        if key is None:
            return self
        return Landed(tuple(k for k in self.inputs if k <= key), tuple(k for k in self.labels if k <= key))


def key_of(calendar: Calendar, asked: str, option: str) -> PartitionKey:
    """Key of the partition that `asked`, a key or a day within its period, names.

    Raises:
        BadInputError: it is neither.
    """
    if calendar.unit == "hour" and "T" in asked:
        calendar.parse(asked)
        return PartitionKey(asked)
    try:
        day = dt.date.fromisoformat(asked)
    except ValueError:
        raise BadInputError(
            f"{option} {asked[:40]!r} is neither a partition key ({calendar.key_in_words}) nor a day, YYYY-MM-DD"
        ) from None
    return calendar.key_of(day)


def needed(definition: ModelDefinition) -> int:
    """Labelled partitions without which there is no training."""
    return FEWEST_TRAIN_PARTITIONS + definition.gate.holdout


def choose_first(definition: ModelDefinition, landed: Landed, asked: PartitionKey | None) -> tuple[PartitionKey, ...]:
    """As of which partition the first champion is made: those to try, one after the other.

    By default a third of the labelled partitions is left to be checked after it, at least as many as bring a first
    retrain by age and at most `MOST_CHECKED`, as long as enough are left to learn from. If their rows turn out to be
    too few, the next partition is tried.

    Args:
        definition: the model.
        landed: what has landed.
        asked: the partition that a person names; no other one is tried then.

    Raises:
        NotReadyError: too few partitions have landed; or through `asked`.
    """
    both, fewest = landed.both, needed(definition)
    if asked is not None:
        before = [key for key in both if key <= asked]
        _enough(definition, before, f" through {asked}", "Name a later --as-of, or land more of the past.")
        return (before[-1],)
    _enough(definition, both, "", "Land more of the past, or wait for it.")
    leave = min(max(len(both) // 3, definition.monitoring.refresh + 2), MOST_CHECKED, len(both) - fewest)
    return tuple(both[len(both) - leave - 1 :])


def _enough(definition: ModelDefinition, keys: Sequence[PartitionKey], where: str, then: str) -> None:
    if len(keys) < needed(definition):
        span = f" ({keys[0]} to {keys[-1]})" if keys else ""
        raise NotReadyError(
            f"too few partitions of {definition.name} to train{where}: {len(keys)} have landed with inputs and labels"
            f"{span}, and {needed(definition)} are needed, {definition.gate.holdout} of them held out. {then}"
        )


def labels_due(definition: ModelDefinition, landed: Collection[PartitionKey], key: PartitionKey) -> list[PartitionKey]:
    """The labels, if they have landed, that are due together with the inputs of `key`."""
    due = definition.partitions.shift(key, -definition.feed.label_delay)
    return [due] if due in landed else []
