"""Labelled rows: features, target, and where each row stands in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evergreen.core.names import PartitionKey
from evergreen.loop.training.losses import Targets

Names = NDArray[np.object_]
Part = TypeVar("Part", pd.DataFrame, pd.Series)


@dataclass(frozen=True)
class Examples:
    """Rows in time order. All members have one length.

    Attributes:
        features: a `model_frame`.
        target: float64, or the names of classes (multiclass); without nulls.
        key: partition key of each row.
        cluster: name of what fails together with the row (a day).
        entity: the feed's entity id.
        event_time: datetime64[us, UTC].
        extra: inputs columns that the gate's slices and groups are made of and that are no features.
        lacking: features of the definition that partitions were built without, because it had not got them yet, by
            partition key; null in `features`.
    """

    features: pd.DataFrame
    target: Targets
    key: Names
    cluster: Names
    entity: Names
    event_time: pd.Series
    extra: pd.DataFrame
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.integer]) -> Examples:
        """The rows at these positions, in the order given."""
        return Examples(
            features=self.features.iloc[rows].reset_index(drop=True),
            target=self.target[rows],
            key=self.key[rows],
            cluster=self.cluster[rows],
            entity=self.entity[rows],
            event_time=self.event_time.iloc[rows].reset_index(drop=True),
            extra=self.extra.iloc[rows].reset_index(drop=True),
            lacking=self.lacking,
        )

    def of_keys(self, keys: list[PartitionKey]) -> Examples:
        """The rows of these partitions. If they stand together, as they do in time order, they are no copy."""
        rows = np.flatnonzero(np.isin(self.key, keys))
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return self._between(int(rows[0]), int(rows[-1]) + 1)
        return self.take(rows)

    def _between(self, first: int, end: int) -> Examples:
        return Examples(
            features=_view(self.features, first, end),
            target=self.target[first:end],
            key=self.key[first:end],
            cluster=self.cluster[first:end],
            entity=self.entity[first:end],
            event_time=_view(self.event_time, first, end),
            extra=_view(self.extra, first, end),
            lacking=self.lacking,
        )

    def sample(self, most: int, seed: int) -> Examples:
        """At most `most` rows, drawn without replacement with `seed`, still in time order."""
        if len(self) <= most:
            return self
        chosen = np.random.default_rng(seed).choice(len(self), size=most, replace=False)
        return self.take(np.sort(chosen))

    def sample_of_each(self, most: int, seed: int, least: int = 2) -> Examples:
        """As `sample`, and of each value of the target its share of the rows: `least` or more, or all there are."""
        if len(self) <= most:
            return self
        random, rows = np.random.default_rng(seed), list[NDArray[np.intp]]()
        values, counts = np.unique(self.target, return_counts=True)
        for value, count in zip(values, counts, strict=True):
            share = int((most - least * len(values)) * count / len(self))
            wanted = min(int(count), max(least, share))
            rows.append(random.choice(np.flatnonzero(self.target == value), size=wanted, replace=False))
        return self.take(np.sort(np.concatenate(rows)))


def _view(rows: Part, first: int, end: int) -> Part:
    part = rows.iloc[first:end]
    part.index = pd.RangeIndex(end - first)
    return part


def concatenate(parts: list[Examples]) -> Examples:
    """The rows of all parts, in the order given."""
    return Examples(
        features=pd.concat([p.features for p in parts], ignore_index=True),
        target=np.concatenate([p.target for p in parts]),
        key=np.concatenate([p.key for p in parts]),
        cluster=np.concatenate([p.cluster for p in parts]),
        entity=np.concatenate([p.entity for p in parts]),
        event_time=pd.concat([p.event_time for p in parts], ignore_index=True),
        extra=pd.concat([p.extra for p in parts], ignore_index=True),
        lacking={key: names for p in parts for key, names in p.lacking.items()},
    )
