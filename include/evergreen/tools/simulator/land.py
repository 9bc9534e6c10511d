"""The feed simulator: lands real rows as a producer would, each file whole, `_SUCCESS` last.

The rows are those of the model's source, or of a file of its past. One tick lands the inputs of a partition and the
labels that become known with it: those of the partition `label_delay` before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.core.store.objects import publish
from evergreen.errors import BadInputError, PartitionKeyError
from evergreen.loop.intake.landing_zone import SUCCESS, find_drop, folder_uri
from evergreen.tools.simulator import sources

if TYPE_CHECKING:
    import pandas as pd

Rows = Callable[[ModelDefinition, TableName, PartitionKey], "pd.DataFrame"]
"""The rows of a table that belong to a partition; none if it has none."""


@dataclass(frozen=True)
class Landed:
    """One table in the landing zone."""

    table: str
    key: PartitionKey
    uri: str
    rows: int
    bytes: int
    new: bool
    """False: the same bytes lay there already and were left alone"""
    repeated: int = 0
    """Rows that name what an earlier row names: intake quarantines them, or the partition"""


def land(
    definition: ModelDefinition,
    keys: Sequence[PartitionKey],
    *,
    landing_url: str,
    with_labels: bool = False,
    rows: Rows | None = None,
    progress: Callable[[Landed], None] | None = None,
) -> list[Landed]:
    """Land the ticks `keys` in their order; `progress` is told of each table.

    `with_labels` lands the labels of the same partitions at once, without the delay. A key after the calendar's end
    still brings the last labels. `rows` hands them out in place of the model's source; a table of which it has none is
    passed over.

    Raises:
        PartitionKeyError: a key is malformed, or no key brings anything.
        BadInputError: the source has no rows for a partition of the calendar.
        DefinitionError: the model has no source that can be simulated.
    """
    landed = []
    for table, key in _plan(definition, keys, with_labels):
        if rows and rows(definition, table, key).empty:
            continue
        item = land_table(definition, table, key, landing_url=landing_url, rows=rows or sources.rows)
        landed.append(item)
        if progress:
            progress(item)
    return landed


def _plan(
    definition: ModelDefinition, keys: Iterable[PartitionKey], with_labels: bool
) -> list[tuple[TableName, PartitionKey]]:
    """What to land, in order, each once."""
    calendar, plan = definition.partitions, dict[tuple[TableName, PartitionKey], None]()
    for key in keys:
        labelled = [calendar.shift(key, -definition.feed.label_delay)] + [key] * with_labels
        wanted: list[tuple[TableName, PartitionKey]] = [("inputs", key), *(("labels", k) for k in labelled)]
        plan.update(dict.fromkeys((table, k) for table, k in wanted if calendar.contains(k)))
    if not plan:
        end = calendar.end or "no end"
        raise PartitionKeyError(f"nothing to land: {definition.name} has partitions from {calendar.start} to {end}")
    return list(plan)


def land_table(
    definition: ModelDefinition, table: TableName, key: PartitionKey, *, landing_url: str, rows: Rows = sources.rows
) -> Landed:
    """Land one table of one partition as Parquet; raises as `land`."""
    from evergreen.core.frames import to_parquet

    frame = rows(definition, table, key)
    if frame.empty:
        raise BadInputError(
            f"source {definition.feed.source} has no {table} for {key}; set calendar.start and calendar.end in "
            f"model.yaml to what it covers"
        )
    data = to_parquet(frame, definition.feed.landed_columns(table))
    uri = f"{folder_uri(landing_url, definition.feed.name, key)}/{table}.parquet"
    new = not _lies_there(definition, table, key, landing_url, uri, data)
    if new:
        publish(uri, data)
        publish(f"{uri.rpartition('/')[0]}/{SUCCESS}", b"")
    repeated = int(frame[definition.feed.entity].duplicated().sum())
    return Landed(table, key, uri, len(frame), len(data), new, repeated)


def _lies_there(
    definition: ModelDefinition, table: TableName, key: PartitionKey, landing_url: str, uri: str, data: bytes
) -> bool:
    from evergreen.core.store.filesystem import url_to_fs

    drop = find_drop(landing_url, definition.feed.name, table, key)
    if drop is None or drop.uri != uri or drop.size != len(data):
        return False
    fs, path = url_to_fs(uri)
    return bool(fs.cat_file(path) == data)
