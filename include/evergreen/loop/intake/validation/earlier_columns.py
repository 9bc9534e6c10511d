"""Read a table that landed under another definition's columns: under an earlier name, or from before a column came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.frames import ARROW_TYPES, to_frame
from evergreen.core.names import PartitionKey
from evergreen.errors import CollectedError
from evergreen.loop.intake.accepted_rows import read_clean_table
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading.isolated import read_table
from evergreen.settings import Settings

if TYPE_CHECKING:
    from evergreen.core.ledger.tables import PartitionVersion

Newer = Callable[[str], bool]
"""Whether a column came to the definition after the partition: it may be missing in the file"""


def read_landed(
    data: bytes, suffix: str, definition: ModelDefinition, table: TableName, limits: Limits, newer: Newer
) -> pa.Table:
    """The columns of a landed file that the definition wants landed, under the names that they have now.

    A column that the file lacks is read under the first of its `aliases` that is there; one that is `newer` than the
    partition is left out. Entity, event time and target are in every table.

    Raises:
        UnfitFileError: the file holds no such table, even so.
    """
    feed, section = definition.feed, definition.feed.tables[table]
    needed = {*feed.id_columns, *feed.time_columns}
    columns = feed.landed_columns(table)
    sources: dict[str, str | None] = {name: name for name in columns}
    left = {name: list(section.aliases.get(name, ())) for name in columns}
    fault: UnfitFileError | None = None
    while True:
        try:
            wanted = {source: columns[name] for name, source in sources.items() if source is not None}
            found = read_table(data, suffix, wanted, limits, feed.csv)
            break
        except UnfitFileError as error:
            fault = fault or error
            for source in _missing(error, wanted):
                name = next(name for name, read in sources.items() if read == source)
                if left[name]:
                    sources[name] = left[name].pop(0)
                elif name not in needed | {definition.target} and newer(name):
                    sources[name] = None
                else:
                    raise fault from None
    named = {source: name for name, source in sources.items() if source is not None}
    return found.rename_columns([named[source] for source in found.column_names])


def _missing(error: UnfitFileError, wanted: Mapping[str, object]) -> list[str]:
    """The columns that the file lacks; raises what it was given if anything else is wrong with it."""
    if any(failure.name != "columns_present" for failure in error.failures):
        raise error
    said = {name for failure in error.failures for name in failure.expected.split(", ")}
    # The list is cut after some: the rest shows in the next attempt.
    found = [name for name in wanted if name in said or any(name == part.partition(" and ")[0] for part in said)]
    if not found:
        raise error
    return found


def with_all(frame: pd.DataFrame, definition: ModelDefinition, table: TableName) -> pd.DataFrame:
    """`frame` with the definition's columns in their order; those that it lacks are null."""
    columns = definition.feed.tables[table].columns
    lacking = [name for name in columns if name not in frame]
    if not lacking:
        return frame
    nulls = pa.table({name: pa.nulls(len(frame), ARROW_TYPES[columns[name]]) for name in lacking})
    return pd.concat([frame, to_frame(nulls).set_index(frame.index)], axis=1)[list(columns)]


def since_said(definition: ModelDefinition, table: TableName, key: PartitionKey) -> Newer:
    """Newer than the partition `key` is what the definition says to be, with `since`."""
    since = definition.feed.tables[table].since
    return lambda name: name in since and key < since[name].isoformat()


def since_accepted(definition: ModelDefinition, partition: PartitionVersion, settings: Settings) -> Newer:
    """The same, and what the rows did not have that were accepted of this partition, or of the next one after it.

    A partition of the time before a column cannot have it; one of the time after it must.
    """
    table: TableName = "inputs" if partition.table == "inputs" else "labels"
    said = since_said(definition, table, partition.key)
    known: dict[str, bool] = {}
    rows: list[pa.Table | None] = []

    def newer(name: str) -> bool:
        if said(name):
            return True
        if not rows:
            rows.append(_next_accepted(definition, partition, settings))
        if name not in known:
            known[name] = rows[0] is not None and _lacks(rows[0], name)
        return known[name]

    return newer


def _next_accepted(definition: ModelDefinition, partition: PartitionVersion, settings: Settings) -> pa.Table | None:
    """What was accepted of the partition, or of the first one after it that was; None if nothing was."""
    from evergreen.core.ledger import Ledger
    from evergreen.core.ledger.queries import partitions

    with Ledger.from_settings(settings).transaction() as session:
        keys = partitions.accepted_keys(session, definition.name, partition.table)
        key = next((key for key in keys if key >= partition.key), None)
        found = partitions.current(session, definition.name, partition.table, key) if key else None
    try:
        return read_clean_table(found[1], settings) if found else None
    except (CollectedError, FileNotFoundError):
        return None


def _lacks(rows: pa.Table, name: str) -> bool:
    return name not in rows.column_names or (rows.num_rows > 0 and rows.column(name).null_count == rows.num_rows)
