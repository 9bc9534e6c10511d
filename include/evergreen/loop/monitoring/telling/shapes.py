"""What one partition's values of a column look like, in a few numbers that stay in the ledger.

A shape does not depend on the champion or its reference, so the partitions before can be compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.core.spelling import spelled
from evergreen.loop.monitoring.drift.detect import numbers

LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
MOST_CATEGORIES = 20
REST = "\N{HORIZONTAL ELLIPSIS}"
"""Stands for all categories but the most frequent ones"""
FEWEST_ROWS = 30
"""Rows of a partition without which its shape says nothing"""


@dataclass(frozen=True)
class Shape:
    """A column of one partition."""

    rows: int
    missing: float
    """Share of rows without a value"""
    top: float
    """Share of the most frequent value among the values"""
    quantiles: tuple[float, ...] = ()
    """At `LEVELS`; none of a category, or if there is no value"""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of the values, by category; those beyond `MOST_CATEGORIES` together as `REST`"""


Shapes = dict[str, Shape]
"""By column."""


def shapes_of(frame: pd.DataFrame, definition: ModelDefinition) -> Shapes:
    """The shapes of the feature columns that `frame` has; none of a frame of fewer than `FEWEST_ROWS` rows."""
    if len(frame) < FEWEST_ROWS:
        return {}
    found = {name: _of_numbers(frame[name]) for name in definition.features.numeric if name in frame}
    return found | {name: _of_categories(frame[name]) for name in definition.features.categorical if name in frame}


def shapes_by_partition(frame: pd.DataFrame, definition: ModelDefinition) -> dict[PartitionKey, Shapes]:
    """The shapes of each partition of a frame with the feed's event time, by key; few rows give none."""
    calendar, time = definition.partitions, definition.feed.event_time
    if time not in frame:
        return {}
    # No zone's clocks stand apart from UTC by other than quarters of an hour: instants of one have one key.
    instants = pd.to_datetime(frame[time], utc=True).dt.floor("15min")
    keys = instants.map({at: calendar.key_of(at.to_pydatetime()) for at in instants.dropna().unique()})
    found = {PartitionKey(key): shapes_of(rows, definition) for key, rows in frame.groupby(keys)}
    return {key: shapes for key, shapes in found.items() if shapes}


def to_json(shapes: Shapes) -> dict[str, Any]:
    """As plain values, for the ledger."""
    return {name: asdict(shape) for name, shape in shapes.items()}


def from_json(found: Mapping[str, Any]) -> Shapes:
    """What `to_json` gave."""
    return {
        name: Shape(**{**one, "quantiles": tuple(one["quantiles"]), "shares": dict(one["shares"])})
        for name, one in found.items()
    }


def _of_numbers(column: pd.Series[Any]) -> Shape:
    values = numbers(column)
    known = values.dropna()
    if known.empty:
        return Shape(len(values), 1.0, 1.0)
    top = float(known.value_counts(normalize=True).iloc[0])
    quantiles = tuple(float(value) for value in np.quantile(known.to_numpy(), LEVELS))
    return Shape(len(values), float(values.isna().mean()), top, quantiles)


def _of_categories(column: pd.Series[Any]) -> Shape:
    counted = spelled(column).value_counts(normalize=True)
    gone = float(column.isna().mean())
    if counted.empty:
        return Shape(len(column), 1.0, 1.0)
    shares = {str(name): float(share) for name, share in counted.iloc[:MOST_CATEGORIES].items()}
    rest = float(counted.iloc[MOST_CATEGORIES:].sum())
    return Shape(len(column), gone, float(counted.iloc[0]), shares=shares | _some(rest))


def _some(rest: float) -> dict[str, float]:
    return {REST: rest} if rest > 0 else {}


def columns_of(past: Iterable[Shapes], name: str) -> list[Shape]:
    """The shapes of one column, of the partitions that had it."""
    return [shapes[name] for shapes in past if name in shapes]
