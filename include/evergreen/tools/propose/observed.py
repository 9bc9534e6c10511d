"""What several partitions of a table showed. Pure: partitions are added one at a time and not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

from evergreen.core.definition.model import ColumnType
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.comparisons.profile import ColumnProfile, profile
from evergreen.tools.propose.value_shapes import Shape, merged, shape_of

MOST_VALUES = 100
"""Different values of a column of text up to which they are remembered"""


@dataclass
class ColumnFacts:
    """One column of all partitions."""

    kind: ColumnType
    personal: bool = False
    """Only the number of missing values may be written down"""
    profiles: list[ColumnProfile] = field(default_factory=list)
    """In order of the partitions"""
    distinct: list[int] = field(default_factory=list)
    """Different values of each partition; of text and of numbers"""
    values: Counter[str] | None = field(default_factory=Counter)
    """In how many partitions each value occurs; None if there are more than `MOST_VALUES`"""
    shapes: list[Shape | None] = field(default_factory=list)
    """What all values through each partition have in common"""

    def add(self, values: pd.Series, found: ColumnProfile) -> None:
        """One more partition."""
        self.profiles.append(found)
        if self.kind in ("integer", "float") and not self.personal:
            self.distinct.append(int(values.nunique()))
        if self.kind != "string" or self.personal:
            return
        unique = [str(value) for value in values.dropna().unique()]
        self.distinct.append(len(unique))
        if self.values is not None:
            self.values.update(unique)
            if len(self.values) > MOST_VALUES:
                self.values = None
        own = shape_of(unique) if unique else None
        if not self.shapes or not unique:
            self.shapes.append(own if not self.shapes else self.shapes[-1])
        else:
            self.shapes.append(merged(self.shapes[-1], own))

    @property
    def nulls(self) -> list[float]:
        """Share of missing values of each partition."""
        return [c.nulls for c in self.profiles]


@dataclass
class Facts:
    """One table of all partitions."""

    columns: dict[str, ColumnFacts]
    keys: list[PartitionKey] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    reach: list[float] = field(default_factory=list)
    """How far from the ends of each partition's period its first or last event was, as a share of the period"""

    @classmethod
    def of(cls, columns: Mapping[str, ColumnType], personal: Collection[str] = ()) -> Facts:
        """Of no partition yet."""
        return cls({name: ColumnFacts(kind, personal=name in personal) for name, kind in columns.items()})

    def add(self, key: PartitionKey, frame: pd.DataFrame, reach: float) -> None:
        """One more partition: its accepted rows."""
        self.keys.append(key)
        self.rows.append(len(frame))
        self.reach.append(reach)
        kinds = {name: facts.kind for name, facts in self.columns.items()}
        found = profile(frame, kinds, [name for name, facts in self.columns.items() if facts.personal])
        for name, facts in self.columns.items():
            facts.add(frame[name], found.columns[name])
