"""What a table is compared with: accepted partitions before it in the calendar, and the other table of its own.

Only what lies before a partition counts, whenever it landed: later data never speaks about earlier data.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evergreen.core.definition import ModelDefinition, Period
from evergreen.core.definition.calendar import Calendar
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.comparisons.profile import Profile

if TYPE_CHECKING:
    import pyarrow as pa

MOST_PARTITIONS = 60
"""How many partitions a comparison can be asked to look at."""


@dataclass(frozen=True)
class Ids:
    """The entities in the accepted rows of the partition's other table."""

    values: pa.Array | pa.ChunkedArray
    name: str
    """What these rows are, in words, such as "inputs of 2013-01-07, version 1"."""
    rows_hash: str = ""
    """Names the accepted rows (see `evergreen.core.ledger.queries.partitions.rows_hash`)"""


@dataclass(frozen=True)
class Window:
    """The last few partitions before one."""

    keys: tuple[PartitionKey, ...]
    """Partitions of the calendar, oldest first"""
    accepted: Mapping[PartitionKey, Profile]
    """Those of them that are accepted, oldest first"""
    undecided: tuple[PartitionKey, ...]
    """Those of them that have no verdict"""


@dataclass(frozen=True)
class Past:
    """What is known when one table of a partition is judged."""

    table: TableName
    period: Period
    entity: str
    event_time: str
    columns: tuple[str, ...]
    """Of the table"""
    keys: tuple[PartitionKey, ...] = ()
    """Partitions of the calendar before it, oldest first"""
    accepted: Mapping[PartitionKey, Profile] = field(default_factory=dict)
    """Of these, and of those of `seasons`, the ones that are accepted"""
    decided: Collection[PartitionKey] = ()
    """Those that have a verdict, accepted ones included"""
    other: Ids | None = None
    """None: the other table of this partition is not accepted, or nobody asks for it"""
    seasons: Mapping[int, tuple[PartitionKey, ...]] = field(default_factory=dict)
    """For a number of partitions that somebody asks for: so many around the one a year before it, oldest first"""
    rows: float = math.inf
    """Rows of the table that is judged: a few say little of what they were drawn from. Not known: as if without end"""

    def window(self, last: int) -> Window:
        """The `last` partitions of the calendar before it; fewer at its beginning."""
        return self._window(self.keys[-last:] if last else ())

    def season(self, last: int) -> Window:
        """The `last` partitions around the one a year before it; fewer in a feed's first years."""
        return self._window(self.seasons.get(last, ()))

    def _window(self, keys: tuple[PartitionKey, ...]) -> Window:
        accepted = {key: self.accepted[key] for key in keys if key in self.accepted}
        return Window(keys, accepted, tuple(k for k in keys if k not in self.decided and k not in accepted))

    @property
    def digest(self) -> str:
        """SHA-256, hex, over all that a verdict may take from here: names what is written about it."""
        keys = sorted({*self.keys, *(key for season in self.seasons.values() for key in season)})
        parts = [
            [[key, self.accepted[key].to_json()] for key in keys if key in self.accepted],
            [key for key in keys if key in self.decided],
            [self.other.name, self.other.rows_hash] if self.other else None,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def earliest_compared(calendar: Calendar, key: PartitionKey) -> PartitionKey:
    """The oldest partition that any comparison can look at when `key` is judged."""
    return min(calendar.shift(key, -MOST_PARTITIONS), calendar.shift(calendar.year_before(key), -MOST_PARTITIONS))


def no_past(definition: ModelDefinition, table: TableName, key: PartitionKey) -> Past:
    """What is known if neither earlier partitions nor the other table are at hand."""
    feed = definition.feed
    columns = tuple(feed.tables[table].columns)
    return Past(table, definition.partitions.period(key), feed.entity, feed.event_time, columns)
