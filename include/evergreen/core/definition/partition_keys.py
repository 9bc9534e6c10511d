"""Keys of partitions: is it one, and which come before it."""

from __future__ import annotations

from collections.abc import Iterable

from evergreen.core.definition.model import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.errors import PartitionKeyError


def check_key(definition: ModelDefinition, key: str) -> PartitionKey:
    """`key`, any text, as the key of a partition. Raises PartitionKeyError unless it is one of the model's."""
    if not definition.partitions.contains(key):
        calendar = definition.calendar
        raise PartitionKeyError(
            f"partition {key} lies outside the calendar of {definition.name} ({calendar.start} to "
            f"{calendar.end or 'no end'}); widen `calendar` in model.yaml if it belongs to the feed"
        )
    return key


def is_partition(definition: ModelDefinition, name: str) -> bool:
    """Whether `name`, any text, is the key of one of the model's partitions."""
    try:
        return definition.partitions.contains(name)
    except PartitionKeyError:
        return False


def keys_before(definition: ModelDefinition, key: PartitionKey, last: int) -> tuple[PartitionKey, ...]:
    """The `last` partitions of the calendar before `key`, oldest first; fewer at its beginning."""
    calendar = definition.partitions
    keys = [calendar.shift(key, -n) for n in range(last, 0, -1)]
    return tuple(k for k in keys if calendar.contains(k))


def seasons(
    definition: ModelDefinition, key: PartitionKey, counts: Iterable[int]
) -> dict[int, tuple[PartitionKey, ...]]:
    """For each of `counts`, so many partitions of the calendar around the one a year before `key`, oldest first."""
    calendar = definition.partitions
    return {n: tuple(k for k in calendar.season(key, n) if calendar.contains(k)) for n in sorted(set(counts))}
